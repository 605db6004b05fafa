//! What the product weighs: the module on disk and in crates, the idle agent in memory.

use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oss2fa_tests::{Built, workspace};

use crate::report::{Bound, Report};
use crate::site::{MANY, host};

pub(crate) fn measure(report: &mut Report) {
    let module = Built::find().module.metadata().unwrap().len();
    #[expect(clippy::cast_precision_loss, reason = "a file size in KiB")]
    report.add("module, stripped", module as f64 / 1024.0, "KiB", Bound::AtMost(512.0));
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "pam_oss2fa", "-e", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    report.add("module, crates in its closure", count(crates.len()), "crates", Bound::AtMost(20.0));

    let host = host(&["bench".to_owned()], MANY);
    host.cli(&["status"]).succeed();
    thread::sleep(Duration::from_secs(2));
    let resident = host.with_agent(|agent| agent.kernel("VmRSS"));
    let kib: f64 = resident.split(' ').next().unwrap().parse().unwrap();
    report.add("agent, resident when idle with 100,000 users", kib / 1024.0, "MiB", Bound::AtMost(12.0));
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
