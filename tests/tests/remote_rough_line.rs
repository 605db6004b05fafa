//! A line between host and server on which everything goes wrong: nobody gets in by it, no code is spent twice,
//! nothing hangs.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use oss2fa_core::wire::Outcome;
use oss2fa_tests::server::{RoughLine, Server};
use oss2fa_tests::{Dialogue, Host, Token, start};
use serde_json::json;

const PEOPLE: usize = 8;
const EACH: usize = 250;

/// Of ten thousand pieces that pass. Each login takes some six of them.
const FAULTY: u32 = 200;

/// The host waits two seconds for an answer of its server, and asks some three times in a login.
const NO_HANG: Duration = Duration::from_secs(20);

/// A server that does not lock out or slow down who tries this often.
const PATIENT: &str = "[limits]\ntoken_per_second = 100000\ntoken_burst = 100000\n\
                       address_per_second = 100000\naddress_burst = 100000\n";

/// What came of one person's logins.
#[derive(Debug, Default)]
struct Tally {
    verified: usize,
    unavailable: usize,
    logins: usize,
}

struct Person<'a> {
    name: String,
    socket: &'a Path,
    token: Token,
    /// Counters and their codes that were verified once. Two counters can have the same digits.
    used: Vec<(u64, String)>,
    /// Those of which nobody knows whether they were spent: the answer was lost.
    lost: Vec<(u64, String)>,
    tally: Tally,
}

impl Person<'_> {
    fn login(&mut self, code: &str) -> Outcome {
        let begun = Instant::now();
        let outcome = Dialogue::login(self.socket, &start(&self.name, "login", None), code).unwrap();
        assert!(begun.elapsed() < NO_HANG, "{}: {outcome:?} after {:?}", self.name, begun.elapsed());
        self.tally.logins += 1;
        match outcome {
            Outcome::Verified => self.tally.verified += 1,
            Outcome::Unavailable => self.tally.unavailable += 1,
            _ => {}
        }
        outcome
    }

    fn with_a_fresh_code(&mut self) {
        let counter = self.token.position;
        let code = self.token.next_code();
        match self.login(&code) {
            Outcome::Verified => self.used.push((counter, code)),
            Outcome::Unavailable => self.lost.push((counter, code)),
            other => panic!("{}: a right and unused code was {other:?}", self.name),
        }
    }

    fn with_a_wrong_code(&mut self) {
        let code = self.token.wrong_code();
        assert_ne!(self.login(&code), Outcome::Verified, "{}: a wrong code", self.name);
    }

    fn with_a_used_code(&mut self) {
        let Some((_, code)) = self.used.last().cloned() else { return self.with_a_wrong_code() };
        assert_ne!(self.login(&code), Outcome::Verified, "{}: a code that was used", self.name);
    }

    /// The server may have spent it, or not; by the end it has been accepted once at most.
    fn with_a_lost_code(&mut self) {
        let Some((counter, code)) = self.lost.pop() else { return self.with_a_fresh_code() };
        match self.login(&code) {
            Outcome::Verified => self.used.push((counter, code)),
            Outcome::Refused => {}
            Outcome::Unavailable => self.lost.push((counter, code)),
            other => panic!("{}: {other:?}", self.name),
        }
    }
}

#[test]
fn two_thousand_logins_over_a_line_that_cuts_delays_doubles_and_cuts_short() {
    let server = Server::new().config(PATIENT).start();
    let locks =
        json!({"free_attempts": 100, "free_attempts_per_source": 100_000, "free_attempts_per_client": 1000});
    server.set_policy(&json!({"locks": locks}));
    let names: Vec<String> = (0..PEOPLE).map(|number| format!("person{number}")).collect();
    let tokens: Vec<Token> =
        names.iter().map(|name| server.integration().enroll(name, "HOTP").token).collect();
    let line = RoughLine::to(server.port(), 20_261_126);
    let mut plan = Host::new();
    for name in &names {
        plan = plan.user(name);
    }
    let host = plan.asks_over(line.port(), &server).set("server.timeout", 2).start();
    line.rough(FAULTY);
    let socket = host.socket();
    let people: Vec<Person<'_>> = thread::scope(|scope| {
        let run = |(name, token): (&String, Token)| {
            let socket = &socket;
            let name = name.clone();
            scope.spawn(move || {
                let (used, lost) = (Vec::new(), Vec::new());
                let mut person = Person { name, socket, token, used, lost, tally: Tally::default() };
                for number in 0..EACH {
                    match number % 10 {
                        3 => person.with_a_wrong_code(),
                        6 => person.with_a_used_code(),
                        9 => person.with_a_lost_code(),
                        _ => person.with_a_fresh_code(),
                    }
                }
                person
            })
        };
        let threads: Vec<_> = names.iter().zip(tokens).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let logins: usize = people.iter().map(|person| person.tally.logins).sum();
    assert_eq!(logins, PEOPLE * EACH);
    for (fault, times) in line.happened() {
        assert!(times > 0, "{fault} never happened: the line was not rough enough");
    }
    // By the server's own book: what let somebody in was spent, each code once, and nothing else was but what
    // a lost answer may have been about.
    for person in &people {
        let distinct: BTreeSet<u64> = person.used.iter().map(|(counter, _)| *counter).collect();
        assert_eq!(distinct.len(), person.used.len(), "{}: a code let somebody in twice", person.name);
        let offered = person.used.len() + person.tally.unavailable;
        let accepted = server.accepted(&person.name);
        assert!((person.used.len()..=offered).contains(&accepted), "{}: {accepted} accepted", person.name);
        assert_eq!(person.tally.verified, person.used.len());
    }
    let let_in: usize = people.iter().map(|person| person.used.len()).sum();
    assert!(
        let_in > PEOPLE * EACH / 3,
        "only {let_in} of {logins} got in: the line was too rough to show anything"
    );
    // The line is well again, and so are host and server.
    line.rough(0);
    let mut last = people.into_iter().next().unwrap();
    let begun = Instant::now();
    let mut code = last.token.next_code();
    loop {
        match last.login(&code) {
            Outcome::Verified => break,
            // What was held up by the line of before.
            Outcome::Unavailable => {}
            Outcome::Refused => code = last.token.next_code(),
            other => panic!("over a line that is well: {other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "over a line that is well nobody gets in");
        thread::sleep(Duration::from_millis(200));
    }
}
