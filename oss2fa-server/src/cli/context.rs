//! What every command needs: the configuration, who runs it, and where to write.

use std::path::PathBuf;
use std::sync::Arc;

use oss2fa_core::random::Random;
use serde::Serialize;

use super::arguments::Common;
use super::console::Console;
use super::failure::{Code, Failure};
use super::opened::Opened;
use crate::config::{Config, Fallbacks};
use crate::ids::TenantId;
use crate::outside::{Clock, Timestamp};
use crate::store::verbs::Doer;
use crate::whereabouts::Whereabouts;

/// What comes from the process around the library.
#[derive(Clone)]
pub struct Environment {
    /// The folder that systemd gave for credentials.
    pub credentials: Option<PathBuf>,
    /// The name of this host, for the self-signed certificate.
    pub host: String,
    /// What the environment says where the configuration says nothing.
    pub fallbacks: Fallbacks,
    /// The real user id.
    pub uid: u32,
    /// The name of that user, where it has one: commands are theirs in the audit.
    pub user: Option<String>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub random: Arc<dyn Random>,
}

/// How a command presents its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Words,
    Json,
}

/// One run of one command.
pub(crate) struct Context<'run, 'io> {
    common: &'run Common,
    pub(crate) environment: &'run Environment,
    pub(crate) console: &'run mut Console<'io>,
    pub(crate) form: Form,
}

impl<'run, 'io> Context<'run, 'io> {
    pub(crate) fn new(
        common: &'run Common,
        environment: &'run Environment,
        console: &'run mut Console<'io>,
    ) -> Self {
        Self { common, environment, console, form: common.form() }
    }

    /// What every command takes.
    pub(crate) fn common(&self) -> &'run Common {
        self.common
    }

    /// The configuration, read anew.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        Ok(self.common.load(None)?.with_fallbacks(&self.environment.fallbacks)?)
    }

    /// The store that the configuration names.
    pub(crate) fn open(&self) -> Result<Opened, Failure> {
        let config = self.config()?;
        Opened::open(&config, self.environment).map_err(|failure| match self.environment.uid {
            0 => failure,
            _ => failure
                .with_advice("Only root and the server's own user can use the store: try it with sudo."),
        })
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        self.environment.clock.now()
    }

    /// Whose deeds these are in the audit of a tenant.
    pub(crate) fn doer(&self, tenant: TenantId) -> Doer {
        let actor = match &self.environment.user {
            Some(user) => format!("cli:{user}").into(),
            None => "cli".into(),
        };
        Doer {
            tenant,
            integration: None,
            actor,
            source: String::new(),
            now: self.now(),
            whereabouts: Whereabouts::default(),
        }
    }

    /// A command line for somebody to copy, about the same store.
    pub(crate) fn hint(&self, words: &str) -> String {
        format!("oss2fa-server{} {words}", self.common.flags())
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

    /// A list: JSON, or lines; `empty` says what to do where there is nothing.
    pub(crate) fn list(
        &mut self,
        data: &[impl Serialize],
        lines: &[String],
        empty: &str,
    ) -> Result<(), Failure> {
        match self.form {
            Form::Json => self.console.json(&data),
            Form::Words if data.is_empty() => self.console.say(empty),
            Form::Words => lines.iter().try_for_each(|line| self.console.say(line)),
        }
    }
}

/// `--yes`, for what cannot be undone.
#[derive(Debug, clap::Args)]
pub(crate) struct Sure {
    /// Ask nothing
    #[arg(long)]
    yes: bool,
}

impl Sure {
    /// Has `word` typed again, unless `--yes` was given; `what` says what will be gone.
    pub(crate) fn ask(&self, context: &mut Context<'_, '_>, what: &str, word: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if context.form == Form::Json {
            return Err(Failure::new(Code::BadUsage, "with --json nothing is asked: add --yes"));
        }
        let answer = context.console.ask(&format!("{what}\nType {word} to go on: "))?;
        if answer == word {
            return Ok(());
        }
        Err(Failure::new(Code::NotConfirmed, format!("that is not {word:?}: nothing was done")))
    }
}
