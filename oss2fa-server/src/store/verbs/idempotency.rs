//! Requests that are sent again: a key is reserved once, and the answer kept with it, sealed.
//!
//! A row without a status is a reservation: its request is under way, or has ended without an answer. The row
//! count of one INSERT decides who runs the request.

use data_encoding::{BASE64, HEXLOWER};
use oss2fa_core::secret::{SecretBytes, SecretText};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ids::{AdministratorId, IntegrationId, TenantId};
use crate::keys::TenantKeys;
use crate::outside::{SECOND, Timestamp};
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};
use crate::store::verb::{Tx, Verb};
use crate::values;

/// For how long an answer is kept, in seconds.
pub const KEPT_FOR: u32 = 24 * 3600;

/// After so many seconds nobody works on a request any more.
const UNDER_WAY: i64 = 60 * SECOND;

const PLACE: &str = "idempotency.sealed";

/// Whose key it is: the same word of two principals is two keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// An integration.
    Integration(IntegrationId),
    /// An administrator.
    Administrator(AdministratorId),
}

impl Principal {
    fn word(self) -> String {
        match self {
            Self::Integration(pk) => format!("integration:{pk}"),
            Self::Administrator(pk) => format!("administrator:{pk}"),
        }
    }
}

/// A key, whose it is, and the request that it was sent with.
#[derive(Debug, Clone)]
pub struct Marked {
    /// By whose keys the answer is sealed.
    pub tenant: TenantId,
    /// Whose key.
    pub principal: Principal,
    /// The key, as it was sent.
    pub key: String,
    /// SHA-256 of method, path and body.
    pub request: [u8; 32],
    /// When.
    pub now: Timestamp,
}

/// What is kept of a key and a request: keyed, because a request can hold a code of six digits.
struct Digests {
    principal: String,
    key: [u8; 32],
    request: [u8; 32],
}

impl Marked {
    fn digests(&self, keys: &TenantKeys) -> Digests {
        let principal = self.principal.word();
        let of = |purpose, text: &str| keys.digest(purpose, 0, &format!("{principal} {text}"));
        let key = of("idempotency key", &self.key);
        let request = of("idempotency request", &HEXLOWER.encode(&self.request));
        Digests { key, request, principal }
    }
}

impl Digests {
    /// What the sealed answer is bound to beside its tenant; the rest of the digests is within.
    fn pk(&self) -> i64 {
        i64::from_be_bytes(self.key.first_chunk().copied().unwrap_or_default())
    }

    fn bound(&self) -> String {
        HEXLOWER.encode(&[self.key, self.request].concat())
    }
}

/// An answer that is given again.
#[derive(Debug)]
pub struct KeptAnswer {
    /// Its status.
    pub status: u16,
    /// Those of its headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// Its body: it can hold a token or a secret that is shown once.
    pub body: SecretBytes,
}

#[derive(Serialize, Deserialize)]
struct Packed {
    bound: String,
    headers: Vec<(String, String)>,
    body: SecretText,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Reserved {
    /// It is the first of its key: run it.
    Yours,
    /// It was answered.
    Kept(KeptAnswer),
    /// The key was sent with another request.
    OtherRequest,
    /// The first is under way.
    UnderWay,
    /// The first has ended without an answer that could be kept.
    Unknown,
}

/// Reserves a key for a request.
#[derive(Debug)]
pub struct Reserve(pub Marked);

impl Verb for Reserve {
    type Output = Reserved;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Reserved, StoreError> {
        let Self(marked) = self;
        let keys = tx.keys(marked.tenant).await?;
        let digests = marked.digests(&keys);
        // A row that is too old counts as none, whether it was swept away already or not.
        let reserved = tx
            .sql
            .execute(
                "INSERT INTO idempotency (tenant, principal, key_digest, request_digest, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (principal, key_digest) DO UPDATE SET request_digest = excluded.request_digest,
                    status = NULL, sealed = NULL, created_at = excluded.created_at
                 WHERE idempotency.tenant = excluded.tenant
                   AND idempotency.created_at < CAST(?6 AS BIGINT)",
                values![
                    marked.tenant,
                    &digests.principal,
                    &digests.key,
                    &digests.request,
                    marked.now,
                    marked.now.before(KEPT_FOR)
                ],
            )
            .await?;
        if reserved == 1 {
            return Ok(Reserved::Yours);
        }
        let row = tx
            .sql
            .row(
                "SELECT request_digest, status, sealed, created_at FROM idempotency
                 WHERE tenant = ?1 AND principal = ?2 AND key_digest = ?3",
                values![marked.tenant, &digests.principal, &digests.key],
            )
            .await?;
        // Released since, by whoever had it: the next try will have it.
        let Some(row) = row else { return Ok(Reserved::UnderWay) };
        let keys = match row.take::<Option<Vec<u8>>>(2)? {
            Some(sealed) => tx.keys_for(marked.tenant, &sealed).await?,
            None => keys,
        };
        found(&row, &keys, &digests, marked.now)
    }
}

fn found(row: &Row, keys: &TenantKeys, digests: &Digests, now: Timestamp) -> Result<Reserved, StoreError> {
    let request: Vec<u8> = row.take(0)?;
    if request != digests.request {
        return Ok(Reserved::OtherRequest);
    }
    let (status, sealed): (Option<u32>, Option<Vec<u8>>) = (row.take(1)?, row.take(2)?);
    let Some((status, sealed)) = status.zip(sealed) else {
        let since: Timestamp = row.take(3)?;
        let recent = now.0.saturating_sub(since.0) < UNDER_WAY;
        return Ok(if recent { Reserved::UnderWay } else { Reserved::Unknown });
    };
    let status = u16::try_from(status).map_err(|_| StoreError::Corrupt("a status that is none"))?;
    // Its key may be gone after a rotation: then nobody can tell any more what was answered.
    Ok(keys
        .open(PLACE, digests.pk(), &sealed)
        .ok()
        .and_then(|plain| serde_json::from_slice::<Packed>(plain.expose()).ok())
        .filter(|packed| packed.bound == digests.bound())
        .and_then(|packed| {
            let body = SecretBytes::new(BASE64.decode(packed.body.expose().as_bytes()).ok()?);
            Some(KeptAnswer { status, headers: packed.headers, body })
        })
        .map_or(Reserved::Unknown, Reserved::Kept))
}

/// Keeps the answer to a request whose key was reserved.
#[derive(Debug)]
pub struct Keep {
    /// As it was reserved.
    pub marked: Marked,
    /// The answer.
    pub answer: KeptAnswer,
}

impl Verb for Keep {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let Self { marked, answer } = self;
        let keys = tx.keys(marked.tenant).await?;
        let digests = marked.digests(&keys);
        let packed = Packed {
            bound: digests.bound(),
            headers: answer.headers.clone(),
            body: SecretText::new(BASE64.encode(answer.body.expose())),
        };
        let plain = serde_json::to_vec(&packed)
            .map(Zeroizing::new)
            .map_err(|_| StoreError::Corrupt("an answer that cannot be written"))?;
        let sealed = keys.seal(PLACE, digests.pk(), &plain, tx.ring.random())?;
        tx.sql
            .execute(
                "UPDATE idempotency SET status = ?5, sealed = ?6
                 WHERE tenant = ?1 AND principal = ?2 AND key_digest = ?3 AND created_at = ?4
                   AND status IS NULL",
                values![
                    marked.tenant,
                    &digests.principal,
                    &digests.key,
                    marked.now,
                    u32::from(answer.status),
                    &sealed
                ],
            )
            .await?;
        Ok(())
    }
}

/// Gives a reserved key back: nothing was done, and the same request may be tried again.
#[derive(Debug)]
pub struct Release(pub Marked);

impl Verb for Release {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let Self(marked) = self;
        let keys = tx.keys(marked.tenant).await?;
        let digests = marked.digests(&keys);
        tx.sql
            .execute(
                "DELETE FROM idempotency WHERE tenant = ?1 AND principal = ?2 AND key_digest = ?3
                   AND created_at = ?4 AND status IS NULL",
                values![marked.tenant, &digests.principal, &digests.key, marked.now],
            )
            .await?;
        Ok(())
    }
}
