//! Rotation of a tenant's key: what is sealed, by whom, and when an old key may go.

use oss2fa_server::service::rotation::{self, OldKeys, Tally};
use oss2fa_server::store::verbs::keys::{CountOld, SEALED_COLUMNS, SealAnew, StoreResealed};

use crate::world::{Process, TENANT, World, doer, doer_later};

fn new_key(process: &Process<'_>) -> u32 {
    process.run(rotation::new_tenant_key(&process.store, doer(TENANT))).unwrap()
}

fn reseal(process: &Process<'_>) -> Tally {
    process.run(rotation::reseal(&process.store, TENANT, &mut |_, _| {}))
}

fn tidy(process: &Process<'_>, seconds: u32) -> OldKeys {
    process.run(rotation::drop_unused(&process.store, &doer_later(TENANT, seconds)))
}

#[test]
fn each_step_leaves_everything_open_to_everybody() {
    let world = World::new();
    // Both have the first key in memory, for a minute to come.
    let (running, command) = (world.open(), world.open());
    let values: Vec<_> =
        (0..450).map(|n| (running.seal(&format!("value {n}")), format!("value {n}"))).collect();
    let assert_open = |step: &str| {
        for process in [&running, &command, &world.open()] {
            for (pk, text) in &values {
                assert_eq!(&process.unseal(*pk).unwrap(), text, "{step}");
            }
        }
    };
    assert_eq!(command.unseal(values[0].0).unwrap(), "value 0");
    assert_eq!(new_key(&command), 2);
    assert_open("with a new key");
    let mut seen = Vec::new();
    let tally =
        command.run(rotation::reseal(&command.store, TENANT, &mut |done, all| seen.push((done, all))));
    assert_eq!(tally, Tally { resealed: 450, changed: 0, unreadable: 0 });
    assert_eq!(seen, [(0, 450), (200, 450), (400, 450), (450, 450)]);
    assert_open("resealed");
    assert_eq!(reseal(&command), Tally::default(), "nothing is left");
}

#[test]
fn a_rotation_that_was_cut_short_is_finished_by_the_next() {
    let world = World::new();
    let process = world.open();
    let values: Vec<_> = (0..10).map(|n| process.seal(&n.to_string())).collect();
    new_key(&process);
    let column = SEALED_COLUMNS[1];
    assert_eq!(column.place, "enrollment.sealed");
    let batch = process.read(SealAnew { tenant: TENANT, column, after: 0, limit: 4 });
    assert_eq!(process.write(StoreResealed { tenant: TENANT, column, values: batch.values }), 4);
    drop(process);
    let process = world.open();
    assert_eq!(process.read(CountOld { tenant: TENANT }), 6);
    assert_eq!(new_key(&process), 3);
    assert_eq!(reseal(&process).resealed, 10);
    for (n, pk) in values.iter().enumerate() {
        assert_eq!(process.unseal(*pk).unwrap(), n.to_string());
    }
    assert_eq!(tidy(&process, 601).dropped, [1, 2]);
    for (n, pk) in values.iter().enumerate() {
        assert_eq!(world.open().unseal(*pk).unwrap(), n.to_string());
    }
}

#[test]
fn who_changes_a_value_meanwhile_wins() {
    let world = World::new();
    let (running, command) = (world.open(), world.open());
    let (changed, kept) = (running.seal("old"), running.seal("kept"));
    new_key(&command);
    let column = SEALED_COLUMNS[1];
    let batch = command.read(SealAnew { tenant: TENANT, column, after: 0, limit: 100 });
    running.seal_again(changed, "new");
    assert_eq!(command.write(StoreResealed { tenant: TENANT, column, values: batch.values }), 1);
    assert_eq!(world.open().unseal(changed).unwrap(), "new");
    assert_eq!(world.open().unseal(kept).unwrap(), "kept");
}

#[test]
fn an_old_key_stays_while_a_node_may_seal_by_it() {
    let world = World::new();
    let (running, command) = (world.open(), world.open());
    running.seal("first");
    new_key(&command);
    reseal(&command);
    let old = tidy(&command, 0);
    assert_eq!((old.recent.as_slice(), old.dropped.len()), (&[1][..], 0));
    assert!(old.settled_at.is_some());
    assert_eq!(tidy(&command, 590).recent, [1]);
    // This node has only the first key in memory, and uses it.
    let late = running.seal("late");
    let old = tidy(&command, 601);
    assert_eq!((old.used.as_slice(), old.dropped.len()), (&[1][..], 0));
    assert_eq!(reseal(&command).resealed, 1);
    assert_eq!(tidy(&command, 601).dropped, [1]);
    assert_eq!(running.unseal(late).unwrap(), "late");
    assert_eq!(tidy(&command, 601), OldKeys::default(), "the newest key stays for ever");
}

#[test]
fn a_value_that_does_not_open_keeps_its_key_and_is_told() {
    let world = World::new();
    let process = world.open();
    let (good, bad) = (process.seal("good"), process.seal("bad"));
    let database = world.key_file().with_file_name("server.db");
    let spoil = format!("UPDATE enrollment SET sealed = x'00000001{}' WHERE pk = {bad}", "00".repeat(60));
    let spoilt = std::process::Command::new("sqlite3").arg(database).arg(spoil).status().unwrap();
    assert!(spoilt.success());
    new_key(&process);
    assert_eq!(reseal(&process), Tally { resealed: 1, changed: 0, unreadable: 1 });
    assert_eq!(tidy(&process, 601).used, [1]);
    assert_eq!(process.unseal(good).unwrap(), "good");
}
