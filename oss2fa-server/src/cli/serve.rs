//! `serve`: the API.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Common, Environment};
use crate::config::LogFormat;
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
        let log = tracing_subscriber::fmt().with_max_level(config.log.level).with_writer(std::io::stderr);
        match config.log.format {
            LogFormat::Text => log.with_ansi(false).init(),
            LogFormat::Json => log.json().init(),
        }
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
