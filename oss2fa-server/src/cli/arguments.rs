//! The words of the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::context::{Context, Form};
use super::failure::Failure;
use super::{
    admin, app, audit, backup, check_config, client, completions, import, integration, key, man, serve,
    store, tenant, yubico_client,
};
use crate::config::{Config, ConfigError, Overrides};

const EXIT_STATUSES: &str = "\
Exit status:
  0  done
  1  refused: something is not allowed or not there
  2  the command line or the configuration file cannot be used
  3  the server cannot serve, or the store does not answer";

/// The OSS2FA server: second factors for applications, for many tenants
///
/// All commands besides `serve` work on the store itself, beside the server while it runs or without it.
#[derive(Debug, Parser)]
#[command(name = "oss2fa-server", version, max_term_width = 100, after_help = EXIT_STATUSES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Configuration file; without it /etc/oss2fa/server.toml, where that is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store, the master key and the self-signed certificate
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON; errors too, on standard error, as {"error": CODE, "message": TEXT}
    #[arg(long, global = true)]
    json: bool,
}

impl Common {
    /// Reads the configuration.
    pub(crate) fn load(&self, listen: Option<SocketAddr>) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), Overrides { data_dir: self.data_dir.clone(), listen })
    }

    /// How results and errors are presented.
    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Words }
    }

    /// The flags that lead to the same store.
    pub(crate) fn flags(&self) -> String {
        let flag = |name: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| format!(" --{name} {}", path.display())).unwrap_or_default()
        };
        format!("{}{}", flag("config", &self.config), flag("data-dir", &self.data_dir))
    }
}

/// One variant a command, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Serve),
    CheckConfig(check_config::CheckConfig),
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    #[command(subcommand)]
    Integration(integration::Integration),
    #[command(subcommand)]
    Client(client::Client),
    #[command(subcommand)]
    App(app::App),
    #[command(subcommand)]
    YubicoClient(yubico_client::YubicoClient),
    #[command(subcommand)]
    Import(import::Import),
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Key(key::Key),
    #[command(subcommand)]
    Store(store::Store),
    Backup(backup::Backup),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Serve(command) => command.run(context),
            Self::CheckConfig(command) => command.run(context),
            Self::Tenant(command) => command.run(context),
            Self::Integration(command) => command.run(context),
            Self::Client(command) => command.run(context),
            Self::App(command) => command.run(context),
            Self::YubicoClient(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::Admin(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Key(command) => command.run(context),
            Self::Store(command) => command.run(context),
            Self::Backup(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
        }
    }
}
