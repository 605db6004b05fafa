//! `store`: what is in it, moving it, and taking it into use again after a move.

use clap::Subcommand;
use serde::Serialize;

use super::context::{Context, Form, Sure};
use super::date::date;
use super::failure::{Code, Failure};
use super::store_copy::StoreCopy;
use crate::config::StoreUrl;
use crate::ids::SERVER;
use crate::store::verbs::state::{DescribeStore, ReopenStore, StoreState};

/// The store: SQLite or PostgreSQL
#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Show where the store is and what is in it
    Status,
    /// Copy the whole store to another database, check it, and close the old one
    ///
    /// The master key file stays the same. A server that runs on the old store answers 503 from then on.
    Copy(StoreCopy),
    /// Take a store into use again that `store copy` has moved away
    ///
    /// Only to go back: what was enrolled, removed or used on the other store since the move is not known here.
    Reopen {
        #[command(flatten)]
        sure: Sure,
    },
}

impl Store {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Status => status(context),
            Self::Copy(copy) => copy.run(context),
            Self::Reopen { sure } => reopen(context, sure),
        }
    }
}

#[derive(Debug, Serialize)]
struct Status {
    store: String,
    /// Of an SQLite file.
    bytes: Option<u64>,
    #[serde(flatten)]
    state: StoreState,
}

fn status(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let config = context.config()?;
    let state = context.open()?.read(DescribeStore)?;
    let bytes = match &config.store {
        StoreUrl::Sqlite(path) => path.metadata().ok().map(|meta| meta.len()),
        StoreUrl::Postgres(_) => None,
    };
    let status = Status { store: config.store.to_string(), bytes, state };
    if context.form == Form::Json {
        return context.console.json(&status);
    }
    let Status { store, bytes, state } = &status;
    let schema = state
        .migrations
        .last()
        .map_or_else(String::new, |newest| format!("{} since {}", newest.name, date(newest.applied_at)));
    let mut lines = vec![("Store", store.clone())];
    lines.extend(bytes.map(|bytes| ("Size", format!("{bytes} bytes"))));
    lines.extend(state.moved_to.as_ref().map(|to| match state.moved_at {
        Some(at) => ("Moved to", format!("{to}, {}: nothing is written here", date(at))),
        None => ("Copied to", format!("{to}, by a copy that has not ended: nothing is written here")),
    }));
    lines.push(("Schema", schema));
    for (label, count) in [
        ("Tenants", state.tenants),
        ("Integrations", state.integrations),
        ("Administrators", state.administrators),
        ("Clients", state.clients),
        ("Devices", state.devices),
        ("Audit events", state.events),
    ] {
        lines.push((label, count.to_string()));
    }
    lines.iter().try_for_each(|(label, value)| context.console.say(&format!("{label:<15} {value}")))
}

fn reopen(context: &mut Context<'_, '_>, sure: &Sure) -> Result<(), Failure> {
    let store = context.open()?;
    let Some(to) = store.read(DescribeStore)?.moved_to else {
        return Err(Failure::new(Code::NotThere, "this store was not moved: there is nothing to reopen"));
    };
    let what = format!(
        "This store was moved to {to}. Reopened, it knows nothing of what has happened there: codes that were used \
         there since are good again here until they expire, removed devices are back, new ones are missing. Stop \
         every server on the other store first."
    );
    sure.ask(context, &what, "reopen")?;
    store.write(ReopenStore { doer: context.doer(SERVER) })?;
    context.done("The store is in use again. Start the server on it.")
}
