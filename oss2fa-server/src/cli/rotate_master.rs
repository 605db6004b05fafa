//! `key rotate-master`: a new master key, in steps that each leave a usable store.

use serde::Serialize;

use super::context::{Context, Form};
use super::date::counted;
use super::failure::{Code, Failure};
use super::opened::Opened;
use crate::ids::SERVER;
use crate::service::rotation;
use crate::store::verbs::keys::Dropped;

/// Make a new master key, and wrap the keys of all tenants by it
///
/// A new key is put in front of the master key file, the keys of all tenants are wrapped by it, and the older
/// lines are dropped. Servers that run read the file again by themselves. A rotation that was cut short leaves
/// a store that works: run it again, or with --resume.
///
/// Several nodes with a file each: rotate with --keep-old, copy the file to all of them, and then, once, run
/// `key rotate-master --drop-old` and copy the file again.
///
/// Backups of the store that were made before open only with the old key: keep a copy of the file with them.
#[derive(Debug, clap::Args)]
pub(crate) struct RotateMaster {
    /// Leave the older keys in the file
    #[arg(long, conflicts_with = "drop_old")]
    keep_old: bool,
    /// Make no new key: wrap by the newest of the file what an older one still wraps
    #[arg(long, conflicts_with = "drop_old")]
    resume: bool,
    /// Only drop the older keys from the file, unless one of them still wraps something
    #[arg(long)]
    drop_old: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    master_key: String,
    rewrapped: u64,
    dropped: usize,
    kept: usize,
}

impl RotateMaster {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let store = context.open()?;
        let mut rewrapped = 0;
        if !self.drop_old {
            if !self.resume {
                store.run(rotation::new_master_key(store.store()))?;
            }
            let bar = context.console.bar("wrapping anew");
            let done = store.run(rotation::rewrap(store.store(), context.doer(SERVER), &mut |done, all| {
                bar.set_length(all);
                bar.set_position(done);
            }));
            bar.finish_and_clear();
            rewrapped = done?;
        }
        let dropped = if self.keep_old { 0 } else { drop_old(context, &store)? };
        let ring = store.store().ring();
        let report = Report {
            master_key: ring.source().path().display().to_string(),
            rewrapped,
            dropped,
            kept: ring.master_ids().len() - 1,
        };
        match context.form {
            Form::Json => context.console.json(&report),
            Form::Words => self.say(context, &report),
        }
    }

    fn say(&self, context: &mut Context<'_, '_>, report: &Report) -> Result<(), Failure> {
        let file = &report.master_key;
        if !self.drop_old {
            let keys = counted(report.rewrapped, "key");
            context.console.say(&format!("{keys} wrapped by the newest master key of {file}."))?;
        }
        if self.keep_old {
            return context.console.say(&format!(
                "The older keys are still in the file. Copy it to every other node, to the same place with owner and \
                 mode 0600; servers that run read it by themselves. Then: {}",
                context.hint("key rotate-master --drop-old")
            ));
        }
        context
            .console
            .say(&format!("{} dropped from the file.", counted(report.dropped as u64, "older key")))?;
        context.console.say(
            "Keep a copy of the file away from the store's backups. Backups made before the rotation open only with \
             the old file.",
        )
    }
}

fn drop_old(context: &Context<'_, '_>, store: &Opened) -> Result<usize, Failure> {
    match store.run(rotation::drop_old_master_keys(store.store(), context.doer(SERVER)))? {
        Dropped::Done(dropped) => Ok(dropped),
        Dropped::StillUsed(keys) => Err(Failure::new(
            Code::StillUsed,
            format!(
                "{} of tenants still wrapped by an older master key, so that stays in the file. A node may still make \
                 keys by an old file: copy the file to every node, then: {}",
                counted(keys, "key"),
                context.hint("key rotate-master --resume")
            ),
        )),
    }
}
