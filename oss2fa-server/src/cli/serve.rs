//! `serve`: the API.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use super::context::Context;
use super::failure::{Code, Failure};
use crate::config::{ConfigError, LogConfig, LogFormat};

/// Serve the API until told to stop
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

impl Serve {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.common().load(self.listen)?.with_fallbacks(&context.environment.fallbacks)?;
        begin_log(config.log);
        let cannot = |error: anyhow::Error| Failure::new(Code::CannotServe, format!("{error:#}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| cannot(error.into()))?;
        let environment = context.environment;
        let served = runtime.block_on(crate::serve::serve(
            config,
            environment.credentials.as_deref(),
            &environment.host,
            Arc::clone(&environment.clock),
            Arc::clone(&environment.random),
            context.console.stdout,
        ));
        served.map_err(|error| match error.downcast::<ConfigError>() {
            Ok(error) => error.into(),
            Err(error) => cannot(error),
        })
    }
}

/// The log goes to standard error. Libraries say no more than warnings, whatever the level: what they tell
/// of their work can be what a client sent.
fn begin_log(config: LogConfig) {
    let targets = Targets::new()
        .with_default(config.level.min(Level::WARN))
        // What it has to say, `bus` says once and in other words.
        .with_target("lapin", LevelFilter::OFF)
        // What a client sent would stand in it; `device::fido` says why an answer was refused.
        .with_target("webauthn_rs", LevelFilter::OFF)
        .with_target("webauthn_attestation_ca", LevelFilter::OFF)
        .with_target("crypto_glue", LevelFilter::OFF)
        .with_target("oss2fa", config.level);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(targets)).init();
}
