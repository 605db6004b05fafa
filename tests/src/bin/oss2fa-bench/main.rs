//! `make bench`: the promises about speed and size, measured against the peers as ratios of one run.
//!
//! Prints a table and writes `target/bench/results.json`. Ends with status 1 where a bound is missed;
//! the figure is then printed as measured.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot be made must end, there and then, and its result is printed"
)]

mod codes;
mod logins;
mod report;
mod site;
mod sizes;
mod throughput;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let mut report = Report::default();
    eprintln!("measuring sizes");
    sizes::measure(&mut report);
    eprintln!("measuring 64 clients at once against one after another");
    throughput::measure(&mut report);
    eprintln!("measuring whole logins against the peers (some minutes)");
    logins::measure(&mut report);
    report.print();
    report.write();
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
