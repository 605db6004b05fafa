//! What every command needs: the configuration, the daemon, whose devices, and where to write.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use serde::Serialize;

use super::connection::Agent;
use super::console::{Attached, Console};
use super::failure::{Failure, OwnCode};
use crate::config::{Config, DEFAULT_PATH};
use crate::store::StoreError;

/// What the process was started with, apart from its arguments.
pub struct Environment {
    /// The real user id.
    pub uid: u32,
    /// `TERM`, where set.
    pub term: Option<String>,
    /// `CREDENTIALS_DIRECTORY`, where systemd passed credentials.
    pub credentials: Option<PathBuf>,
}

/// How a command presents its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Words,
    Json,
}

/// `--json`, for the commands that know it.
#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// Print JSON; errors too, on standard error, as {"error": CODE, "message": TEXT}
    #[arg(long)]
    json: bool,
}

impl Output {
    pub(crate) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Words }
    }
}

/// `--user`, for the commands where everybody may act for themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Whose {
    /// Whose devices; your own by default. Only root may name somebody else
    #[arg(long, short, value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// One run of one command.
pub(crate) struct Context<'run, 'io> {
    config_path: &'run Path,
    environment: &'run Environment,
    pub(crate) console: &'run mut Console<'io>,
    pub(crate) form: Form,
}

impl<'run, 'io> Context<'run, 'io> {
    pub(crate) fn new(
        config_path: &'run Path,
        environment: &'run Environment,
        console: &'run mut Console<'io>,
        form: Form,
    ) -> Self {
        Self { config_path, environment, console, form }
    }

    /// The configuration file's path, as given.
    pub(crate) fn config_path(&self) -> &'run Path {
        self.config_path
    }

    /// The configuration, read anew.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        Config::load(self.config_path)
            .map_err(|error| Failure::new(OwnCode::BadConfiguration, error.to_string()))
    }

    /// The daemon that the configuration names.
    pub(crate) fn agent(&self) -> Result<Agent, Failure> {
        Ok(Agent::of(&self.config()?, self.environment.uid))
    }

    /// The account that a command is about.
    pub(crate) fn user(&self, whose: &Whose) -> Result<String, Failure> {
        match &whose.user {
            Some(user) => Ok(user.clone()),
            None => self.own_name(),
        }
    }

    /// The store failed a command that reads it without the daemon.
    pub(crate) fn store_failure(&self, error: &StoreError) -> Failure {
        let failure = Failure::new(OwnCode::StoreUnavailable, error.to_string());
        if self.is_root() {
            failure
        } else {
            failure.with_advice("Only root can read the store: try it with sudo.")
        }
    }

    /// A command line for somebody to copy, about `user` and with this configuration.
    pub(crate) fn hint(&self, words: &str, user: &str) -> String {
        let mut hint = "oss2fa-agent".to_owned();
        if self.config_path != Path::new(DEFAULT_PATH) {
            hint.push_str(&format!(" --config {}", self.config_path.display()));
        }
        hint.push(' ');
        hint.push_str(words);
        if !self.own_name().is_ok_and(|own| own == user) {
            hint.push_str(&format!(" --user {user}"));
        }
        hint
    }

    fn own_name(&self) -> Result<String, Failure> {
        let uid = self.environment.uid;
        match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => Ok(user.name),
            Ok(None) => Err(Failure::new(
                OwnCode::BadUsage,
                format!("this host knows no account with your user id {uid}: name one with --user"),
            )),
            Err(error) => Err(Failure::new(
                OwnCode::BadUsage,
                format!(
                    "the user directory could not say who has user id {uid}: {error}. Name the account with --user"
                ),
            )),
        }
    }

    pub(crate) fn is_root(&self) -> bool {
        self.environment.uid == 0
    }

    /// Systemd's folder of credentials, where there is one.
    pub(crate) fn credentials(&self) -> Option<&'run Path> {
        self.environment.credentials.as_deref()
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.form == Form::Words && self.console.stdin_is == Attached::Terminal
    }

    /// Whether the output is a terminal that obeys colours.
    pub(crate) fn has_colours(&self) -> bool {
        let dumb = matches!(self.environment.term.as_deref(), None | Some("" | "dumb"));
        self.console.stdout_is == Attached::Terminal && !dumb
    }

    /// The result of a command that has one thing to tell.
    pub(crate) fn answer(&mut self, data: &impl Serialize, words: &str) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.console.json(data),
            Form::Words => self.console.say(words),
        }
    }

    /// The result of a command that has nothing to tell.
    pub(crate) fn done(&mut self, words: &str) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Done {
            done: bool,
        }
        self.answer(&Done { done: true }, words)
    }
}
