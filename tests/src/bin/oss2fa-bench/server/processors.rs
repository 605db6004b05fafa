//! The two processors that server and load share, on a machine that has more.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// This process, and all that it starts from now on, keep to the first two of the processors that they may use.
pub(crate) fn keep_to_two() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).unwrap();
    let mut two = CpuSet::new();
    let all = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap());
    all.take(2).for_each(|cpu| two.set(cpu).unwrap());
    sched_setaffinity(this, &two).unwrap();
}
