//! Sending an import in batches, and the line of report for each of its entries.

use oss2fa_core::wire::MAX_FRAME;
use serde::Serialize;
use zeroize::Zeroizing;

use super::console::Attached;
use super::context::{Context, Form};
use super::date::counted;
use super::failure::Failure;
use super::import::{Contents, Found};
use crate::admin::{
    IMPORT_BATCH, ImportEntry, ImportLine, ImportResult, Imported, KeyKind, OtpKind, Request, Response,
};

/// Room in a frame for the entries of a batch; the rest is for what stands around them.
const ROOM: usize = MAX_FRAME - 1024;

/// From how many entries on somebody who watches is shown how far it is.
const LONG: usize = 200;

/// What became of one entry.
#[derive(Debug, Serialize)]
pub(crate) struct ReportLine {
    /// Line of the file, from 1.
    pub(crate) line: usize,
    pub(crate) user: Option<String>,
    pub(crate) what: Option<&'static str>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub(crate) enum Outcome {
    Imported { device: i64 },
    AlreadyThere { device: i64 },
    UnknownUser,
    Refused { reason: String },
}

#[derive(Serialize)]
struct Report<'r> {
    entries: &'r [ReportLine],
    notes: &'r [String],
}

impl ReportLine {
    /// Whether the device works here now.
    pub(crate) fn is_taken_over(&self) -> bool {
        matches!(self.outcome, Outcome::Imported { .. } | Outcome::AlreadyThere { .. })
    }

    fn words(&self) -> String {
        let mut line = format!("line {}: ", self.line);
        for part in [self.user.as_deref(), self.what].into_iter().flatten() {
            line.push_str(part);
            line.push_str(": ");
        }
        line.push_str(&match &self.outcome {
            Outcome::Imported { device } => format!("imported as device {device}"),
            Outcome::AlreadyThere { device } => format!("already there as device {device}, left as it is"),
            Outcome::UnknownUser => "not imported: this host knows no such user".to_owned(),
            Outcome::Refused { reason } => format!("not imported: {reason}"),
        });
        line
    }
}

/// Sends all entries and reports each; gives the report for the exit status.
pub(crate) fn send(context: &mut Context<'_, '_>, contents: Contents) -> Result<Vec<ReportLine>, Failure> {
    let agent = context.agent()?;
    let total = contents.found.len();
    let mut lines = Vec::with_capacity(total);
    for batch in (Batches { rest: contents.found.into_iter().peekable() }) {
        let before = lines.len();
        let result = batch.send(|entries| agent.done(&Request::Import { entries }), &mut lines);
        if context.form == Form::Words {
            for line in lines.iter().skip(before) {
                context.console.say(&line.words())?;
            }
        }
        if let Err(failure) = result {
            let done = format!(
                "{before} of {total} entries were dealt with before that. Run the import again: what is there \
                 already stays as it is."
            );
            return Err(failure.with_advice(&done));
        }
        // On a terminal the report itself shows how far it is.
        let is_unseen = context.form == Form::Json || context.console.stdout_is == Attached::Elsewhere;
        if total >= LONG && is_unseen {
            context.console.progress(&format!("{} of {total}", lines.len()))?;
        }
    }
    context.console.end_progress()?;
    if context.form == Form::Json {
        context.console.json(&Report { entries: &lines, notes: &contents.notes })?;
        return Ok(lines);
    }
    contents.notes.iter().try_for_each(|note| context.console.say(&format!("note: {note}")))?;
    context.console.say(&summary(&lines))?;
    Ok(lines)
}

fn summary(lines: &[ReportLine]) -> String {
    let count = |is: fn(&Outcome) -> bool| lines.iter().filter(|line| is(&line.outcome)).count() as u64;
    let imported = count(|outcome| matches!(outcome, Outcome::Imported { .. }));
    let there = count(|outcome| matches!(outcome, Outcome::AlreadyThere { .. }));
    let refused = lines.len() as u64 - imported - there;
    format!(
        "{} {imported} imported, {there} there already, {refused} not taken over.",
        match counted(lines.len() as u64, "entry") {
            one if lines.len() == 1 => format!("{one}:"),
            _ => format!("{} entries:", lines.len()),
        }
    )
}

/// Cuts the entries so that each batch fits into one request.
struct Batches<I: Iterator<Item = Found>> {
    rest: std::iter::Peekable<I>,
}

#[derive(Default)]
struct Batch {
    found: Vec<Found>,
    entries: usize,
    size: usize,
}

impl<I: Iterator<Item = Found>> Iterator for Batches<I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        while let Some(next) = self.rest.peek() {
            let size = size(next);
            let is_entry = usize::from(matches!(next, Found::Entry { .. }));
            let is_full = batch.entries + is_entry > IMPORT_BATCH || batch.size + size > ROOM;
            if is_full && !batch.found.is_empty() {
                break;
            }
            batch.entries += is_entry;
            batch.size += size;
            batch.found.extend(self.rest.next());
        }
        (!batch.found.is_empty()).then_some(batch)
    }
}

fn size(found: &Found) -> usize {
    match found {
        Found::Entry { entry, .. } => {
            serde_json::to_vec(entry).map_or(usize::MAX / 2, |json| Zeroizing::new(json).len() + 1)
        }
        Found::Bad(_) => 0,
    }
}

impl Batch {
    /// Sends what can be sent, and adds one line for each entry, in the file's order.
    fn send(
        self,
        ask: impl FnOnce(Vec<ImportEntry>) -> Result<Response, Failure>,
        lines: &mut Vec<ReportLine>,
    ) -> Result<(), Failure> {
        let mut sent = Vec::with_capacity(self.entries);
        let mut kept = Vec::with_capacity(self.found.len());
        for found in self.found {
            let line = found.line();
            match found {
                Found::Bad(error) => kept.push(error.into()),
                Found::Entry { entry, .. } => {
                    let what = Some(word(&entry.what));
                    let user = Some(entry.user.clone());
                    sent.push(entry);
                    kept.push(ReportLine { line, user, what, outcome: Outcome::UnknownUser });
                }
            }
        }
        let mut results = if sent.is_empty() {
            Vec::new()
        } else {
            let count = sent.len();
            match ask(sent)? {
                Response::Imported { report } if report.len() == count => report,
                other => return Err(Failure::out_of_place(&other)),
            }
        }
        .into_iter();
        for line in &mut kept {
            if line.what.is_some() {
                line.outcome = results.next().map_or(Outcome::UnknownUser, outcome);
            }
        }
        lines.extend(kept);
        Ok(())
    }
}

fn outcome(line: ImportLine) -> Outcome {
    match line.result {
        ImportResult::Imported(device) => Outcome::Imported { device: device.0 },
        ImportResult::AlreadyThere(device) => Outcome::AlreadyThere { device: device.0 },
        ImportResult::UnknownUser => Outcome::UnknownUser,
        ImportResult::Refused(reason) => Outcome::Refused { reason },
    }
}

fn word(what: &Imported) -> &'static str {
    match what {
        Imported::Otp { kind: OtpKind::Totp, .. } => "totp",
        Imported::Otp { kind: OtpKind::Hotp, .. } => "hotp",
        Imported::ScratchCodes { .. } => "recovery_code",
        Imported::SecurityKey { kind: KeyKind::Fido2, .. } => "fido2",
        Imported::SecurityKey { kind: KeyKind::U2f, .. } => "u2f",
        Imported::YubicoOtp { .. } => "yubico_otp",
    }
}
