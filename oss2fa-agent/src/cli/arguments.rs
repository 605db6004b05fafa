//! The words of the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use oss2fa_core::ids::{BadName, DeviceId, DeviceName};

use super::context::{Context, Form};
use super::failure::Failure;
use super::{
    audit, backup, check_config, completions, confirm, doctor, enroll, export, import, keys, list, man, pam,
    recovery_codes, remove, rename, resync, serve, status, unlock, verify,
};
use crate::config::DEFAULT_PATH;

const EXIT_STATUSES: &str = "\
Exit status:
  0  done
  1  refused: a wrong code, something not allowed or not there
  2  the command line or the configuration file cannot be used
  3  the agent or its store does not answer

A code may be given as \"-\": it is then read from standard input and stays out of the list of processes.";

/// A second factor for the logins of this host: enrol, manage and check devices, and run the daemon
///
/// Everybody may enrol and manage their own devices where the policy allows it; a change of devices
/// that are there already needs a fresh code from one of them. Root may act for anyone with --user.
///
/// To begin: `oss2fa-agent enroll totp`, then `oss2fa-agent recovery-codes`.
#[derive(Debug, Parser)]
#[command(name = "oss2fa-agent", version, max_term_width = 100, after_help = EXIT_STATUSES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// The agent's configuration file
    #[arg(long, global = true, value_name = "PATH", default_value = DEFAULT_PATH)]
    pub(crate) config: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant a command, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Enroll(enroll::Enroll),
    Confirm(confirm::Confirm),
    List(list::List),
    Rename(rename::Rename),
    Remove(remove::Remove),
    RecoveryCodes(recovery_codes::RecoveryCodes),
    Resync(resync::Resync),
    Verify(verify::Verify),
    Unlock(unlock::Unlock),
    Import(import::Import),
    Export(export::Export),
    Status(status::Status),
    Audit(audit::Audit),
    Keys(keys::Keys),
    CheckConfig(check_config::CheckConfig),
    Doctor(doctor::Doctor),
    Pam(pam::Pam),
    Backup(backup::Backup),
    Serve(serve::Serve),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// How it presents its results, and its errors.
    pub(crate) fn form(&self) -> Form {
        match self {
            Self::Enroll(command) => command.output.form(),
            Self::Confirm(command) => command.output.form(),
            Self::List(command) => command.output.form(),
            Self::Rename(command) => command.output.form(),
            Self::Remove(command) => command.output.form(),
            Self::RecoveryCodes(command) => command.output.form(),
            Self::Resync(command) => command.output.form(),
            Self::Verify(command) => command.output.form(),
            Self::Unlock(command) => command.output.form(),
            Self::Import(command) => command.form(),
            Self::Export(command) => command.output.form(),
            Self::Status(command) => command.output.form(),
            Self::Audit(command) => command.output.form(),
            Self::Keys(command) => command.output.form(),
            Self::CheckConfig(command) => command.output.form(),
            Self::Doctor(command) => command.output.form(),
            Self::Backup(command) => command.output.form(),
            Self::Pam(_) | Self::Serve(_) | Self::Completions(_) | Self::Man(_) => Form::Words,
        }
    }

    /// Does it.
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Enroll(command) => command.run(context),
            Self::Confirm(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Rename(command) => command.run(context),
            Self::Remove(command) => command.run(context),
            Self::RecoveryCodes(command) => command.run(context),
            Self::Resync(command) => command.run(context),
            Self::Verify(command) => command.run(context),
            Self::Unlock(command) => command.run(context),
            Self::Import(command) => command.run(context),
            Self::Export(command) => command.run(context),
            Self::Status(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Keys(command) => command.run(context),
            Self::CheckConfig(command) => command.run(context),
            Self::Doctor(command) => command.run(context),
            Self::Pam(command) => command.run(context),
            Self::Backup(command) => command.run(context),
            Self::Serve(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Man(command) => command.run(context),
        }
    }
}

/// The number of a device, as `list` shows it.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, String> {
    // Where a server decides, "h" stands before the numbers of what this host keeps itself.
    // In JSON it is a minus.
    let (here, digits) = text.strip_prefix(['h', '-']).map_or((1, text), |digits| (-1, digits));
    match digits.parse::<i64>() {
        Ok(number) if number > 0 => Ok(DeviceId(number * here)),
        _ => Err("a device is named by its number: see `oss2fa-agent list`".to_owned()),
    }
}

/// The same the other way round.
pub(crate) fn shown_id(device: DeviceId) -> String {
    if device.0 < 0 { format!("h{}", device.0.unsigned_abs()) } else { device.to_string() }
}

/// The name of a device.
pub(crate) fn device_name(text: &str) -> Result<DeviceName, BadName> {
    DeviceName::new(text)
}
