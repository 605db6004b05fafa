//! Opening the store: the files must be the agent's own, the key the right one, the schema known.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use oss2fa_agent::admin::OtpKind;

use super::world::*;

/// A store with a device in it, closed.
fn used() -> World {
    let world = World::new();
    owner(&world.open(), "ferris", OtpKind::Totp);
    world
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_made_on_the_first_start_is_closed_to_others() {
    let world = used();
    let _store = world.open();
    for file in fs::read_dir(world.folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", file.file_name());
    }
    let key = fs::read_to_string(world.key()).unwrap();
    assert!(key.len() == 65 && key.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()));
    // The key stays the same, and so does what it seals.
    drop(world.open());
    assert_eq!(fs::read_to_string(world.key()).unwrap(), key);
}

#[test]
fn a_key_that_others_could_read_is_refused() {
    let world = used();
    set_mode(&world.key(), 0o640);
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key has mode 0640, so others than its owner could read it. Mend it with: chmod 0600 FOLDER/master.key");
    set_mode(&world.key(), 0o604);
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key has mode 0604, so others than its owner could read it. Mend it with: chmod 0600 FOLDER/master.key");
    set_mode(&world.key(), 0o400);
    assert_eq!(world.refusal(), "opened");
}

#[test]
fn a_key_of_somebody_else_is_refused() {
    assert!(geteuid().is_root(), "this test gives a file to somebody else: run it as root");
    let world = used();
    chown(world.key(), Some(4321), None).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key belongs to uid 4321, not to root or to the agent's user (uid 0). Whoever that is may have read it: make a new store, or chown it if you are sure");
}

#[test]
fn another_key_is_the_wrong_key() {
    let world = used();
    fs::write(world.key(), format!("{}\n", "ab".repeat(32))).unwrap();
    insta::assert_snapshot!(world.refusal(), @"the master key FOLDER/master.key does not open the store FOLDER/agent.db: it is not the key that this store was made with. Restore the right key");
}

#[test]
fn what_is_no_key_is_refused() {
    let world = used();
    for text in ["", "\n", "ab", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32), &"ab".repeat(200)] {
        fs::write(world.key(), text).unwrap();
        assert_eq!(world.refusal(), "FOLDER/master.key: the master key is not 32 bytes in hexadecimal");
    }
}

#[test]
fn a_store_without_its_key_is_refused_and_gets_no_new_one() {
    let world = used();
    let key = fs::read(world.key()).unwrap();
    fs::remove_file(world.key()).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key is missing, and the store FOLDER/agent.db was made with one. Restore the key from where you keep it; without it no device works");
    assert!(!world.key().exists());
    fs::write(world.key(), key).unwrap();
    set_mode(&world.key(), 0o600);
    assert_eq!(world.refusal(), "opened");
}

#[test]
fn a_key_that_is_no_file_is_refused_at_once() {
    let world = used();
    let elsewhere = world.folder.path().join("elsewhere");
    fs::rename(world.key(), &elsewhere).unwrap();
    symlink(&elsewhere, world.key()).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key cannot be read: Too many levels of symbolic links (os error 40)");
    fs::remove_file(world.key()).unwrap();
    mkfifo(&world.key(), Mode::from_bits_truncate(0o600)).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key is not a regular file");
    fs::remove_file(world.key()).unwrap();
    fs::create_dir(world.key()).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/master.key: the master key is not a regular file");
}

#[test]
fn a_store_that_others_could_read_or_write_is_refused() {
    let world = used();
    set_mode(&world.path(), 0o644);
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store has mode 0644, so others than its owner could read or change it. Mend it with: chmod 0600 FOLDER/agent.db");
    for mode in [0o604, 0o601] {
        set_mode(&world.path(), mode);
        assert!(world.refusal().contains(&format!("has mode {mode:04o}")), "{mode:o}");
    }
    set_mode(&world.path(), 0o620);
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store has mode 0620, so others than its owner could read or change it. Mend it with: chmod 0600 FOLDER/agent.db");
}

#[test]
fn a_store_of_somebody_else_is_refused() {
    if !geteuid().is_root() {
        return;
    }
    let world = used();
    chown(world.path(), Some(4321), None).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store belongs to uid 4321, not to the agent's user");
}

#[test]
fn a_store_that_is_no_file_is_refused() {
    let world = used();
    let elsewhere = world.folder.path().join("elsewhere");
    fs::rename(world.path(), &elsewhere).unwrap();
    symlink(&elsewhere, world.path()).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store cannot be opened by uid 0: Too many levels of symbolic links (os error 40). The folders above must let that user through, and the last one must be the user's own");
    fs::remove_file(world.path()).unwrap();
    // A link to nothing must not make a file wherever it points.
    let nowhere = world.folder.path().join("nowhere");
    symlink(&nowhere, world.path()).unwrap();
    assert!(world.refusal().contains("symbolic links"));
    assert!(!nowhere.exists());
    fs::remove_file(world.path()).unwrap();
    mkfifo(&world.path(), Mode::from_bits_truncate(0o600)).unwrap();
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store is not a regular file");
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let world = used();
    let noise = "This is not a database, but somebody's notes. ".repeat(100);
    fs::write(world.path(), &noise).unwrap();
    assert!(world.refusal().contains("file is not a database"), "{}", world.refusal());
    assert_eq!(fs::read_to_string(world.path()).unwrap(), noise);
}

#[test]
fn a_newer_store_is_refused_and_left_as_it_is() {
    let world = used();
    world.tamper("INSERT INTO migration VALUES ('0002_later', x'00', 0)");
    insta::assert_snapshot!(world.refusal(), @"the store FOLDER/agent.db was written by a newer release (it has the migration 0002_later, which this release does not know). Install that release again, or restore a backup of this one");
    assert_eq!(world.number("SELECT count(*) FROM device"), 1);
    world.tamper("DELETE FROM migration WHERE name = '0002_later'");
    assert_eq!(world.refusal(), "opened");
}

#[test]
fn a_migration_that_was_edited_is_refused() {
    let world = used();
    world.tamper("UPDATE migration SET checksum = zeroblob(32)");
    insta::assert_snapshot!(world.refusal(), @"the migration 0001_first of the store FOLDER/agent.db is not the one of this release: the database or the program was tampered with, or is an unreleased build");
}

#[test]
fn what_is_written_is_synced_and_what_was_deleted_is_wiped() {
    let world = used();
    let reader = oss2fa_agent::store::open::reader(&world.path()).unwrap();
    let text = |pragma: &str| reader.query_row(pragma, [], |row| row.get::<_, String>(0)).unwrap();
    let number = |pragma: &str| reader.query_row(pragma, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    assert_eq!(number("PRAGMA synchronous"), 2, "FULL");
    assert_eq!(number("PRAGMA foreign_keys"), 1);
    assert!(number("PRAGMA secure_delete") > 0);
    assert!(reader.execute("DELETE FROM device", []).is_err(), "a reader wrote");
}

#[test]
fn a_store_that_was_deleted_is_not_made_anew_beside_its_key() {
    let world = used();
    for file in [world.path(), world.path().with_extension("db-wal"), world.path().with_extension("db-shm")] {
        let _gone = fs::remove_file(file);
    }
    insta::assert_snapshot!(world.refusal(), @"FOLDER/agent.db: the store is gone, but its master key FOLDER/master.key is there. Restore the store from a backup; or, to begin anew without any device, remove the key as well");
    assert!(!world.path().exists());
    fs::remove_file(world.key()).unwrap();
    assert_eq!(world.refusal(), "opened");
}

#[test]
fn a_store_that_was_cut_to_nothing_is_not_a_first_start() {
    let world = used();
    for file in ["agent.db-wal", "agent.db-shm"] {
        let _gone = fs::remove_file(world.folder.path().join(file));
    }
    fs::write(world.path(), b"").unwrap();
    assert!(world.refusal().contains("the store is gone"), "{}", world.refusal());
    // The same where all rows are gone, and with them the data key.
    let world = used();
    world.tamper("DELETE FROM data_key");
    assert!(world.refusal().contains("the store is gone"), "{}", world.refusal());
}

#[test]
fn a_first_start_that_was_cut_short_is_finished_by_the_next() {
    let world = used();
    // Between making the store and naming its key.
    fs::rename(world.key(), world.key().with_extension("key.new")).unwrap();
    assert_eq!(world.refusal(), "opened");
    assert!(world.key().exists() && !world.key().with_extension("key.new").exists());
    // Between writing the key and making the store.
    let world = World::new();
    fs::write(world.key().with_extension("key.new"), "half").unwrap();
    assert_eq!(world.refusal(), "opened");
}
