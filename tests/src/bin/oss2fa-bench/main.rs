//! `make bench`: the promises about speed and size, measured against the peers as ratios of one run.
//!
//! `oss2fa-bench agent`, `oss2fa-bench remote` (hosts that ask the server) and `oss2fa-bench server` measure one part
//! each, `oss2fa-bench apps`, `bus` and `yubico` a part of the last; without a word it is all. `oss2fa-bench server
//! small` goes through all of its part with next to nothing, to see that each piece runs: it holds nothing against its
//! bound and writes no file.
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
mod remote;
mod report;
mod server;
mod site;
mod sizes;
mod throughput;
mod touch;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut report = Report::default();
    match words.as_slice() {
        [] => {
            agent(&mut report);
            touch::measure(&mut report);
            remote::measure(&mut report);
            server::measure(&mut report, server::PROMISED);
        }
        ["agent"] => agent(&mut report),
        ["keys"] => touch::measure(&mut report),
        ["remote"] => remote::measure(&mut report),
        ["server"] => server::measure(&mut report, server::PROMISED),
        ["apps"] => server::measure_apps(&mut report, server::PROMISED),
        ["bus"] => server::measure_bus(&mut report, server::PROMISED),
        ["yubico"] => server::measure_yubico(&mut report, server::PROMISED),
        ["server", "small"] => {
            server::measure(&mut report, server::SMALL);
            report.print();
            println!("These figures are of next to nothing, and say only that each part runs.");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!(
                "unknown {other:?}; it is agent, keys, remote, server, server small, apps, bus or yubico (parts of server), or none"
            );
            return ExitCode::from(2);
        }
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
