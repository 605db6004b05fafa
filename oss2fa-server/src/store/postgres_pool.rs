//! Connections to PostgreSQL: their limits in time, and what the server must promise on each.

use std::path::Path;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::NoTls;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::error::StoreError;
use crate::config::PostgresUrl;

/// How long a connection may take to come about, and how long to wait for a free one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the server ends what takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// It does: whoever waits must get an answer. Less than the time after which none is waited for.
    Serving,
    /// It does not: a migration or a copy goes through the whole database.
    None,
}

impl Limits {
    fn options(self) -> &'static str {
        match self {
            Self::Serving => {
                "-c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
            }
            Self::None => "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0",
        }
    }
}

/// A commit is acknowledged when it is on disk, whatever the database's own setting is.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

pub(super) fn pool(
    url: &PostgresUrl,
    authorities: Option<&Path>,
    connections: usize,
    limits: Limits,
) -> Result<Pool, StoreError> {
    let mut config = url.connection().clone();
    // The administrator's own options come last, and win.
    let options = [
        "-c default_transaction_isolation=read\\ committed",
        limits.options(),
        url.connection().get_options().unwrap_or_default(),
    ];
    config
        .options(options.join(" "))
        .application_name("oss2fa-server")
        .connect_timeout(PATIENCE)
        .tcp_user_timeout(Duration::from_secs(10))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(30))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        // A standby takes no writes; of several hosts the one is meant that does.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    // A connector for TLS is asked for a name even where it is not used, and a socket's path is none.
    let manager = match config.get_ssl_mode() {
        SslMode::Disable => Manager::from_config(config, NoTls, recycling),
        _ => Manager::from_config(config, super::postgres_tls::connector(authorities)?, recycling),
    };
    let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
    Pool::builder(manager)
        .max_size(connections)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(DURABLE).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|error| StoreError::Database(error.to_string()))
}
