//! `serve`: the API.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Common, Environment};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::config::{LogConfig, LogFormat};
use crate::outside::System;

/// Serve the API until told to stop.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// Serves.
    ///
    /// # Errors
    /// What kept it from starting.
    pub fn run(
        self,
        common: &Common,
        environment: &Environment,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let config = common.load(self.listen)?;
        begin_log(config.log);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(crate::serve::serve(
            config,
            environment.credentials.as_deref(),
            &environment.host,
            Arc::new(System),
            Arc::new(System),
            out,
        ))
    }
}

/// The log goes to standard error. Libraries say no more than warnings, whatever the level: what they tell
/// of their work can be what a client sent.
fn begin_log(config: LogConfig) {
    let targets =
        Targets::new().with_default(config.level.min(Level::WARN)).with_target("oss2fa", config.level);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}
