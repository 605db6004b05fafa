//! Changes that are committed together: what fails fails alone, and what is answered is on disk.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use oss2fa_agent::admin::OtpKind;
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::writer::EventSink;
use oss2fa_agent::store::{AuditEntry, AuditVerdict, Event, StoreError};

use super::audit::verdict;
use super::world::*;

/// Holds the writer up at its first event until it is let go.
struct Gate {
    reached: Sender<()>,
    open: Receiver<()>,
    kept: Kept,
}

impl EventSink for Gate {
    fn event(&mut self, entry: &AuditEntry) {
        if entry.seq == 1 {
            self.reached.send(()).unwrap();
            self.open.recv().unwrap();
        }
        self.kept.event(entry);
    }
}

#[test]
fn what_fails_takes_nothing_of_its_group_along() {
    let world = World::new();
    let ((reached, is_reached), (open, is_open)) = (channel(), channel());
    let gate = Gate { reached, open: is_open, kept: world.events.clone() };
    let store = world.try_open_with(Box::new(gate)).unwrap();
    let note =
        |detail: &'static str| store.note(context(&store, "ferris"), Event::Exported, detail.to_owned());
    let enroll = |who: &'static str| {
        store.enroll(
            context(&store, who),
            user(who),
            OtpKind::Totp,
            name("phone"),
            Default::default(),
            Vouched::No,
        )
    };
    // The second enrolment of the group gets no bytes for its seed: a row of it is there already.
    let calls = world.random.calls();
    world.random.fail_at(calls + 3);
    let (a, b, enrolled) = std::thread::scope(|scope| {
        let first = scope.spawn(|| note("first"));
        is_reached.recv().unwrap();
        let notes = ["a", "b"].map(|detail| scope.spawn(move || note(detail)));
        let enrolments = ["ferris", "corro"].map(|who| scope.spawn(move || enroll(who)));
        // Nothing tells from outside that all four have queued behind the first.
        std::thread::sleep(Duration::from_secs(1));
        open.send(()).unwrap();
        first.join().unwrap().unwrap();
        let [a, b] = notes.map(|thread| thread.join().unwrap());
        (a, b, enrolments.map(|thread| thread.join().unwrap()))
    });
    a.unwrap();
    b.unwrap();
    assert_eq!(enrolled.iter().filter(|made| matches!(made, Ok(Some(_)))).count(), 1);
    assert_eq!(enrolled.iter().filter(|made| matches!(made, Err(StoreError::Random(_)))).count(), 1);
    drop(store);
    let words = world.words();
    assert_eq!(words.iter().filter(|word| *word == "exported").count(), 3);
    assert_eq!(words.iter().filter(|word| *word == "enrolled").count(), 1);
    assert_eq!(world.number("SELECT count(*) FROM device"), 1);
    assert_eq!(world.number("SELECT count(*) FROM account"), 1);
    assert!(matches!(verdict(&world), AuditVerdict::Whole { events: 4, .. }));
}

#[test]
fn what_is_answered_can_be_read_by_others() {
    let world = World::new();
    let store = world.open();
    for number in 1..=20 {
        store.note(context(&store, "ferris"), Event::Exported, String::new()).unwrap();
        assert_eq!(world.number("SELECT max(seq) FROM audit"), number);
    }
}

#[test]
fn a_commit_that_fails_is_told_to_everybody_and_leaves_nothing() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    // Fails where the audit is written, after the code was spent.
    world.tamper("CREATE TRIGGER no BEFORE INSERT ON audit BEGIN SELECT raise(ROLLBACK, 'no'); END");
    let notes = || store.note(context(&store, "ferris"), Event::Exported, String::new());
    let verified = evidence(&store, "ferris", &totp(BEGIN), oss2fa_agent::store::Purpose::Login);
    let kinds = [oss2fa_core::verdict::FactorKind::Totp];
    let attempt =
        attempt(&store, "ferris", &from("192.0.2.1"), &kinds, verified, oss2fa_agent::store::Purpose::Login);
    let (one, judged, other) = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(notes), scope.spawn(notes));
        let judged = store.judge(attempt, LIMITS);
        (one.join().unwrap(), judged, other.join().unwrap())
    });
    assert!(one.is_err() && judged.is_err() && other.is_err(), "{one:?} {judged:?} {other:?}");
    world.tamper("DROP TRIGGER no");
    // The writer goes on, and the code was not spent.
    assert!(matches!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(_)));
    assert_eq!(world.words(), ["imported", "accepted"]);
}
