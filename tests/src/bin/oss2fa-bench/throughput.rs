//! Logins over the socket: 64 clients at once against one after another, each synced to disk.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use oss2fa_core::wire::Outcome;
use oss2fa_tests::{Dialogue, start};

use crate::codes::codes;
use crate::report::{Bound, Report};
use crate::site::host;

const CLIENTS: usize = 64;
const ROUNDS: usize = 5;
/// Logins of each client in one round at once.
const EACH: usize = 40;
/// Logins of the one client in one round.
const ALONE: usize = 800;

pub(crate) fn measure(report: &mut Report) {
    let users: Vec<String> = (0..CLIENTS + 1).map(|number| format!("client{number:02}")).collect();
    let host = host(&users, 0);
    let socket = host.socket();
    let alone = codes(0, ROUNDS * ALONE);
    let shared = codes(0, ROUNDS * EACH);
    let (mut one, mut many) = (Vec::new(), Vec::new());
    // In turns, so that whatever else the machine does falls on both.
    for round in 0..ROUNDS {
        let mine = &alone[round * ALONE..(round + 1) * ALONE];
        one.push(rate(ALONE, || logins(&socket, &users[CLIENTS], mine)));
        let theirs = &shared[round * EACH..(round + 1) * EACH];
        many.push(rate(CLIENTS * EACH, || at_once(&socket, &users[..CLIENTS], theirs)));
    }
    let (one, many) = (median(&mut one), median(&mut many));
    report.add("logins a second, one client after another", one, "1/s", Bound::None);
    report.add("logins a second, 64 clients at once", many, "1/s", Bound::None);
    report.add("64 clients at once, against one after another", many / one, "times", Bound::AtLeast(5.0));
}

fn at_once(socket: &Path, users: &[String], codes: &[String]) {
    thread::scope(|scope| {
        for user in users {
            let socket: PathBuf = socket.to_owned();
            scope.spawn(move || logins(&socket, user, codes));
        }
    });
}

fn logins(socket: &Path, user: &str, codes: &[String]) {
    for code in codes {
        let outcome = Dialogue::login(socket, &start(user, "bench", None), code).unwrap();
        assert_eq!(outcome, Outcome::Verified, "{user} {code}");
    }
}

fn rate(logins: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    f64::from(u32::try_from(logins).unwrap()) / begun.elapsed().as_secs_f64()
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
