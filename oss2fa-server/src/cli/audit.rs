//! `audit`: what happened, and whether the record of it is whole.

use std::collections::VecDeque;

use clap::Subcommand;
use serde::Serialize;

use super::context::{Context, Form};
use super::date::{counted, date, time_of};
use super::failure::{Code, Failure};
use super::opened::Opened;
use super::target::{InTenant, integration_named, name, tenants};
use crate::ids::{SERVER, TenantId, Username};
use crate::outside::Timestamp;
use crate::service::name::Name;
use crate::store::audit::{AuditEntry, AuditFilter, AuditPage, AuditVerdict, VerifyAudit};

/// The audit: each tenant has a chain of its own, and so has the server
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show events, the oldest first
    ///
    /// With --json each event is a line of its own.
    List(Box<List>),
    /// Check that no event was changed or removed; the exit status says
    Verify {
        #[command(flatten)]
        of: Chain,
    },
}

/// Whose chain.
#[derive(Debug, clap::Args)]
pub(crate) struct Chain {
    #[command(flatten)]
    tenant: InTenant,
    /// The chain of the server itself: tenants, owners, keys
    #[arg(long, conflicts_with = "tenant")]
    server: bool,
}

/// Which events.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: Chain,
    /// Only this event, such as refused or policy_changed
    #[arg(long, value_name = "WORD")]
    event: Option<String>,
    /// Only about this client
    #[arg(long, value_name = "USERNAME", value_parser = Username::parse)]
    client: Option<Username>,
    /// Only through this integration
    #[arg(long, value_name = "NAME", value_parser = name, conflicts_with = "server")]
    integration: Option<Name>,
    /// Only at or after this time (UTC), such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    since: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    until: Option<Timestamp>,
    /// Only the last so many
    #[arg(long, value_name = "COUNT")]
    last: Option<u32>,
}

/// Events that are read at a time.
const PAGE: u32 = 1000;

impl Audit {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context),
            Self::Verify { of } => verify(context, of),
        }
    }
}

impl List {
    fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let store = context.open()?;
        let (tenant, integration) = if self.of.server {
            (SERVER, None)
        } else {
            let tenant = self.of.tenant.find(context, &store)?;
            let integration = match &self.integration {
                Some(name) => Some(integration_named(context, &store, &tenant, name)?.pk),
                None => None,
            };
            (tenant.pk, integration)
        };
        let filter = AuditFilter {
            event: self.event.clone(),
            username: self.client.as_ref().map(|client| client.as_str().to_owned()),
            integration,
            since: self.since,
            until: self.until,
        };
        let mut shown = false;
        let Some(last) = self.last else {
            each(&store, tenant, &filter, &mut |entry| {
                shown = true;
                show(context, &entry)
            })?;
            return if shown { Ok(()) } else { nothing(context) };
        };
        let mut newest = VecDeque::new();
        each(&store, tenant, &filter, &mut |entry| {
            newest.push_back(entry);
            if newest.len() > last as usize {
                newest.pop_front();
            }
            Ok(())
        })?;
        if newest.is_empty() {
            return nothing(context);
        }
        newest.iter().try_for_each(|entry| show(context, entry))
    }
}

fn nothing(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    match context.form {
        Form::Json => Ok(()),
        Form::Words => context.console.say("No such event. Without filters all are shown."),
    }
}

fn each(
    store: &Opened,
    tenant: TenantId,
    filter: &AuditFilter,
    visit: &mut dyn FnMut(AuditEntry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = store.read(AuditPage { tenant, after, limit: PAGE, filter: filter.clone() })?;
        let is_last = page.len() < PAGE as usize;
        for entry in page {
            after = entry.seq;
            visit(entry)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn show(context: &mut Context<'_, '_>, entry: &AuditEntry) -> Result<(), Failure> {
    match context.form {
        Form::Json => context.console.json(entry),
        Form::Words => context.console.say(&line(entry)),
    }
}

fn line(entry: &AuditEntry) -> String {
    let mut line = format!("{:>6}  {}  {:<20}", entry.seq, date(entry.at), entry.event);
    let integration = entry.integration.map(|integration| integration.to_string()).unwrap_or_default();
    for (name, value) in [
        ("client", &entry.username),
        ("integration", &integration),
        ("by", &entry.actor),
        ("source", &entry.source),
    ] {
        if !value.is_empty() {
            // A name from outside must not look like the fields that follow it.
            if value.contains([' ', '"']) {
                line.push_str(&format!("  {name}={value:?}"));
            } else {
                line.push_str(&format!("  {name}={value}"));
            }
        }
    }
    if !entry.detail.is_empty() {
        line.push_str("  ");
        line.push_str(&entry.detail.replace('\n', " "));
    }
    line.trim_end().to_owned()
}

/// What a check prints as JSON, one for each chain.
#[derive(Debug, Serialize)]
struct Verdict {
    tenant: Option<String>,
    #[serde(flatten)]
    verdict: AuditVerdict,
}

fn verify(context: &mut Context<'_, '_>, of: &Chain) -> Result<(), Failure> {
    let store = context.open()?;
    let mut chains: Vec<(TenantId, Option<String>)> = Vec::new();
    if of.tenant.tenant.is_some() {
        let tenant = of.tenant.find(context, &store)?;
        chains.push((tenant.pk, Some(tenant.name)));
    } else {
        chains.push((SERVER, None));
        if !of.server {
            chains.extend(tenants(&store)?.into_iter().map(|tenant| (tenant.pk, Some(tenant.name))));
        }
    }
    let (mut verdicts, mut broken) = (Vec::new(), Vec::new());
    for (pk, tenant) in chains {
        let whose = whose(tenant.as_deref());
        let verdict = store.read(VerifyAudit { tenant: pk })?;
        match &verdict {
            AuditVerdict::Whole { events, chain } if context.form == Form::Words => {
                let events = counted(u64::try_from(*events).unwrap_or(0), "event");
                context.console.say(&format!("The audit of {whose} is whole: {events}, chain {chain}."))?;
            }
            AuditVerdict::Whole { .. } => {}
            AuditVerdict::Broken { at, what } => broken.push(broken_at(&whose, *at, what)),
        }
        verdicts.push(Verdict { tenant, verdict });
    }
    if context.form == Form::Json {
        context.console.json(&verdicts)?;
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Code::AuditBroken,
        format!(
            "the audit is not whole: {}. Somebody or something other than this server wrote to the store. Keep the \
             store as it is, and compare it with a backup",
            broken.join("; ")
        ),
    ))
}

/// The tenant of this name; without one the server itself.
pub(crate) fn whose(tenant: Option<&str>) -> String {
    tenant.map_or_else(|| "the server".to_owned(), |name| format!("{name:?}"))
}

/// Where a chain breaks, and how.
pub(crate) fn broken_at(whose: &str, at: i64, what: &str) -> String {
    format!("of {whose} at event {at}: {what}")
}
