//! Kill -9 on the agent in the middle of logins and enrolments, 200 times.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::wire::Outcome;
use oss2fa_tests::Factor::Hotp;
use oss2fa_tests::{Dialogue, Host, Token, start};
use serde_json::{Value, json};

const ROUNDS: u64 = 200;
const CODES: u64 = 20_000;

/// How many codes after the next one may be accepted: the look-ahead, and one login whose answer was lost.
const AHEAD: usize = 11;

/// What one user has seen of the daemon.
struct User {
    name: &'static str,
    codes: Vec<String>,
    next: usize,
    accepted: BTreeSet<usize>,
    lost: u32,
}

impl User {
    fn try_code(&self, socket: &Path, position: usize) -> Option<Outcome> {
        Dialogue::login(socket, &start(self.name, "shown", Some("192.0.2.1")), &self.codes[position]).ok()
    }

    // Until the daemon is gone. Whoever gets in is counted in `lately`.
    fn log_in_until_killed(&mut self, socket: &Path, lately: &AtomicU32) {
        loop {
            match self.try_code(socket, self.next) {
                Some(Outcome::Verified) => {
                    assert!(
                        self.accepted.insert(self.next),
                        "{} of {} was accepted twice",
                        self.next,
                        self.name
                    );
                    self.next += 1;
                    lately.fetch_add(1, Ordering::Relaxed);
                }
                // Spent by a login whose answer the kill has swallowed.
                Some(Outcome::Refused) => self.next += 1,
                Some(other) => panic!("{other:?}"),
                None => {
                    self.lost += 1;
                    return;
                }
            }
        }
    }

    fn none_is_accepted_again(&self, socket: &Path, how_many: usize) {
        // Six digits repeat: a spent code that is also one of the next ones is a right code.
        let ahead = &self.codes[self.next..=self.next + AHEAD];
        for position in self.accepted.iter().rev().take(how_many) {
            if ahead.contains(&self.codes[*position]) {
                continue;
            }
            let again = self.try_code(socket, *position);
            assert_eq!(again, Some(Outcome::Refused), "code {position} of {}", self.name);
        }
    }
}

/// What the daemon said about enrolments.
struct Enrolments {
    model: Token,
    pending: Vec<i64>,
    active: Vec<(i64, Token)>,
    acknowledged: u32,
}

impl Enrolments {
    fn enroll_until_killed(&mut self, socket: &Path, stop: &AtomicBool, lately: &AtomicU32) {
        while !stop.load(Ordering::Relaxed) {
            let parameters = json!({"algorithm": "sha1", "digits": 6, "period": 30});
            let request = json!({"enroll": {"user": "gopher", "kind": "hotp", "name": null,
                "parameters": parameters, "proof": null}});
            let Ok(answer) = Dialogue::request(socket, &request) else { return };
            let Some(made) = answer.get("enrolled") else { panic!("{answer}") };
            let device = made["device"].as_i64().unwrap();
            self.pending.push(device);
            let uri = made["provisioning_uri"].as_str().unwrap();
            let secret = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
            let mut token = self.model.clone();
            token.secret = secret.to_owned();
            let confirm = json!({"confirm": {"user": "gopher", "device": device, "code": token.code_at(0)}});
            let Ok(answer) = Dialogue::request(socket, &confirm) else { return };
            assert!(answer.get("device").is_some(), "{answer}");
            self.pending.pop();
            self.active.push((device, token));
            self.acknowledged += 1;
            lately.fetch_add(1, Ordering::Relaxed);
            if self.active.len() > 3 {
                return;
            }
        }
    }

    // All that was acknowledged is there, works, and its first code is spent.
    fn nothing_is_lost(&mut self, socket: &Path) {
        let list = Dialogue::request(socket, &json!({"list": {"user": "gopher", "after": null}})).unwrap();
        let devices = list["devices"]["devices"].as_array().unwrap().clone();
        let status = |device: i64| -> Option<Value> {
            devices.iter().find(|view| view["device"] == device).map(|view| view["status"].clone())
        };
        for device in self.pending.drain(..) {
            // Its confirmation may have gone through with the answer lost.
            assert!(status(device).is_some(), "device {device} was acknowledged: {list}");
        }
        for (device, token) in self.active.drain(..) {
            assert_eq!(status(device), Some(json!("active")), "device {device}: {list}");
            let first = token.code_at(0);
            if token.codes(1, 12).contains(&first) {
                continue;
            }
            for (position, expected) in [(0, Outcome::Refused), (1, Outcome::Verified), (1, Outcome::Refused)]
            {
                let login = start("gopher", "shown", Some("192.0.2.2"));
                let outcome = Dialogue::login(socket, &login, &token.code_at(position)).unwrap();
                assert_eq!(outcome, expected, "code {position} of device {device}");
            }
        }
        for view in devices {
            let remove = json!({"remove": {"user": "gopher", "device": view["device"], "proof": null}});
            let answer = Dialogue::request(socket, &remove).unwrap();
            assert!(answer.get("done").is_some(), "{answer}");
        }
    }
}

// Three logins of each user, and one enrolment: or until the deadline, for the sums at the end to tell of.
fn everybody_is_under_way(lately: &[AtomicU32; 3]) {
    let begun = Instant::now();
    let so_far = |at: usize| lately[at].load(Ordering::Relaxed);
    while (so_far(0) < 3 || so_far(1) < 3 || so_far(2) < 1) && begun.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn no_accepted_code_is_accepted_again_and_no_acknowledged_enrolment_is_lost() {
    let host = Host::new()
        .user("ferris")
        .enrolled(Hotp)
        .user("crab")
        .enrolled(Hotp)
        .user("gopher")
        .set("locks.free_attempts", 100)
        .set("locks.free_attempts_per_source", 10_000)
        .set("locks.free_attempts_per_user", 100_000)
        .set("agent.log_level", "warn")
        .start();
    let mut users = ["ferris", "crab"].map(|name| {
        let token = host.token(name);
        let codes = token.codes(token.position, CODES);
        User { name, codes, next: 0, accepted: BTreeSet::new(), lost: 0 }
    });
    let mut enrolments =
        Enrolments { model: host.token("crab"), pending: Vec::new(), active: Vec::new(), acknowledged: 0 };
    let socket = host.path("/run/oss2fa/agent.sock");
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let lately = [0; 3].map(AtomicU32::new);
        thread::scope(|scope| {
            for (user, lately) in users.iter_mut().zip(&lately) {
                let socket = &socket;
                scope.spawn(move || user.log_in_until_killed(socket, lately));
            }
            scope.spawn(|| enrolments.enroll_until_killed(&socket, &stop, &lately[2]));
            // A slow machine comes as far as others, now and then: else this would show nothing there.
            if round % 2 == 0 {
                everybody_is_under_way(&lately);
            }
            thread::sleep(Duration::from_millis(3 + round * 13 % 37));
            stop.store(true, Ordering::Relaxed);
            host.kill_agent();
        });
        host.start_agent();
        for user in &users {
            user.none_is_accepted_again(&socket, 10);
        }
        enrolments.nothing_is_lost(&socket);
    }
    let accepted: usize = users.iter().map(|user| user.accepted.len()).sum();
    let lost: u32 = users.iter().map(|user| user.lost).sum();
    assert!(accepted > 500, "{accepted} codes were accepted");
    assert!(u64::from(lost) >= ROUNDS, "{lost} logins met the kill");
    assert!(enrolments.acknowledged > 50, "{} enrolments were acknowledged", enrolments.acknowledged);
    for user in &users {
        user.none_is_accepted_again(&socket, 90);
    }
    host.cli(&["audit", "--verify"]).succeed();
}
