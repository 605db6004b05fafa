//! Apps of ungleich-otp: each is a client whose name is the app's UUID, with one device.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use serde::Serialize;

use super::clients::{ChangeClient, ClientChange, ClientStatus, MATERIAL, stored};
use super::devices::{add_device, hold_secrets, remove_device};
use super::integrations::hold_integration;
use super::locks::counted_as;
use super::tenants::Removed;
use super::{Doer, Page};
use crate::config::SeedReads;
use crate::device::app::KIND;
use crate::device::{NewDevice, StoredDevice};
use crate::ids::{AppUuid, ClientId, IntegrationId, TenantId, Username};
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Query, Tx, Verb};
use crate::values;

/// An app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct App {
    /// The number of its client.
    pub client: ClientId,
    /// Its name outside.
    pub appuuid: AppUuid,
    /// What its owner calls it.
    pub appname: String,
    /// Whose it is.
    pub username: Username,
    /// May it ask about others?
    pub trusted: Trusted,
    /// Since when.
    pub created_at: Timestamp,
}

/// Whether an app may ask about others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "bool")]
pub enum Trusted {
    /// It may.
    Yes,
    /// It may speak for itself alone.
    No,
}

impl From<Trusted> for bool {
    fn from(trusted: Trusted) -> Self {
        trusted == Trusted::Yes
    }
}

impl From<bool> for Trusted {
    fn from(trusted: bool) -> Self {
        if trusted { Self::Yes } else { Self::No }
    }
}

fn app_of(row: &Row) -> Result<App, StoreError> {
    Ok(App {
        client: row.take(0)?,
        appuuid: row.take(1)?,
        appname: row.take(2)?,
        username: row.take(3)?,
        trusted: Trusted::from(row.take::<i64>(4)? == 1),
        created_at: row.take(5)?,
    })
}

/// Makes an app with its client and device.
#[derive(Debug)]
pub struct RegisterApp {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// The app's name outside.
    pub app: AppUuid,
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub username: Username,
    /// May it ask about others?
    pub trusted: Trusted,
    /// What checks its tokens.
    pub device: NewDevice,
    /// How often somebody has seen the seed.
    pub seed_reads: u32,
    /// Most apps of one user.
    pub most: u32,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Registered {
    /// Done.
    New(App),
    /// There is an app, or a client of another kind, of this UUID.
    Taken,
    /// The user has as many as there may be.
    TooMany,
    /// The seed is that of another device: each token would pass once for each of the two.
    SeedInUse,
}

impl Verb for RegisterApp {
    type Output = Registered;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Registered, StoreError> {
        let Doer { tenant, integration, now, .. } = self.doer;
        let Some(fingerprint) = self.fingerprint(tx).await? else {
            return Err(StoreError::Corrupt("an app without a seed"));
        };
        hold_secrets(tx, tenant).await?;
        // Registrations take turns: whoever counts, counts all.
        if hold_integration(tx, tenant, integration).await?.is_none() {
            return Err(StoreError::NoKeys(tenant.0));
        }
        let count = tx
            .sql
            .row(
                "SELECT count(*) FROM app WHERE tenant = ?1 AND integration = ?2 AND username = ?3",
                values![tenant, integration, &self.username],
            )
            .await?;
        if count.map_or(Ok(0), |row| row.take::<i64>(0))? >= i64::from(self.most) {
            return Ok(Registered::TooMany);
        }
        let Some(position) = position_of(tx, tenant, &fingerprint).await? else {
            return Ok(Registered::SeedInUse);
        };
        let client = tx
            .sql
            .row(
                "INSERT INTO client (tenant, integration, username, status, created_at)
                 VALUES (?1, ?2, ?3, 'active', ?4) ON CONFLICT (integration, username) DO NOTHING RETURNING pk",
                values![tenant, integration, &self.app, now],
            )
            .await?;
        let Some(client) = client else { return Ok(Registered::Taken) };
        let client: ClientId = client.take(0)?;
        let device =
            add_device(tx, &self.doer, client, KIND, &self.device, Some(&fingerprint), position).await?;
        let made = tx
            .sql
            .row(
                "INSERT INTO app (client, tenant, integration, uuid, device, name, username, trusted,
                    seed_reads, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 RETURNING client, uuid, name, username, trusted, created_at",
                values![
                    client,
                    tenant,
                    integration,
                    &self.app,
                    device,
                    &self.name,
                    &self.username,
                    i64::from(bool::from(self.trusted)),
                    i64::from(self.seed_reads),
                    now
                ],
            )
            .await?
            .ok_or(StoreError::Corrupt("an app that was not written"))?;
        let trusted = if self.trusted == Trusted::Yes { " trusted" } else { "" };
        let detail = format!("user={} device={device}{trusted}", self.username);
        tx.events.push(self.doer.event("app_registered", self.app.as_str(), detail));
        Ok(Registered::New(app_of(&made)?))
    }
}

impl RegisterApp {
    async fn fingerprint<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<[u8; 32]>, StoreError> {
        let keys = tx.keys(self.doer.tenant).await?;
        Ok(self.device.code_secret.as_ref().map(|secret| keys.fingerprint(secret)))
    }
}

/// The lowest step that may be accepted of a seed: above all that were, of devices that are gone. `None`
/// where an active device has the seed, or nobody knows how far one was used.
pub(super) async fn position_of<S: Sql>(
    tx: &mut Tx<'_, S>,
    tenant: TenantId,
    fingerprint: &[u8; 32],
) -> Result<Option<i64>, StoreError> {
    let rows = tx
        .sql
        .rows(
            "SELECT d.status, d.next_position FROM device_fingerprint f
                JOIN device d ON d.pk = f.device AND d.tenant = f.tenant
             WHERE f.tenant = ?1 AND f.fingerprint = ?2",
            values![tenant, fingerprint],
        )
        .await?;
    let mut position = 0;
    for row in rows {
        if row.take::<String>(0)? == "active" {
            return Ok(None);
        }
        let Some(kept) = row.take(1)? else { return Ok(None) };
        position = position.max(kept);
    }
    Ok(Some(position))
}

/// An app with all that its token is held against.
#[derive(Debug)]
pub struct FindApp {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Which.
    pub app: AppUuid,
    /// Where its token comes from, as locks have it.
    pub source: String,
    /// Since when the device must have been used, so that its use need not be written down again.
    pub used_since: Timestamp,
    /// Since when the source must be known, likewise.
    pub known_since: Timestamp,
    /// When.
    pub now: Timestamp,
}

/// What was found.
#[derive(Debug)]
pub struct FoundApp {
    /// The app.
    pub app: App,
    /// The status of its client.
    pub status: ClientStatus,
    /// Its device; `None`: it was removed, and only a new seed helps.
    pub device: Option<StoredDevice>,
    /// What accepting a token would have to write.
    pub writing: Writing,
}

/// What accepting a token of an app would have to write, where the token is not spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Nothing: no lock is closed or to be cleared, source and use were written down a moment ago.
    Nothing,
    /// Something, or a lock must be looked at.
    Something,
}

impl Query for FindApp {
    type Output = Option<FoundApp>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Option<FoundApp>, StoreError> {
        let source = counted_as(&self.source);
        let (of_source, own) = (format!("*|*|{source}"), format!("|{KIND}|{source}"));
        // One statement: this is asked for every token.
        let row = tx
            .sql
            .row(
                "SELECT a.client, a.uuid, a.name, a.username, a.trusted, a.created_at, c.status,
                        d.pk, d.sealed, u.next_position,
                    CAST(CASE WHEN u.last_used_at > ?4
                        AND EXISTS (SELECT 1 FROM known_source k
                            WHERE k.tenant = ?1 AND k.client = a.client AND k.source = ?6 AND k.seen_at > ?5)
                        AND NOT EXISTS (SELECT 1 FROM lock l WHERE l.tenant = ?1 AND l.client = a.client
                            AND (l.locked_until > ?9 OR l.scope = CAST(a.client AS TEXT) || CAST(?7 AS TEXT)))
                        AND NOT EXISTS (SELECT 1 FROM lock l WHERE l.tenant = ?1 AND l.scope = ?8
                            AND l.locked_until > ?9)
                    THEN 0 ELSE 1 END AS BIGINT)
                 FROM app a JOIN client c ON c.pk = a.client AND c.tenant = a.tenant
                    LEFT JOIN device d ON d.pk = a.device AND d.tenant = a.tenant AND d.client = a.client
                        AND d.status = 'active'
                    LEFT JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE a.tenant = ?1 AND a.integration = ?2 AND a.uuid = ?3",
                values![
                    self.tenant,
                    self.integration,
                    &self.app,
                    self.used_since,
                    self.known_since,
                    &*source,
                    &own,
                    &of_source,
                    self.now
                ],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let device = match row.take::<Option<DeviceId>>(7)? {
            None => None,
            Some(pk) => {
                let sealed: Vec<u8> = row.take(8)?;
                let keys = tx.keys_for(self.tenant, &sealed).await?;
                Some(stored(&keys, pk, &sealed, row.take(9)?, Vec::new())?)
            }
        };
        let writing = if row.take::<i64>(10)? == 0 { Writing::Nothing } else { Writing::Something };
        let status = ClientStatus::parse(&row.take::<String>(6)?)?;
        Ok(Some(FoundApp { app: app_of(&row)?, status, device, writing }))
    }
}

/// Apps by the number of their client.
#[derive(Debug)]
pub struct ListApps {
    /// Whose.
    pub tenant: TenantId,
    /// Of which integration.
    pub integration: IntegrationId,
    /// Only of this user.
    pub username: Option<Username>,
    /// Which page.
    pub page: Page,
}

/// Apps of an integration by the number of their client, with this further condition.
macro_rules! apps_where {
    ($condition:literal) => {
        concat!(
            "SELECT client, uuid, name, username, trusted, created_at FROM app
             WHERE tenant = ?1 AND integration = ?2 AND client > ?3 ",
            $condition,
            " ORDER BY client LIMIT ?4"
        )
    };
}

impl Query for ListApps {
    type Output = Vec<App>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<App>, StoreError> {
        let Self { tenant, integration, username, page } = self;
        let rows = match username {
            None => {
                let values = values![*tenant, *integration, page.after, page.limit];
                tx.sql.rows(apps_where!(""), values).await?
            }
            Some(username) => {
                let values = values![*tenant, *integration, page.after, page.limit, username];
                tx.sql.rows(apps_where!("AND username = ?5"), values).await?
            }
        };
        rows.iter().map(app_of).collect()
    }
}

/// Holds the row of an app's client, as whoever changes a client does; the app is read after that wait.
async fn hold<S: Sql>(tx: &mut Tx<'_, S>, doer: &Doer, app: &AppUuid) -> Result<(), StoreError> {
    tx.sql
        .row(
            "SELECT pk FROM client WHERE tenant = ?1 AND integration = ?2 AND username = ?3 FOR UPDATE",
            values![doer.tenant, doer.integration, app],
        )
        .await?;
    Ok(())
}

/// Shows the seed of an app, where the policy still lets somebody see it; that it was shown is written down.
#[derive(Debug)]
pub struct TakeSeed {
    /// Who asks; in whose tenant and integration.
    pub doer: Doer,
    /// Of which app.
    pub app: AppUuid,
    /// Only where it is this user's.
    pub username: Option<Username>,
    /// How often; `None`: an administrator may always, and that is not counted.
    pub reads: Option<SeedReads>,
}

/// What came of it.
#[derive(Debug)]
pub enum TakenSeed {
    /// The material of the device.
    Material(SecretBytes),
    /// There is no such app of this user.
    NotThere,
    /// Not any more: only a new seed helps.
    Spent,
}

impl Verb for TakeSeed {
    type Output = TakenSeed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<TakenSeed, StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        hold(tx, &self.doer, &self.app).await?;
        let found = tx
            .sql
            .row(
                "SELECT a.client, d.pk, d.sealed, u.last_used_at FROM app a
                    LEFT JOIN device d ON d.pk = a.device AND d.tenant = a.tenant AND d.client = a.client
                        AND d.status = 'active'
                    LEFT JOIN device_use u ON u.client = d.client AND u.device = d.pk AND u.tenant = d.tenant
                 WHERE a.tenant = ?1 AND a.integration = ?2 AND a.uuid = ?3
                   AND (CAST(?4 AS TEXT) IS NULL OR a.username = ?4)",
                values![tenant, integration, &self.app, self.username.as_ref()],
            )
            .await?;
        let Some(found) = found else { return Ok(TakenSeed::NotThere) };
        let Some(device) = found.take::<Option<DeviceId>>(1)? else { return Ok(TakenSeed::Spent) };
        if self.reads == Some(SeedReads::UntilFirstUse) && found.take::<Option<Timestamp>>(3)?.is_some() {
            return Ok(TakenSeed::Spent);
        }
        let most = match self.reads {
            Some(SeedReads::Once) => 0,
            Some(SeedReads::Always | SeedReads::UntilFirstUse) | None => i64::from(u32::MAX),
        };
        let counted = i64::from(self.reads.is_some());
        // Its row count is the verdict: of two who ask at once, one sees it.
        let shown = tx
            .sql
            .execute(
                "UPDATE app SET seed_reads = seed_reads + CAST(?5 AS BIGINT)
                 WHERE tenant = ?1 AND client = ?2 AND device = ?3 AND seed_reads <= CAST(?4 AS BIGINT)",
                values![tenant, found.take::<ClientId>(0)?, device, most, counted],
            )
            .await?;
        if shown != 1 {
            return Ok(TakenSeed::Spent);
        }
        let sealed: Vec<u8> = found.take(2)?;
        let keys = tx.keys_for(tenant, &sealed).await?;
        let material = keys.open(MATERIAL, device.0, &sealed).map_err(|_| StoreError::Sealed("device"))?;
        tx.events.push(self.doer.event("seed_read", self.app.as_str(), format!("device={device}")));
        Ok(TakenSeed::Material(material))
    }
}

/// Changes an app.
#[derive(Debug)]
pub struct ChangeApp {
    /// Who does it; in whose tenant and integration.
    pub doer: Doer,
    /// Which.
    pub app: AppUuid,
    /// What.
    pub change: AppChange,
}

/// A change of an app.
#[derive(Debug)]
pub enum AppChange {
    /// Whether it may ask about others.
    Trust(Trusted),
    /// Another seed, which whoever does it is shown; tokens of the old one are worth nothing.
    Seed(Box<NewDevice>),
    /// Remove it with its client.
    Remove,
}

impl Verb for ChangeApp {
    type Output = Removed;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Removed, StoreError> {
        let Doer { tenant, integration, .. } = self.doer;
        hold(tx, &self.doer, &self.app).await?;
        let found = tx
            .sql
            .row(
                "SELECT client, device FROM app WHERE tenant = ?1 AND integration = ?2 AND uuid = ?3",
                values![tenant, integration, &self.app],
            )
            .await?;
        let Some(found) = found else { return Ok(Removed::NotThere) };
        let client: ClientId = found.take(0)?;
        match &self.change {
            AppChange::Remove => {
                let remove = ChangeClient { doer: self.doer.clone(), client, change: ClientChange::Remove };
                return remove.run(tx).await;
            }
            AppChange::Trust(trusted) => {
                tx.sql
                    .execute(
                        "UPDATE app SET trusted = ?3 WHERE tenant = ?1 AND client = ?2",
                        values![tenant, client, i64::from(bool::from(*trusted))],
                    )
                    .await?;
                let what = if *trusted == Trusted::Yes { "app_trusted" } else { "app_untrusted" };
                tx.events.push(self.doer.event(what, self.app.as_str(), ""));
            }
            AppChange::Seed(new) => {
                remove_device(tx, tenant, client, found.take(1)?).await?;
                let keys = tx.keys(tenant).await?;
                let fingerprint = new.code_secret.as_ref().map(|secret| keys.fingerprint(secret));
                let device = add_device(tx, &self.doer, client, KIND, new, fingerprint.as_ref(), 0).await?;
                tx.sql
                    .execute(
                        "UPDATE app SET device = ?3, seed_reads = 1 WHERE tenant = ?1 AND client = ?2",
                        values![tenant, client, device],
                    )
                    .await?;
                tx.events.push(self.doer.event(
                    "seed_rotated",
                    self.app.as_str(),
                    format!("device={device}"),
                ));
            }
        }
        Ok(Removed::Done)
    }
}
