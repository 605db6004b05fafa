//! Fills a new store with many HOTP devices, for measurements: `fill_store DIR COUNT`.
//!
//! Client `u<i>` has the secret SHA-256("bench" || i)[..20], six digits, counter 0. The last line on standard
//! output is the token of the integration.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the token goes to standard output")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use data_encoding::BASE32_NOPAD;
use oss2fa_core::secret::SecretBytes;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::device::{Kinds, Surroundings};
use oss2fa_server::ids::{ClientId, IntegrationId, TenantId, Username};
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System, Timestamp};
use oss2fa_server::policy::Policy;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Tx, Verb};
use oss2fa_server::store::verbs::clients::MATERIAL;
use oss2fa_server::values;
use sha2::{Digest, Sha256};

/// Clients in one transaction.
const CHUNK: u32 = 1000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count] = arguments.as_slice() else { bail!("usage: fill_store DIR COUNT") };
    let overrides = Overrides { data_dir: Some(PathBuf::from(folder)), listen: None };
    let config = Config::parse(Path::new("fill_store"), "[log]\n", overrides)?;
    let (store, first) = open(&config, None, &System, Arc::new(System)).await?;
    let first = first.context("the folder has a store already")?;
    let count: u32 = count.parse()?;
    for from in (0..count).step_by(CHUNK as usize) {
        store
            .write(Fill {
                tenant: first.tenant.pk,
                integration: first.integration.pk,
                from,
                to: count.min(from + CHUNK),
                now: System.now(),
            })
            .await?;
    }
    store.close().await;
    println!("{}", first.credentials.token.expose());
    Ok(())
}

struct Fill {
    tenant: TenantId,
    integration: IntegrationId,
    from: u32,
    to: u32,
    now: Timestamp,
}

impl Verb for Fill {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        for i in self.from..self.to {
            let username =
                Username::parse(&format!("u{i}")).map_err(|_| StoreError::Corrupt("a name of the bench"))?;
            self.fill(tx, i, &username).await?;
        }
        Ok(())
    }
}

impl Fill {
    async fn fill<S: Sql>(&self, tx: &mut Tx<'_, S>, i: u32, username: &Username) -> Result<(), StoreError> {
        let client: ClientId = insert(
            tx,
            "INSERT INTO client (tenant, integration, username, status, created_at)
             VALUES (?1, ?2, ?3, 'active', ?4) RETURNING pk",
            values![self.tenant, self.integration, username, self.now],
        )
        .await
        .map(ClientId)?;
        let keys = tx.keys(self.tenant).await?;
        let secret = Sha256::digest(format!("bench{i}"));
        let secret = secret.get(..20).unwrap_or_default();
        let material = self.material(tx, secret, username).await?;
        let fingerprint = keys.fingerprint(&SecretBytes::new(secret.to_vec()));
        let device = insert(
            tx,
            "INSERT INTO device (tenant, client, kind, name, status, created_at)
             VALUES (?1, ?2, 'HOTP', 'Token', 'active', ?3) RETURNING pk",
            values![self.tenant, client, self.now],
        )
        .await?;
        let sealed = keys.seal(MATERIAL, device, material.expose(), tx.ring.random())?;
        tx.sql.execute("UPDATE device SET sealed = ?2 WHERE pk = ?1", values![device, &sealed]).await?;
        tx.sql
            .execute(
                "INSERT INTO device_use (client, device, tenant, next_position) VALUES (?1, ?2, ?3, 0)",
                values![client, device, self.tenant],
            )
            .await?;
        tx.sql
            .execute(
                "INSERT INTO device_fingerprint (fingerprint, device, tenant) VALUES (?1, ?2, ?3)",
                values![&fingerprint, device, self.tenant],
            )
            .await?;
        Ok(())
    }

    /// What the kind keeps of a device with this secret.
    async fn material<S: Sql>(
        &self,
        tx: &mut Tx<'_, S>,
        secret: &[u8],
        username: &Username,
    ) -> Result<SecretBytes, StoreError> {
        let secret = BASE32_NOPAD.encode(secret);
        let (kinds, policy, keys) = (Kinds::all(), Policy::default(), tx.keys(self.tenant).await?);
        let around = Surroundings {
            registered: &[],
            policy: &policy,
            issuer: "bench",
            username,
            keys: &keys,
            random: tx.ring.random(),
            now: self.now,
        };
        let options = serde_json::json!({ "secret": secret });
        let hotp = kinds.named("HOTP").ok_or(StoreError::Corrupt("a release without HOTP"))?;
        let step = hotp
            .prepare(&around, 0, &options)
            .map_err(|_| StoreError::Corrupt("a secret that HOTP does not take"))?;
        Ok(step.state)
    }
}

async fn insert<S: Sql>(
    tx: &mut Tx<'_, S>,
    sql: &'static str,
    values: &[oss2fa_server::store::sql::Value<'_>],
) -> Result<i64, StoreError> {
    let row = tx.sql.row(sql, values).await?;
    row.ok_or(StoreError::Corrupt("no number"))?.take(0)
}
