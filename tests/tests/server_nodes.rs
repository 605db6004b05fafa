//! Three nodes over one PostgreSQL: one code passes once, one of them dies under load, the database restarts.
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

use oss2fa_tests::server::{Caller, Enrolled, PostgresCluster, Reply, Server, Store};
use serde_json::json;

const TRIES: usize = 50;
const CODES: u64 = 4000;

/// Who logs in while something dies.
const USERS: u32 = 4;

fn three(cluster: &PostgresCluster) -> [Server; 3] {
    let first = Server::new()
        .on(Store::Postgres(cluster))
        .config("[limits]\naddress_per_second = 10000\naddress_burst = 10000\ntoken_per_second = 10000\n")
        .config("[limits]\ntoken_burst = 10000\n")
        .start();
    let (second, third) = (Server::new().beside(&first).start(), Server::new().beside(&first).start());
    [first, second, third]
}

/// Fifty requests at once, spread over the nodes.
fn at_once(nodes: &[Server; 3], ask: impl Fn(&Caller<'_>, usize) -> Reply + Sync) -> Vec<Reply> {
    thread::scope(|scope| {
        let ask = &ask;
        let run = |number: usize| {
            let caller = nodes[number % 3].integration();
            scope.spawn(move || ask(&caller, number))
        };
        let running: Vec<_> = (0..TRIES).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn exactly_one_passed(replies: &[Reply]) {
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status < 300).count(), 1, "{statuses:?}");
    let refused = statuses.iter().filter(|status| matches!(status, 403 | 409 | 429)).count();
    assert_eq!(refused, TRIES - 1, "{statuses:?}");
}

#[test]
fn row_54_one_code_passes_once_whatever_it_answers_and_wherever() {
    let cluster = PostgresCluster::start();
    let nodes = three(&cluster);
    let vpn = nodes[0].integration();
    for kind in ["TOTP", "HOTP"] {
        // Fifty answers to one challenge.
        let mut one = vpn.enroll(&format!("one-{kind}"), kind);
        let (challenge, code) = (vpn.challenge(&one.username, one.device), one.token.lasting_code());
        exactly_one_passed(&at_once(&nodes, |caller, _| caller.answer(challenge, &code)));
        // Fifty challenges, one code.
        let mut many = vpn.enroll(&format!("many-{kind}"), kind);
        let open = |_| vpn.challenge(&many.username, many.device);
        let (challenges, code) = ((0..TRIES).map(open).collect::<Vec<i64>>(), many.token.lasting_code());
        exactly_one_passed(&at_once(&nodes, |caller, number| caller.answer(challenges[number], &code)));
        // No challenge.
        let mut none = vpn.enroll(&format!("none-{kind}"), kind);
        let code = none.token.lasting_code();
        exactly_one_passed(&at_once(&nodes, |caller, _| caller.verify(&none.username, &code)));
    }
    let audit = nodes[1].cli(&["audit", "verify"]);
    assert_eq!(audit.status, 0, "{audit}");
}

#[test]
fn row_54_one_enrolment_completes_once() {
    let cluster = PostgresCluster::start();
    let nodes = three(&cluster);
    let vpn = nodes[0].integration();
    let enrollment = vpn.enrollment("john");
    let prepared = vpn.prepare(enrollment, "HOTP", &json!({})).expect(200).json();
    let code = oss2fa_tests::server::phone(&prepared["public_details"]).next_code();
    let replies = at_once(&nodes, |caller, _| caller.complete(enrollment, &code));
    exactly_one_passed(&replies);
    let decision = nodes[2].integration().decide("john");
    assert_eq!(decision["devices"].as_array().unwrap().len(), 1, "{decision}");
    // The code that enrolled it logs nobody in.
    nodes[1].integration().verify("john", &code).refused(403, "wrong_token");
}

/// A user who logs in at whatever node answers.
struct User {
    client: Enrolled,
    codes: Vec<String>,
    next: usize,
    accepted: BTreeSet<usize>,
    tried_again: u32,
}

impl User {
    fn new(vpn: &Caller<'_>, name: &str) -> Self {
        let client = vpn.enroll(name, "HOTP");
        let codes = client.token.codes(client.token.position, CODES);
        Self { client, codes, next: 0, accepted: BTreeSet::new(), tried_again: 0 }
    }

    /// One try at one node; what it was when it was no verdict.
    fn log_in(&mut self, vpn: &Caller<'_>) -> Result<(), String> {
        let body = json!({"username": self.client.username, "token": self.codes[self.next]});
        let reply = vpn.try_send("POST", "/integrations/clients/verify", &body)?;
        match reply.status {
            200 => {
                assert!(self.accepted.insert(self.next), "code {} passed twice", self.next);
                self.next += 1;
                Ok(())
            }
            // Spent by a login whose answer was lost; a few of them in a row lock.
            403 => {
                self.next += 1;
                Ok(())
            }
            500.. => Err(reply.to_string()),
            _ => Err(format!("an answer that is none: {reply}")),
        }
    }

    /// One try with the newest code that was accepted. What is wrong with a verdict shows now: a login with a later
    /// code hides it.
    fn newest_is_refused(&mut self, vpn: &Caller<'_>) -> Result<(), String> {
        let Some(newest) = self.accepted.last() else { return Ok(()) };
        let body = json!({"username": self.client.username, "token": self.codes[*newest]});
        let again = vpn.try_send("POST", "/integrations/clients/verify", &body)?;
        match again.status {
            200 => panic!("code {newest} passed twice: its login was lost"),
            403 => {
                self.tried_again += 1;
                Ok(())
            }
            500.. => Err(again.to_string()),
            _ => Err(format!("an answer that is none: {again}")),
        }
    }

    // With the one that was tried again last, and one whose answer was lost, these are less than lock.
    fn none_is_accepted_again(&self, nodes: &[Server; 3]) {
        for (number, position) in self.accepted.iter().rev().take(2).enumerate() {
            let again = nodes[number % 3].integration().verify(&self.client.username, &self.codes[*position]);
            assert_eq!(again.status, 403, "code {position} again: {again}");
        }
    }
}

/// What a run under load has seen.
#[derive(Default)]
struct Seen {
    errors: AtomicU32,
    strange: AtomicU32,
}

/// Ends the load where the test does, also by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something dies under load: whoever has a login under way ends it, begins no other before it is dead, and then tries
/// the newest accepted code again before any later one.
#[derive(Default)]
struct Death {
    begun: AtomicU32,
    over: AtomicU32,
    /// How often somebody has tried again after one.
    after: AtomicU32,
}

impl Death {
    fn of(&self, kill: impl FnOnce()) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        kill();
        self.over.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until so many users have tried again after each.
    fn is_tried_after(&self, users: u32) {
        let begun = Instant::now();
        while self.after.load(Ordering::SeqCst) < users * self.over.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(60), "somebody does not come to try again");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn load(users: &mut [User], nodes: &[Server; 3], seen: &Seen, act: impl FnOnce(&Death)) {
    let (stop, death) = (&AtomicBool::new(false), &Death::default());
    thread::scope(|scope| {
        let _stop = Stop(stop);
        for (offset, user) in users.iter_mut().enumerate() {
            scope.spawn(move || {
                let (mut number, mut known) = (offset, 0);
                while !stop.load(Ordering::Relaxed) {
                    let begun = death.begun.load(Ordering::SeqCst);
                    if death.over.load(Ordering::SeqCst) < begun {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    number += 1;
                    let vpn = nodes[number % 3].integration();
                    let tried = if begun == known { user.log_in(&vpn) } else { user.newest_is_refused(&vpn) };
                    match tried {
                        Ok(()) => {
                            death.after.fetch_add(u32::from(begun != known), Ordering::SeqCst);
                            known = begun;
                        }
                        Err(error) => {
                            seen.errors.fetch_add(1, Ordering::Relaxed);
                            seen.strange.fetch_add(u32::from(error.contains("is none")), Ordering::Relaxed);
                            // A client that is refused a connection does not hammer.
                            thread::sleep(Duration::from_millis(20));
                        }
                    }
                }
            });
        }
        act(death);
    });
}

/// An enrolment that a node has acknowledged: number of the client, name, and the code after the one it was
/// completed with.
type Acknowledged = (i64, String, String);

/// One enrolment at one node; what it was where the node went away meanwhile.
fn enroll(vpn: &Caller<'_>, name: &str) -> Result<Acknowledged, String> {
    let post = |path: &str, body| {
        let reply = vpn.try_send("POST", path, &body)?;
        if reply.status < 300 { Ok(reply) } else { Err(reply.to_string()) }
    };
    let made = post("/integrations/enrollments", json!({"username": name}))?.json();
    let path = format!("/integrations/enrollments/{}", made["pk"]);
    let prepared = post(&format!("{path}/prepare-device"), json!({"kind": "HOTP"}))?.json();
    let token = oss2fa_tests::server::phone(&prepared["public_details"]);
    let (first, second) = (token.code_at(0), token.code_at(1));
    let done = post(&format!("{path}/complete"), json!({"token": first}))?;
    Ok((done.header("X-Client-Id").unwrap().parse().unwrap(), name.to_owned(), second))
}

/// One after another at a node that dies now and then.
fn enroll_many(vpn: &Caller<'_>, stop: &AtomicBool, count: &AtomicU32) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match enroll(vpn, &format!("new-{number}")) {
            Ok(enrolled) => {
                acknowledged.push(enrolled);
                count.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
    acknowledged
}

#[test]
fn a_node_that_dies_under_load_takes_nothing_with_it() {
    let cluster = PostgresCluster::durable();
    let nodes = three(&cluster);
    let vpn = nodes[0].integration();
    let mut users: Vec<User> = (0..USERS).map(|number| User::new(&vpn, &format!("user-{number}"))).collect();
    let (seen, mut enrolled) = (Seen::default(), Vec::new());
    load(&mut users, &nodes, &seen, |death| {
        let (stop, count) = (AtomicBool::new(false), AtomicU32::new(0));
        enrolled = thread::scope(|scope| {
            let enrolling = scope.spawn(|| enroll_many(&nodes[1].integration(), &stop, &count));
            let stop = Stop(&stop);
            for round in 0..8 {
                let (before, begun) = (count.load(Ordering::Relaxed), Instant::now());
                while count.load(Ordering::Relaxed) < before + 2 {
                    assert!(begun.elapsed() < Duration::from_secs(60), "nobody enrols at the node that dies");
                    thread::sleep(Duration::from_millis(1));
                }
                // In the middle of the next one, at another step each time.
                thread::sleep(Duration::from_millis(round * 13));
                death.of(|| nodes[1].kill_9());
                thread::sleep(Duration::from_millis(200));
                nodes[1].start_again();
                death.is_tried_after(USERS);
            }
            drop(stop);
            enrolling.join().unwrap()
        });
    });
    for user in &users {
        user.none_is_accepted_again(&nodes);
        assert!(user.tried_again >= 7, "a code was tried again after {} of 8 deaths", user.tried_again);
    }
    let accepted: usize = users.iter().map(|user| user.accepted.len()).sum();
    assert!(accepted > 100, "{accepted} codes were accepted");
    let (errors, strange) = (seen.errors.into_inner(), seen.strange.into_inner());
    assert!(errors > 0, "nobody noticed that a node was away");
    assert_eq!(strange, 0, "an answer that is neither a verdict nor an error of the server");
    assert!(enrolled.len() >= 16, "{} enrolments were acknowledged", enrolled.len());
    for (client, name, next) in &enrolled {
        let right = nodes[0].integration().verify(name, next).expect(200).json();
        assert_eq!(right["client"], *client, "{right}");
    }
    let audit = nodes[2].cli(&["audit", "verify"]);
    assert_eq!(audit.status, 0, "{audit}");
}

#[test]
fn a_database_that_restarts_under_load_gives_errors_and_then_all_is_well() {
    let cluster = PostgresCluster::durable();
    let nodes = three(&cluster);
    let vpn = nodes[0].integration();
    let mut users: Vec<User> = (0..USERS).map(|number| User::new(&vpn, &format!("user-{number}"))).collect();
    let seen = Seen::default();
    load(&mut users, &nodes, &seen, |death| {
        for round in 0..3 {
            thread::sleep(Duration::from_millis(400));
            death.of(|| if round == 1 { cluster.kill() } else { cluster.stop() });
            let away = nodes[round].anybody().get("/readyz");
            assert_eq!(away.status, 503, "not ready without its database: {away}");
            let alive = nodes[round].anybody().get("/healthz");
            assert_eq!(alive.status, 200, "alive all the same: {alive}");
            let refused = nodes[round].integration().get("/integrations/clients");
            refused.refused(503, "store_unavailable");
            cluster.start_again();
            let begun = Instant::now();
            while nodes.iter().any(|node| node.anybody().get("/readyz").status != 200) {
                assert!(begun.elapsed() < Duration::from_secs(60), "a node does not recover");
                thread::sleep(Duration::from_millis(20));
            }
            death.is_tried_after(USERS);
        }
    });
    assert!(seen.errors.into_inner() > 0, "nobody noticed");
    assert_eq!(seen.strange.into_inner(), 0);
    for user in &mut users {
        user.none_is_accepted_again(&nodes);
        assert!(user.tried_again >= 2, "a code was tried again after {} of 3 restarts", user.tried_again);
        for node in &nodes {
            let before = user.accepted.len();
            while user.accepted.len() == before {
                user.log_in(&node.integration()).unwrap();
            }
        }
    }
    let audit = nodes[2].cli(&["audit", "verify"]);
    assert_eq!(audit.status, 0, "{audit}");
}
