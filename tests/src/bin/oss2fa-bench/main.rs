//! `make bench`: the promises about speed and size, measured against the peers as ratios of one run.
//!
//! `oss2fa-bench agent` and `oss2fa-bench server` measure one half, `oss2fa-bench apps` and `yubico` parts of the latter; without
//! a word it is both.
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
mod server;
mod site;
mod sizes;
mod throughput;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let half = std::env::args().nth(1);
    let measures: &[fn(&mut Report)] = match half.as_deref() {
        None => &[agent, server::measure],
        Some("agent") => &[agent],
        Some("server") => &[server::measure],
        Some("apps") => &[server::measure_apps],
        Some("yubico") => &[server::measure_yubico],
        Some(other) => {
            eprintln!(
                "unknown half {other:?}; it is agent, server, apps or yubico (parts of server), or none for both"
            );
            return ExitCode::from(2);
        }
    };
    let mut report = Report::default();
    for measure in measures {
        measure(&mut report);
    }
    report.print();
    report.write();
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn agent(report: &mut Report) {
    eprintln!("measuring sizes");
    sizes::measure(report);
    eprintln!("measuring 64 clients at once against one after another");
    throughput::measure(report);
    eprintln!("measuring whole logins against the peers (some minutes)");
    logins::measure(report);
}
