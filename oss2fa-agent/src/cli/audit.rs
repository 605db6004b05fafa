//! `audit`: what happened, read from the store itself.

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::Duration;

use super::context::{Context, Form, Output};
use super::date::{counted, date};
use super::failure::{Failure, OwnCode};
use crate::store::{AuditEntry, AuditReader, AuditVerdict};

/// Events that are read at a time.
const PAGE: usize = 1000;

/// Events of the past that `--follow` begins with.
const LOOK_BACK: usize = 10;

/// How often `--follow` looks for new events.
const PAUSE: Duration = Duration::from_millis(500);

/// Show or check the record of all that happened (root)
///
/// With --json each event is a line of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Show the last ten events and then new ones as they come
    #[arg(long, short)]
    follow: bool,
    /// Check that no event was changed or removed; the exit status says
    #[arg(long, conflicts_with = "follow")]
    verify: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Audit {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.config()?;
        let reader = AuditReader::open(&config, context.credentials())
            .map_err(|error| context.store_failure(&error))?;
        if self.verify {
            verify(context, &reader)
        } else if self.follow {
            follow(context, &reader)
        } else {
            each(context, &reader, 0, &mut show).map(|_| ())
        }
    }
}

type Visit<'v> = &'v mut dyn FnMut(&mut Context<'_, '_>, AuditEntry) -> Result<(), Failure>;

/// Visits the events after `seq` and gives the number of the last one.
fn each(
    context: &mut Context<'_, '_>,
    reader: &AuditReader,
    mut seq: u64,
    visit: Visit<'_>,
) -> Result<u64, Failure> {
    loop {
        let page = reader.events_after(seq, PAGE).map_err(|error| context.store_failure(&error))?;
        let is_last = page.len() < PAGE;
        for entry in page {
            seq = entry.seq;
            visit(context, entry)?;
        }
        if is_last {
            return Ok(seq);
        }
    }
}

fn follow(context: &mut Context<'_, '_>, reader: &AuditReader) -> Result<(), Failure> {
    let mut newest = VecDeque::with_capacity(LOOK_BACK + 1);
    let mut seq = each(context, reader, 0, &mut |_, entry| {
        newest.push_back(entry);
        if newest.len() > LOOK_BACK {
            newest.pop_front();
        }
        Ok(())
    })?;
    for entry in newest {
        show(context, entry)?;
    }
    loop {
        context.console.flush()?;
        sleep(PAUSE);
        seq = each(context, reader, seq, &mut show)?;
    }
}

fn show(context: &mut Context<'_, '_>, entry: AuditEntry) -> Result<(), Failure> {
    match context.form {
        Form::Json => context.console.json(&entry),
        Form::Words => context.console.say(&line(&entry)),
    }
}

fn line(entry: &AuditEntry) -> String {
    let mut line = format!("{:>6}  {}  {:<15}", entry.seq, date(entry.at), entry.event);
    for (name, value) in [("user", &entry.user), ("service", &entry.service), ("source", &entry.source)] {
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
        line.push_str(&entry.detail);
    }
    line.trim_end().to_owned()
}

fn verify(context: &mut Context<'_, '_>, reader: &AuditReader) -> Result<(), Failure> {
    let mut shown = Ok(());
    let verdict = reader.verify(&mut |count| shown = context.console.progress(&counted(count, "event")));
    context.console.end_progress()?;
    shown?;
    let verdict = verdict.map_err(|error| context.store_failure(&error))?;
    if context.form == Form::Json {
        context.console.json(&verdict)?;
    }
    match verdict {
        AuditVerdict::Whole { events, chain } if context.form == Form::Words => context.console.say(&format!(
            "The audit is whole: {}, chain {chain}.\nThe system log's newest line of the agent must show the same \
             chain, or an earlier event of it.",
            counted(events, "event")
        )),
        AuditVerdict::Whole { .. } => Ok(()),
        AuditVerdict::Broken { at, what } => Err(Failure::new(
            OwnCode::AuditBroken,
            format!(
                "the audit is not whole: at event {at}, {what}. Somebody or something other than the agent wrote to \
                 the store. The system log has its own copy of the events: journalctl -t oss2fa-agent"
            ),
        )),
    }
}
