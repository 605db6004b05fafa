//! `store copy`: the whole store to another database, checked, and the old one closed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::StoreUrl;
use crate::ids::SERVER;
use crate::open::{open_existing, place};
use crate::service::credential::hex;
use crate::store::audit::AuditVerdict;
use crate::store::copy::{CheckedAudit, Compared, Copied, Copy, CopyError, Progress};
use crate::store::error::StoreError;

use super::audit::{broken_at, whose};
use super::context::{Context, Form};
use super::failure::{Code, Failure};

/// Where from and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreCopy {
    /// The store as it is: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    from: StoreUrl,
    /// The new one; nothing may be in it
    #[arg(long, value_name = "URL")]
    to: StoreUrl,
}

impl StoreCopy {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let mut from = context.config()?;
        let mut to = from.clone();
        from.store = self.from.clone();
        to.store = self.to.clone();
        let environment = context.environment;
        let random = environment.random.clone();
        let id = hex(&*random).map_err(StoreError::from)?;
        // A thread beside this one, for signals: between two SQLite files this one never waits.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Code::StoreUnavailable, format!("no runtime: {error}")))?;
        let bar = context.console.bar("rows");
        let doer = context.doer(SERVER);
        let copied = runtime.block_on(async {
            let source = open_existing(&from, environment.credentials.as_deref(), random).await?;
            let ring = source.ring_shared();
            source.close().await;
            let (from, to) = (place(&from), place(&to));
            let copy = Copy { from: &from, to: &to, ring, clock: &*environment.clock, doer, id };
            let told = stop_when_told();
            let mut watch = |progress| {
                follow(&bar, progress);
                if told.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            copy.run(&mut watch).await.map_err(failure)
        });
        bar.finish_and_clear();
        self.tell(context, &copied?)
    }

    fn tell(&self, context: &mut Context<'_, '_>, copied: &Copied) -> Result<(), Failure> {
        let whole = is_whole(copied);
        if context.form == Form::Json {
            context.console.json(copied)?;
            return whole;
        }
        let Copied { rows, digest, compared, audits } = copied;
        let to = &self.to;
        context.console.say(&match compared {
            Compared::BothSides => format!("Copied {rows} rows to {to}; both sides have the digest {digest}."),
            Compared::OldSide => format!(
                "An earlier run has copied everything to {to}. The old store has {rows} rows with the digest {digest}. \
                 The new one may be in use since: its rows were not compared again."
            ),
        })?;
        let found = if whole.is_ok() { ", and are whole" } else { ", and not all are whole: see below" };
        context.console.say(&format!("{} audits were checked on the new store{found}.", audits.len()))?;
        context.console.say(
            "The old store takes no writes any more, so that no code can be used on both sides. Now set `store` in \
             server.toml to the new one, keep the master key file, and restart the server. To go back instead: \
             oss2fa-server store reopen",
        )?;
        whole
    }
}

/// The copy is what the old store was. Whether that was as servers had written it is another question.
fn is_whole(copied: &Copied) -> Result<(), Failure> {
    let broken = copied.audits.iter().filter_map(|CheckedAudit { name, verdict, .. }| match verdict {
        AuditVerdict::Whole { .. } => None,
        AuditVerdict::Broken { at, what } => Some(broken_at(&whose(name.as_deref()), *at, what)),
    });
    let broken: Vec<String> = broken.collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Code::AuditBroken,
        format!(
            "the copy is complete, but the audit is not whole: {}. It was so in the old store: somebody or something \
             other than a server wrote there. Keep the old store as it is, and compare it with a backup. To check \
             the new one again: oss2fa-server audit verify",
            broken.join("; ")
        ),
    ))
}

/// Becomes true with Ctrl-C or SIGTERM. Left to themselves these would end the process, and the old store would take
/// no writes until somebody reopens it.
fn stop_when_told() -> Arc<AtomicBool> {
    let told = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        // Without a handler it is as before: the message of the old store says what to do.
        let Ok(mut signals) = signal(kind) else { continue };
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            signals.recv().await;
            told.store(true, Ordering::Relaxed);
        });
    }
    told
}

fn follow(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Rows(rows) => bar.set_length(rows),
        Progress::Done(rows) => bar.inc(rows),
        Progress::Checking => bar.set_message("checking"),
    }
}

fn failure(error: CopyError) -> Failure {
    let code = match &error {
        CopyError::NotEmpty(_) | CopyError::Moved(_) | CopyError::Interrupted(_) => Code::StillUsed,
        _ => Code::StoreUnavailable,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_full_when_each_row_was_written_and_read_again() {
        let bar = ProgressBar::hidden();
        // As `tests/store/copy.rs` sees a copy of four rows tell of itself.
        for progress in [Progress::Rows(8), Progress::Done(4), Progress::Checking, Progress::Done(4)] {
            assert_ne!(Some(bar.position()), bar.length(), "full before the end");
            follow(&bar, progress);
        }
        assert_eq!(Some(bar.position()), bar.length());
    }
}
