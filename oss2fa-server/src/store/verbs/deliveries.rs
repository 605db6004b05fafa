//! The outbox of webhooks: written with the events, in their transaction; emptied by whatever node comes first.

use std::fmt;

use oss2fa_core::secret::SecretBytes;
use serde::Serialize;

use super::Doer;
use super::webhooks::SECRET;
use crate::ids::{IntegrationId, TenantId, WebhookId};
use crate::outside::Timestamp;
use crate::store::audit::AuditEntry;
use crate::store::error::StoreError;
use crate::store::sql::{Sql, Value};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;
use crate::whereabouts::Whereabouts;

/// Most deliveries that wait for one webhook. Who does not take them for long finds the rest in the audit.
pub const MOST_WAITING: i64 = 10_000;

/// What says that a delivery was given up: not itself delivered, or it would have no end.
const GIVEN_UP: &str = "webhook_given_up";

#[derive(Serialize)]
struct Said<'a> {
    tenant: TenantId,
    #[serde(flatten)]
    event: &'a AuditEntry,
}

/// Queues the events of a tenant that has webhooks, at the end of their transaction.
pub(crate) async fn queue<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    events: &[AuditEntry],
) -> Result<(), StoreError> {
    let rows = tx
        .sql
        .rows(
            "SELECT pk, integration,
                (SELECT count(*) FROM (SELECT 1 AS one FROM webhook_delivery
                    WHERE webhook_delivery.webhook = webhook.pk LIMIT 10000) AS waiting)
             FROM webhook WHERE tenant = ?1 ORDER BY pk",
            values![tenant],
        )
        .await?;
    let mut queued: Vec<(WebhookId, Timestamp, String)> = Vec::new();
    for row in rows {
        let (webhook, integration, waiting): (WebhookId, IntegrationId, i64) =
            (row.take(0)?, row.take(1)?, row.take(2)?);
        let mut of_webhook =
            events.iter().filter(|event| event.integration == Some(integration) && event.event != GIVEN_UP);
        if waiting >= MOST_WAITING {
            let lost = of_webhook.count();
            if lost > 0 {
                tracing::warn!(
                    code = "webhook_full",
                    webhook = webhook.0,
                    lost,
                    "too many deliveries wait for this webhook: events are left out. They are in the audit"
                );
            }
            continue;
        }
        of_webhook.try_for_each(|event| {
            let body = serde_json::to_string(&Said { tenant, event })
                .map_err(|_| StoreError::Corrupt("an event that cannot be written"))?;
            queued.push((webhook, event.at, body));
            Ok::<_, StoreError>(())
        })?;
    }
    if queued.is_empty() {
        return Ok(());
    }
    let sets: Vec<Vec<Value<'_>>> =
        queued.iter().map(|(webhook, at, body)| values![tenant, *webhook, body, *at].to_vec()).collect();
    tx.sql
        .execute_each(
            "INSERT INTO webhook_delivery (tenant, webhook, body, attempts, next_at, created_at)
             VALUES (?1, ?2, ?3, 0, ?4, ?4)",
            &sets,
        )
        .await
}

/// The webhooks for which something is to be sent now.
#[derive(Debug, Clone, Copy)]
pub struct DueWebhooks {
    /// When.
    pub now: Timestamp,
}

impl Query for DueWebhooks {
    type Output = Vec<(TenantId, WebhookId)>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<(TenantId, WebhookId)>, StoreError> {
        let rows = tx
            .sql
            .rows(
                "SELECT tenant, pk FROM webhook WHERE paused_until <= ?1 AND EXISTS
                    (SELECT 1 FROM webhook_delivery
                     WHERE webhook_delivery.webhook = webhook.pk AND webhook_delivery.next_at <= ?1)
                 ORDER BY pk",
                values![self.now],
            )
            .await?;
        rows.iter().map(|row| Ok((row.take(0)?, row.take(1)?))).collect()
    }
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number: the same at every try.
    pub pk: i64,
    /// What is sent.
    pub body: String,
    /// Tries, with this one.
    pub attempts: u32,
    /// Since when it waits.
    pub created_at: Timestamp,
}

/// Deliveries that nobody else sends until the claim ends, and what sending them takes.
pub struct Claim {
    /// Whose events.
    pub integration: IntegrationId,
    /// Where to.
    pub url: String,
    /// What they are signed with.
    pub secret: SecretBytes,
    /// What is to be sent.
    pub deliveries: Vec<Delivery>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL can hold a token.
        let many = self.deliveries.len();
        f.debug_struct("Claim").field("integration", &self.integration).field("deliveries", &many).finish()
    }
}

/// Claims deliveries of one webhook. Of two nodes that ask, the row counts say who has which.
#[derive(Debug, Clone, Copy)]
pub struct ClaimDeliveries {
    /// Whose.
    pub tenant: TenantId,
    /// Of which webhook.
    pub webhook: WebhookId,
    /// When.
    pub now: Timestamp,
    /// When somebody else may claim them: this node died.
    pub until: Timestamp,
    /// At most so many.
    pub most: u32,
}

impl Verb for ClaimDeliveries {
    type Output = Option<Claim>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<Claim>, StoreError> {
        let webhook = tx
            .sql
            .row(
                "SELECT integration, url, sealed FROM webhook WHERE tenant = ?1 AND pk = ?2",
                values![self.tenant, self.webhook],
            )
            .await?;
        let Some(webhook) = webhook else { return Ok(None) };
        let (integration, url, sealed): (IntegrationId, String, Vec<u8>) =
            (webhook.take(0)?, webhook.take(1)?, webhook.take(2)?);
        let keys = tx.keys_for(self.tenant, &sealed).await?;
        let secret =
            keys.open(SECRET, self.webhook.0, &sealed).map_err(|_| StoreError::Sealed("a webhook"))?;
        let rows = tx
            .sql
            .rows(
                "UPDATE webhook_delivery SET attempts = attempts + 1, next_at = ?4
                 WHERE tenant = ?1 AND webhook = ?2 AND next_at <= ?3 AND pk IN
                    (SELECT pk FROM webhook_delivery WHERE webhook = ?2 AND next_at <= ?3
                     ORDER BY next_at, pk LIMIT ?5)
                 RETURNING pk, body, attempts, created_at",
                values![self.tenant, self.webhook, self.now, self.until, self.most],
            )
            .await?;
        let deliveries = rows
            .iter()
            .map(|row| {
                Ok(Delivery {
                    pk: row.take(0)?,
                    body: row.take(1)?,
                    attempts: row.take(2)?,
                    created_at: row.take(3)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(Claim { integration, url, secret, deliveries }))
    }
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// Not; tried again then.
    Again(Timestamp),
    /// Not, for so long that it is given up.
    GivenUp,
}

/// Writes down what came of a claim.
#[derive(Debug)]
pub struct Settle {
    /// Whose.
    pub tenant: TenantId,
    /// Of which webhook.
    pub webhook: WebhookId,
    /// Whose events.
    pub integration: IntegrationId,
    /// When.
    pub now: Timestamp,
    /// Of which delivery, and what.
    pub outcomes: Vec<(i64, Outcome)>,
    /// Why one failed, and until when nothing is sent to this webhook.
    pub failure: Option<(String, Timestamp)>,
}

impl Verb for Settle {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let Self { tenant, webhook, .. } = *self;
        for (delivery, outcome) in &self.outcomes {
            match outcome {
                Outcome::Delivered | Outcome::GivenUp => {
                    let gone = tx
                        .sql
                        .execute(
                            "DELETE FROM webhook_delivery WHERE tenant = ?1 AND webhook = ?2 AND pk = ?3",
                            values![tenant, webhook, *delivery],
                        )
                        .await?;
                    if gone == 1 && *outcome == Outcome::GivenUp {
                        let why = self.failure.as_ref().map_or("", |(why, _)| why);
                        let detail = format!("webhook={webhook} delivery={delivery} {why}");
                        tx.events.push(self.doer().event(GIVEN_UP, "", detail));
                    }
                }
                Outcome::Again(at) => {
                    tx.sql
                        .execute(
                            "UPDATE webhook_delivery SET next_at = ?4
                             WHERE tenant = ?1 AND webhook = ?2 AND pk = ?3",
                            values![tenant, webhook, *delivery, *at],
                        )
                        .await?;
                }
            }
        }
        match &self.failure {
            Some((why, until)) => {
                tx.sql
                    .execute(
                        "UPDATE webhook SET failure = ?3, paused_until = ?4 WHERE tenant = ?1 AND pk = ?2",
                        values![tenant, webhook, why, *until],
                    )
                    .await?;
            }
            None => {
                tx.sql
                    .execute(
                        "UPDATE webhook SET failure = NULL WHERE tenant = ?1 AND pk = ?2
                           AND failure IS NOT NULL",
                        values![tenant, webhook],
                    )
                    .await?;
            }
        }
        Ok(())
    }
}

impl Settle {
    fn doer(&self) -> Doer {
        Doer {
            tenant: self.tenant,
            integration: Some(self.integration),
            actor: "server".into(),
            source: String::new(),
            now: self.now,
            whereabouts: Whereabouts::default(),
        }
    }
}
