//! The command line: `oss2fa-server COMMAND`.

pub mod serve;

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Overrides};

/// The OSS2FA server: second factors for applications, for many tenants.
#[derive(Debug, Parser)]
#[command(name = "oss2fa-server", version, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Configuration file; without it /etc/oss2fa/server.toml, where that is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store, the master key and the self-signed certificate
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Common {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(&self, listen: Option<SocketAddr>) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), Overrides { data_dir: self.data_dir.clone(), listen })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API until told to stop
    Serve(serve::Serve),
}

/// What comes from the process around the library.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The folder that systemd gave for credentials.
    pub credentials: Option<PathBuf>,
    /// The name of this host, for the self-signed certificate.
    pub host: String,
}

/// Runs a command.
pub fn run(
    arguments: impl Iterator<Item = OsString>,
    environment: &Environment,
    out: &mut (dyn Write + Send),
    err: &mut (dyn Write + Send),
) -> ExitCode {
    let Arguments { common, command } = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let text = error.render().to_string();
            let _ = if error.use_stderr() {
                err.write_all(text.as_bytes())
            } else {
                out.write_all(text.as_bytes())
            };
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match command {
        Command::Serve(serve) => serve.run(&common, environment, out),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(err, "oss2fa-server: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 3 })
        }
    }
}
