//! Kill -9 in the middle of logins and enrolments: no accepted code passes again, and nothing that was
//! acknowledged is lost.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_tests::server::{Caller, Enrolled, Server};

const ROUNDS: u64 = 25;
const CODES: u64 = 5000;

/// What one user has seen.
struct User {
    client: Enrolled,
    codes: Vec<String>,
    next: usize,
    accepted: BTreeSet<usize>,
    lost: u32,
}

impl User {
    fn new(vpn: &Caller<'_>, name: &str) -> Self {
        let client = vpn.enroll(name, "HOTP");
        let codes = client.token.codes(client.token.position, CODES);
        Self { client, codes, next: 0, accepted: BTreeSet::new(), lost: 0 }
    }

    fn log_in_until_killed(&mut self, vpn: &Caller<'_>, lately: &AtomicU32) {
        let body = |code: &str| serde_json::json!({"username": self.client.username, "token": code});
        loop {
            match vpn.try_send("POST", "/integrations/clients/verify", &body(&self.codes[self.next])) {
                Ok(reply) if reply.status == 200 => {
                    assert!(self.accepted.insert(self.next), "code {} was accepted twice", self.next);
                    self.next += 1;
                    lately.fetch_add(1, Ordering::Relaxed);
                }
                // Spent by a login whose answer the kill has swallowed.
                Ok(reply) if reply.status == 403 => self.next += 1,
                Ok(reply) => panic!("{reply}"),
                Err(_) => {
                    self.lost += 1;
                    return;
                }
            }
        }
    }

    // Each one counts as a wrong answer: few at a time, or the client is locked.
    fn none_is_accepted_again(&self, vpn: &Caller<'_>, how_many: usize) {
        for position in self.accepted.iter().rev().take(how_many) {
            let again = vpn.verify(&self.client.username, &self.codes[*position]);
            assert_eq!(again.status, 403, "code {position} again: {again}");
        }
    }
}

fn enroll_until_killed(
    vpn: &Caller<'_>,
    round: u64,
    stop: &AtomicBool,
    lately: &AtomicU32,
) -> Vec<(i64, String, String)> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("user-{round}-{number}");
        let body = serde_json::json!({"username": name});
        let Ok(made) = vpn.try_send("POST", "/integrations/enrollments", &body) else { break };
        let pk = made.json()["pk"].as_i64().unwrap();
        let path = format!("/integrations/enrollments/{pk}");
        let body = serde_json::json!({"kind": "HOTP"});
        let Ok(prepared) = vpn.try_send("POST", &format!("{path}/prepare-device"), &body) else { break };
        let token = oss2fa_tests::server::phone(&prepared.expect(200).json()["public_details"]);
        let (first, second) = (token.code_at(0), token.code_at(1));
        let body = serde_json::json!({"token": first});
        let Ok(done) = vpn.try_send("POST", &format!("{path}/complete"), &body) else { break };
        assert_eq!(done.status, 201, "{done}");
        lately.fetch_add(1, Ordering::Relaxed);
        acknowledged.push((done.header("X-Client-Id").unwrap().parse().unwrap(), name, second));
    }
    acknowledged
}

#[test]
fn no_accepted_code_passes_again_and_no_acknowledged_enrolment_is_lost() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut users = ["john", "jane"].map(|name| User::new(&vpn, name));
    let mut enrolled = 0;
    for round in 0..ROUNDS {
        let stop = AtomicBool::new(false);
        let lately = [0; 3].map(AtomicU32::new);
        let acknowledged = thread::scope(|scope| {
            for (user, lately) in users.iter_mut().zip(&lately) {
                let vpn = vpn.clone();
                scope.spawn(move || user.log_in_until_killed(&vpn, lately));
            }
            let enrolling = scope.spawn(|| enroll_until_killed(&vpn, round, &stop, &lately[2]));
            let begun = Instant::now();
            // A right answer forgives the wrong ones before it.
            while lately.iter().any(|count| count.load(Ordering::Relaxed) == 0) {
                if begun.elapsed() > Duration::from_secs(60) {
                    server.kill_9();
                    panic!("somebody waits in vain:\n{}", server.log());
                }
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(20 + round * 37 % 111));
            server.kill_9();
            stop.store(true, Ordering::Relaxed);
            enrolling.join().unwrap()
        });
        server.start_again();
        for user in &users {
            user.none_is_accepted_again(&vpn, 1);
        }
        for (client, name, next) in &acknowledged {
            let right = vpn.verify(name, next).expect(200).json();
            assert_eq!(right["client"], *client, "{right}");
        }
        enrolled += acknowledged.len();
    }
    let accepted: usize = users.iter().map(|user| user.accepted.len()).sum();
    let lost: u32 = users.iter().map(|user| user.lost).sum();
    assert!(accepted > 100, "{accepted} codes were accepted");
    assert_eq!(u64::from(lost), 2 * ROUNDS, "each user met each kill");
    for user in &users {
        user.none_is_accepted_again(&vpn, 3);
    }
    assert!(enrolled > 20, "{enrolled} enrolments were acknowledged");
    let verified = server.cli(&["audit", "verify"]);
    assert_eq!(verified.status, 0, "{verified}");
}

#[test]
fn locks_and_open_challenges_survive_a_kill() {
    let server = Server::new().start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john", "HOTP");
    let mut jane = vpn.enroll("jane", "HOTP");
    let open = vpn.challenge("jane", jane.device);
    let wrong = john.token.wrong_code();
    vpn.answer(open, &jane.token.wrong_code()).refused(403, "wrong_token");
    let mut tries = 0;
    while vpn.verify("john", &wrong).status != 429 {
        tries += 1;
        assert!(tries < 50, "never locked");
    }
    server.kill_9();
    server.start_again();
    vpn.verify("john", &john.token.next_code()).refused(429, "locked");
    let left = vpn.answer(open, &jane.token.wrong_code());
    left.refused(403, "wrong_token");
    assert_eq!(left.json()["error"]["attempts_left"], 3);
    let _right = vpn.answer(open, &jane.token.next_code()).expect(200);
}

#[test]
fn a_stop_lets_requests_finish_and_a_second_server_finds_all() {
    let server = Server::new().start();
    let vpn = server.integration();
    let john = vpn.enroll("john", "HOTP");
    // More than anybody is let in with before the stop.
    let codes = john.token.codes(john.token.position, CODES);
    let count = AtomicU32::new(0);
    let spent = thread::scope(|scope| {
        let logins = scope.spawn(|| {
            let mut spent = Vec::new();
            for code in &codes {
                let body = serde_json::json!({"username": "john", "token": code});
                match vpn.try_send("POST", "/integrations/clients/verify", &body) {
                    Ok(reply) => {
                        spent.push((code.clone(), reply.expect(200)));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    // Only a connection that was not taken any more may fail, none that was.
                    Err(error) => {
                        assert!(error.contains("onnect"), "{error}");
                        break;
                    }
                }
            }
            spent
        });
        let begun = Instant::now();
        while count.load(Ordering::Relaxed) < 5 {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody is let in");
            thread::sleep(Duration::from_millis(1));
        }
        server.stop();
        logins.join().unwrap()
    });
    server.start_again();
    for (code, _) in spent.iter().rev().take(2) {
        vpn.verify("john", code).refused(403, "wrong_token");
    }
    let _right = vpn.verify("john", &codes[spent.len()]).expect(200);
}
