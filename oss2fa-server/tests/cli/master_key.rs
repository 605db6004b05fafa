//! Rotation of the master key, stopped after each step.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use oss2fa_server::ids::SERVER;
use oss2fa_server::service::rotation;
use oss2fa_server::store::audit::{AuditVerdict, VerifyAudit};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::keys::{CountWrappedByOlder, Dropped, ListKeys, RewrapKeys};

use crate::world::{Process, TENANT, World, doer};

fn lines(world: &World) -> Vec<String> {
    fs::read_to_string(world.key_file()).unwrap().lines().map(str::to_owned).collect()
}

fn rewrap(process: &Process<'_>) -> u64 {
    process.run(rotation::rewrap(&process.store, doer(SERVER), &mut |_, _| {}))
}

fn drop_old(process: &Process<'_>) -> Dropped {
    process.run(rotation::drop_old_master_keys(&process.store, doer(SERVER)))
}

/// Everything opens, for a process that starts now and for one that runs since before.
fn assert_usable(world: &World, running: &Process<'_>, sealed: oss2fa_server::ids::EnrollmentId, step: &str) {
    let fresh = world.open();
    for process in [&fresh, running] {
        assert_eq!(process.unseal(sealed).unwrap(), "before", "{step}");
        process.store.ring().forget(TENANT);
        process.store.ring().forget(SERVER);
        assert_eq!(process.unseal(sealed).unwrap(), "before", "{step}");
        let verdict = process.read(VerifyAudit { tenant: TENANT });
        assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{step}: {verdict:?}");
        let later = process.seal("later");
        assert_eq!(fresh.unseal(later).unwrap(), "later", "{step}");
        assert_eq!(running.unseal(later).unwrap(), "later", "{step}");
    }
}

#[test]
fn each_step_leaves_a_usable_store() {
    for stop_after in 0..=3 {
        let world = World::new();
        let running = world.open();
        let sealed = running.seal("before");
        for tenant in ["a", "b", "c"] {
            running.new_tenant(tenant);
        }
        let old = lines(&world);
        // Each step by a process of its own that ends after it.
        if stop_after >= 1 {
            let process = world.open();
            process.run(rotation::new_master_key(&process.store));
            assert_eq!(lines(&world).len(), 2);
            assert_eq!(lines(&world)[1], old[0]);
        }
        if stop_after >= 2 {
            assert_eq!(world.open().write(RewrapKeys { limit: 3 }), 3);
            assert_eq!(world.open().read(CountWrappedByOlder), 7);
        }
        if stop_after >= 3 {
            assert_eq!(rewrap(&world.open()), 7);
        }
        assert_usable(&world, &running, sealed, &format!("stopped after step {stop_after}"));
        // A rotation from the beginning finishes it.
        let process = world.open();
        process.run(rotation::new_master_key(&process.store));
        rewrap(&process);
        assert_eq!(drop_old(&process), Dropped::Done(1 + usize::from(stop_after >= 1)));
        let new = lines(&world);
        assert!(new.len() == 1 && !old.contains(&new[0]));
        assert_usable(&world, &running, sealed, &format!("finished after step {stop_after}"));
        let ids: Vec<String> =
            process.read(ListKeys { tenant: None }).into_iter().map(|key| key.master).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[test]
fn an_old_key_that_still_wraps_something_is_not_dropped() {
    let world = World::new();
    let process = world.open();
    process.run(rotation::new_master_key(&process.store));
    let before = lines(&world);
    assert_eq!(drop_old(&process), Dropped::StillUsed(4));
    assert_eq!(lines(&world), before);
    rewrap(&process);
    assert_eq!(drop_old(&process), Dropped::Done(1));
    assert_eq!(drop_old(&process), Dropped::Done(0));
}

#[test]
fn a_running_server_makes_keys_by_the_newest_master_key() {
    let world = World::new();
    let running = world.open();
    let sealed = running.seal("before");
    let process = world.open();
    process.run(rotation::new_master_key(&process.store));
    rewrap(&process);
    assert_eq!(drop_old(&process), Dropped::Done(1));
    // It has the old key in memory and nothing has told it.
    running.new_tenant("late");
    assert_eq!(process.read(CountWrappedByOlder), 0);
    assert_usable(&world, &running, sealed, "after a tenant was made");
}

#[test]
fn the_old_file_does_not_open_the_store_any_more() {
    let world = World::new();
    let old = fs::read(world.key_file()).unwrap();
    let process = world.open();
    let sealed = process.seal("before");
    process.run(rotation::new_master_key(&process.store));
    rewrap(&process);
    drop_old(&process);
    drop(process);
    fs::write(world.key_file(), old).unwrap();
    let error = world.open().unseal(sealed).unwrap_err();
    assert!(matches!(error, StoreError::MasterKey { .. }), "{error}");
    assert!(error.to_string().contains("one more line of the file"), "{error}");
}

#[test]
fn the_file_takes_no_more_keys_than_can_be_read() {
    let world = World::new();
    let process = world.open();
    for _ in 0..15 {
        process.run(rotation::new_master_key(&process.store));
    }
    let full = lines(&world);
    assert_eq!(full.len(), 16);
    let refused = world.runtime.block_on(rotation::new_master_key(&process.store)).unwrap_err();
    assert!(refused.to_string().contains("16 keys"), "{refused}");
    assert_eq!(lines(&world), full);
    rewrap(&process);
    assert_eq!(drop_old(&process), Dropped::Done(15));
}

#[test]
fn the_file_keeps_mode_and_owner() {
    let world = World::new();
    // Root rotates for the server's user. Without root there is only one owner to keep.
    let owner = if nix::unistd::geteuid().is_root() { 65_534 } else { nix::unistd::geteuid().as_raw() };
    chown(world.key_file(), Some(owner), None).unwrap();
    let process = world.open();
    process.run(rotation::new_master_key(&process.store));
    rewrap(&process);
    drop_old(&process);
    let meta = fs::metadata(world.key_file()).unwrap();
    assert_eq!((meta.uid(), meta.permissions().mode() & 0o7777), (owner, 0o600));
    let left: Vec<_> = fs::read_dir(world.key_file().parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("master"))
        .collect();
    assert_eq!(left, ["master.key"]);
}
