//! What can be read beside the writer: pages, counts, a backup, a key from systemd.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::{getegid, geteuid};
use oss2fa_agent::admin::OtpKind;
use oss2fa_agent::config::{Config, MasterKeySource};
use oss2fa_agent::store::device::Vouched;
use oss2fa_agent::store::{Owner, StoreError, backup, master_key};
use oss2fa_core::ids::DeviceId;

use super::world::*;

#[test]
fn a_name_that_an_earlier_release_took_keeps_nobody_out() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    world.tamper("UPDATE device SET name = 'my' || char(8205) || 'phone' || char(8232, 917505)");
    assert_eq!(device(&store, "ferris", id).name.as_str(), "my\u{fffd}phone\u{fffd}\u{fffd}");
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id));
    assert!(store.rename(context(&store, "ferris"), account(&store, "ferris"), id, name("phone")).unwrap());
}

#[test]
fn devices_of_everybody_come_in_pages() {
    let world = World::new();
    let store = world.open();
    let mut made = Vec::new();
    for who in ["a", "b", "c"] {
        made.push((who.to_owned(), owner(&store, who, OtpKind::Totp)));
    }
    let removed = made.remove(1);
    store.remove(context(&store, "b"), account(&store, "b"), removed.1).unwrap();
    store.replace_recovery_codes(context(&store, "c"), user("c")).unwrap();
    let page = |after, limit| store.page(after, limit).unwrap();
    let all = page(DeviceId(0), 10);
    let listed: Vec<_> = all.iter().take(2).map(|(user, device, _)| (user.clone(), device.id)).collect();
    assert_eq!(listed, made);
    let left: Vec<_> = all.iter().map(|(_, _, left)| *left).collect();
    assert_eq!(left, [None, None, Some(10)]);
    assert_eq!(page(DeviceId(0), 1)[0].1.id, made[0].1);
    assert_eq!(page(made[0].1, 1)[0].1.id, made[1].1, "the page after it");
}

#[test]
fn counts_are_of_what_holds() {
    let world = World::new();
    let store = world.open();
    assert_eq!(store.counts().unwrap(), [0; 4]);
    pending(&store, "a", Vouched::No);
    let id = owner(&store, "b", OtpKind::Totp);
    assert_eq!(store.counts().unwrap(), [1, 1, 0, 2], "users, devices, locks, events");
    store.remove(context(&store, "b"), account(&store, "b"), id).unwrap();
    assert_eq!(store.counts().unwrap(), [1, 0, 0, 3], "who was enrolled once is counted");
    store.forget(context(&store, "b"), account(&store, "b")).unwrap();
    assert_eq!(store.counts().unwrap(), [0, 0, 0, 4]);
}

#[test]
fn a_name_can_be_changed() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    let owned = account(&store, "ferris");
    assert!(store.rename(context(&store, "ferris"), owned, id, name("new phone")).unwrap());
    assert_eq!(device(&store, "ferris", id).name.as_str(), "new phone");
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id), "the seal is not of the name");
    assert_eq!(world.words(), ["imported", "renamed", "accepted"]);
}

#[test]
fn a_backup_of_a_running_store_knows_what_was_used() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "ferris", OtpKind::Totp);
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Admitted(id));
    let (path, key) = (world.path(), world.key());
    let text = format!("[store]\npath = \"{}\"\nmaster_key = \"{}\"\n", path.display(), key.display());
    let config = Config::parse(Path::new("/agent.toml"), &text).unwrap();
    let target = world.folder.path().join("backup.db");
    backup(&config, &target, &mut |_, _| {}).unwrap();
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o600);
    let again = backup(&config, &target, &mut |_, _| {});
    assert!(matches!(again, Err(StoreError::File { .. })), "a backup took the place of another file");
    // Restored: with the same key, and without the code that was used.
    drop(store);
    for file in ["agent.db-wal", "agent.db-shm"] {
        let _ = fs::remove_file(world.folder.path().join(file));
    }
    fs::rename(&target, world.path()).unwrap();
    let store = world.open();
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused);
    assert_eq!(login(&store, "ferris", &totp(BEGIN + 30)), Said::Admitted(id));
}

#[test]
fn a_key_comes_from_systemd_or_not_at_all() {
    let world = World::new();
    let owner = Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    let source = MasterKeySource::Credential("oss2fa.key".to_owned());
    let said = |folder: Option<&Path>| match master_key::find(&source, owner, folder) {
        Ok(_) => "found".to_owned(),
        Err(error) => error.to_string().replace(&world.folder.path().display().to_string(), "FOLDER"),
    };
    insta::assert_snapshot!(said(None), @"credential:oss2fa.key: systemd passed no credentials. Add LoadCredential=oss2fa.key:PATH to the unit, or name a file");
    insta::assert_snapshot!(said(Some(world.folder.path())), @"FOLDER/oss2fa.key: there is no credential of this name. Add LoadCredential=oss2fa.key:PATH to the unit");
    let key = world.folder.path().join("oss2fa.key");
    fs::write(&key, "ab".repeat(32)).unwrap();
    // As systemd makes them for a unit with a user of its own.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    assert_eq!(said(Some(world.folder.path())), "found");
}
