//! The chain of the audit: whole, or broken at the event that somebody touched.

use nix::unistd::{getegid, geteuid};
use oss2fa_agent::config::{MasterKeySource, StoreConfig};
use oss2fa_agent::outside::Random;
use oss2fa_agent::store::{AuditVerdict, Event, Owner, Store, audit, master_key, open};

use super::world::*;

/// What the check of a store says that nobody has open.
pub(crate) fn verdict(world: &World) -> AuditVerdict {
    let config = StoreConfig { path: world.path(), master_key: MasterKeySource::File(world.key()) };
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let master = master_key::find(&config.master_key, owner, None).unwrap();
    let connection = open::open_for_reading(&config.path).unwrap();
    let keys = open::keys_of(&connection, &config, master).unwrap();
    audit::verify(&connection, &keys, &mut |_| {}).unwrap()
}

fn note(store: &Store, detail: &str) {
    store.note(context(store, "ferris"), Event::Exported, detail.to_owned()).unwrap();
}

fn with_events(count: usize) -> World {
    let world = World::new();
    let store = world.open();
    for number in 1..=count {
        world.later(1);
        note(&store, &format!("device={number}"));
    }
    world
}

fn broken(at: u64, what: &str) -> AuditVerdict {
    AuditVerdict::Broken { at, what: what.to_owned() }
}

#[test]
fn what_nobody_touched_is_whole() {
    let world = World::new();
    drop(world.open());
    let AuditVerdict::Whole { events: 0, .. } = verdict(&world) else { panic!("{:?}", verdict(&world)) };
    let world = with_events(5);
    // The system log's last line has the same words to compare with.
    let chain = world.newest().chain;
    assert_eq!(verdict(&world), AuditVerdict::Whole { events: 5, chain });
}

#[test]
fn a_chain_goes_on_when_the_store_is_opened_again() {
    let world = with_events(3);
    note(&world.open(), "again");
    assert!(matches!(verdict(&world), AuditVerdict::Whole { events: 4, .. }));
}

#[test]
fn every_field_of_an_event_is_in_the_chain() {
    for change in [
        "at = at + 1",
        "event = 'accepted'",
        "user = 'corro'",
        "service = 'sshd'",
        "source = 'local'",
        "detail = ''",
        "chain = zeroblob(32)",
        // What is moved from one field to the next is a change, too.
        "user = user || service, service = ''",
    ] {
        let world = with_events(5);
        world.tamper(&format!("UPDATE audit SET {change} WHERE seq = 3"));
        assert_eq!(verdict(&world), broken(3, "the event was changed"), "{change}");
    }
}

#[test]
fn a_removed_event_is_missed_wherever_it_stood() {
    for (removed, at, what) in [
        ("seq = 1", 1, "the event is missing"),
        ("seq = 3", 3, "the event is missing"),
        ("seq = 5", 5, "the newest events are missing"),
        ("seq > 2", 3, "the newest events are missing"),
        ("seq > 0", 1, "the newest events are missing"),
    ] {
        let world = with_events(5);
        world.tamper(&format!("DELETE FROM audit WHERE {removed}"));
        assert_eq!(verdict(&world), broken(at, what), "{removed}");
    }
}

#[test]
fn a_tail_that_was_cut_off_does_not_grow_again() {
    let world = with_events(5);
    world.tamper("DELETE FROM audit WHERE seq > 2");
    let store = world.open();
    for _ in 0..3 {
        note(&store, "as if nothing had been");
    }
    drop(store);
    assert_eq!(verdict(&world), broken(3, "the event is missing"));
}

#[test]
fn events_that_changed_places_are_seen() {
    let world = with_events(5);
    world.tamper(
        "UPDATE audit SET seq = 100 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3;
         UPDATE audit SET seq = 3 WHERE seq = 100;",
    );
    assert!(matches!(verdict(&world), AuditVerdict::Broken { at: 2, .. }));
}

#[test]
fn nobody_adds_an_event_without_the_key() {
    let world = with_events(2);
    world.tamper("INSERT INTO audit SELECT 3, at, event, user, service, source, detail, chain FROM audit WHERE seq = 2");
    assert_eq!(verdict(&world), broken(3, "the event was changed"));
}

#[test]
fn the_events_of_one_store_are_not_those_of_another() {
    let one = with_events(1);
    // The same time, the same words; the keys come from other random bytes.
    let other = World::new();
    other.random.fill(&mut [0]).unwrap();
    let store = other.open();
    other.later(1);
    note(&store, "device=1");
    let chain = other.newest().chain;
    assert_ne!(chain, one.newest().chain);
}

#[test]
fn events_are_read_in_pages() {
    let world = with_events(5);
    let connection = open::open_for_reading(&world.path()).unwrap();
    let seqs = |after, limit| -> Vec<u64> {
        let entries = audit::events_after(&connection, after, limit).unwrap();
        entries.iter().map(|entry| entry.seq).collect()
    };
    assert_eq!(seqs(0, 2), [1, 2]);
    assert_eq!(seqs(2, 100), [3, 4, 5]);
    assert!(seqs(5, 100).is_empty());
    assert_eq!(audit::events_after(&connection, 4, 1).unwrap(), [world.newest()]);
}
