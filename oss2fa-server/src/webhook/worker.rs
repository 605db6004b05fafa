//! The worker: claims what is due, sends it, writes down what came of it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::send::Post;
use crate::config::WebhooksConfig;
use crate::ids::{TenantId, WebhookId};
use crate::outside::{Clock, Timestamp};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::verbs::deliveries::{Claim, ClaimDeliveries, Delivery, DueWebhooks, Outcome, Settle};

/// Webhooks that one node serves at the same time: a slow receiver holds up nobody else.
const AT_ONCE: usize = 64;

/// Deliveries to one webhook at the same time.
const TOGETHER: u32 = 8;

/// How long nothing is sent to a webhook where the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(10);

/// When something is tried; all in seconds but the first.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often the outbox is looked at.
    pub look_every: Duration,
    /// Until a failed delivery is tried again for the first time; then three times as long, and so on.
    pub first_pause: u32,
    /// No pause is longer.
    pub longest_pause: u32,
    /// For how long nothing at all is sent to a webhook after a failure.
    pub webhook_pause: u32,
    /// After how long a delivery is given up.
    pub give_up_after: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            look_every: Duration::from_secs(1),
            first_pause: 10,
            longest_pause: 3 * 3600,
            webhook_pause: 10,
            give_up_after: 24 * 3600,
        }
    }
}

impl Timing {
    fn after_failure(&self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let factor = 3_u32.saturating_pow(delivery.attempts.saturating_sub(1));
        let next = now.after(self.first_pause.saturating_mul(factor).min(self.longest_pause));
        if next > delivery.created_at.after(self.give_up_after) {
            Outcome::GivenUp
        } else {
            Outcome::Again(next)
        }
    }
}

/// Sends the deliveries of all webhooks.
pub struct Worker {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    post: Post,
    timing: Timing,
    claim_seconds: u32,
    busy: Mutex<HashSet<WebhookId>>,
}

/// A webhook that this node serves; free again when this is dropped, however that comes.
struct Busy(Arc<Worker>, WebhookId);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

impl Worker {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, config: WebhooksConfig, timing: Timing) -> Self {
        // Longer than a try can take: nobody else sends meanwhile what is being sent.
        let claim_seconds = u32::try_from(config.timeout.as_secs()).unwrap_or(u32::MAX).saturating_add(30);
        Self { store, clock, post: Post::new(config), timing, claim_seconds, busy: Mutex::default() }
    }

    /// Sends for as long as it is polled. What is under way when it is dropped is sent again later.
    pub async fn run(self: Arc<Self>) {
        let mut every = tokio::time::interval(self.timing.look_every);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut serving = JoinSet::new();
        loop {
            tokio::select! {
                _ = every.tick() => self.look(&mut serving).await,
                Some(_) = serving.join_next() => {}
            }
        }
    }

    async fn look(self: &Arc<Self>, serving: &mut JoinSet<()>) {
        let due = match self.store.read(DueWebhooks { now: self.clock.now() }).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(code = "webhooks", %error, "the outbox cannot be read; looked at again soon");
                return;
            }
        };
        for (tenant, webhook) in due {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            if busy.len() >= AT_ONCE {
                return;
            }
            if busy.insert(webhook) {
                let busy = Busy(Arc::clone(self), webhook);
                serving.spawn(async move { busy.0.serve(tenant, busy.1).await });
            }
        }
    }

    /// Sends what is due for one webhook, until nothing is, or one fails.
    async fn serve(&self, tenant: TenantId, webhook: WebhookId) {
        loop {
            match self.send_some(tenant, webhook).await {
                Ok(Progress::More) => {}
                Ok(Progress::Pause) => return,
                Err(error) => {
                    tracing::warn!(code = "webhooks", webhook = webhook.0, %error, "deliveries wait for the store");
                    tokio::time::sleep(STORE_PAUSE).await;
                    return;
                }
            }
        }
    }

    async fn send_some(&self, tenant: TenantId, webhook: WebhookId) -> Result<Progress, StoreError> {
        let now = self.clock.now();
        let until = now.after(self.claim_seconds);
        let claim = ClaimDeliveries { tenant, webhook, now, until, most: TOGETHER };
        let Some(claim) = self.store.write(claim).await? else { return Ok(Progress::Pause) };
        if claim.deliveries.is_empty() {
            return Ok(Progress::Pause);
        }
        let tried = self.send_all(&claim).await;
        let now = self.clock.now();
        let failure = tried.iter().find_map(|tried| tried.as_ref().err()).cloned();
        let outcomes = claim
            .deliveries
            .iter()
            .zip(&tried)
            .map(|(delivery, tried)| {
                let outcome = match tried {
                    Ok(()) => Outcome::Delivered,
                    Err(_) => self.timing.after_failure(delivery, now),
                };
                (delivery.pk, outcome)
            })
            .collect();
        if let Some(why) = &failure {
            tracing::info!(code = "webhook_failed", webhook = webhook.0, %why, "a delivery was not taken");
        }
        let progress = if failure.is_some() { Progress::Pause } else { Progress::More };
        let failure = failure.map(|why| (why, now.after(self.timing.webhook_pause)));
        let integration = claim.integration;
        self.store.write(Settle { tenant, webhook, integration, now, outcomes, failure }).await?;
        Ok(progress)
    }

    /// Together: what came of each, in their order.
    async fn send_all(&self, claim: &Claim) -> Vec<Result<(), String>> {
        let now = self.clock.now();
        let mut waiting: Vec<_> = claim
            .deliveries
            .iter()
            .map(|delivery| (Box::pin(self.post.send(claim, delivery, now)), None))
            .collect();
        std::future::poll_fn(|context| {
            let mut pending = false;
            for (sending, tried) in &mut waiting {
                if tried.is_none() {
                    match sending.as_mut().poll(context) {
                        std::task::Poll::Ready(done) => *tried = Some(done),
                        std::task::Poll::Pending => pending = true,
                    }
                }
            }
            if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        })
        .await;
        waiting.into_iter().map(|(_, tried)| tried.unwrap_or_else(|| Err("not sent".to_owned()))).collect()
    }
}

/// Whether a webhook is served on at once.
enum Progress {
    /// All were taken: there may be more.
    More,
    /// There is no more, or one was not taken.
    Pause,
}
