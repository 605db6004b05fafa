//! A sealed secret opens in its own row, with its own parameters, and nowhere else.

use oss2fa_agent::admin::OtpKind;
use oss2fa_agent::store::{Purpose, StoreError};

use super::world::*;

#[test]
fn a_row_that_was_changed_does_not_open() {
    for change in [
        "UPDATE device SET digits = 8",
        "UPDATE device SET period = 60",
        "UPDATE device SET algorithm = 'sha256'",
        "UPDATE device SET kind = 'hotp'",
        "UPDATE device SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB)",
        "UPDATE device SET sealed = zeroblob(length(sealed))",
        "UPDATE device SET sealed = x''",
        "UPDATE device SET sealed = NULL",
    ] {
        let world = World::new();
        let store = world.open();
        let id = owner(&store, "ferris", OtpKind::Totp);
        assert!(device(&store, "ferris", id).secret(store.keys()).is_ok());
        world.tamper(change);
        let error = device(&store, "ferris", id).check(store.keys(), totp(BEGIN).expose(), 1, BEGIN);
        assert!(matches!(error, Err(StoreError::Seal(number)) if number == id.0), "{change}");
        assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused, "{change}");
    }
}

#[test]
fn a_secret_does_not_open_in_another_row() {
    let world = World::new();
    let store = world.open();
    let mine = owner(&store, "corro", OtpKind::Totp);
    let (theirs, _) = pending(&store, "ferris", oss2fa_agent::store::device::Vouched::Yes);
    // Mallory's own secret in the victim's row.
    world.tamper(&format!(
        "UPDATE device SET status = 'active', sealed = (SELECT sealed FROM device WHERE id = {mine}) WHERE id = {theirs}"
    ));
    assert!(matches!(device(&store, "ferris", theirs).secret(store.keys()), Err(StoreError::Seal(_))));
    assert_eq!(login(&store, "ferris", &totp(BEGIN)), Said::Refused);
}

#[test]
fn secrets_of_one_account_do_not_change_places() {
    let world = World::new();
    let store = world.open();
    let mine = owner(&store, "ferris", OtpKind::Totp);
    let (other, _) = pending(&store, "ferris", oss2fa_agent::store::device::Vouched::Yes);
    world.tamper(&format!(
        "UPDATE device SET sealed = (SELECT sealed FROM device WHERE id = {mine}) WHERE id = {other}"
    ));
    assert!(matches!(device(&store, "ferris", other).secret(store.keys()), Err(StoreError::Seal(_))));
    assert!(device(&store, "ferris", mine).secret(store.keys()).is_ok());
}

#[test]
fn a_device_that_was_given_to_another_account_does_not_open() {
    let world = World::new();
    let store = world.open();
    let id = owner(&store, "corro", OtpKind::Totp);
    import(&store, "ferris", otp(OtpKind::Hotp, 0));
    let victim = account(&store, "ferris");
    world.tamper(&format!("UPDATE device SET account = {} WHERE id = {id}", victim.0));
    assert!(matches!(device(&store, "ferris", id).secret(store.keys()), Err(StoreError::Seal(_))));
    assert!(evidence(&store, "ferris", &totp(BEGIN), Purpose::Login).is_none());
}

#[test]
fn a_value_that_no_release_writes_is_an_error_and_no_default() {
    for change in [
        "UPDATE device SET digits = 5",
        "UPDATE device SET period = 0",
        "UPDATE device SET algorithm = 'md5'",
    ] {
        let world = World::new();
        let store = world.open();
        owner(&store, "ferris", OtpKind::Totp);
        world.tamper(change);
        assert!(store.account_view(&user("ferris")).is_err(), "{change}");
    }
}

#[test]
fn the_file_shows_no_secret() {
    let world = World::new();
    let store = world.open();
    owner(&store, "ferris", OtpKind::Totp);
    drop(store);
    let secret = data_encoding::BASE32.decode(SECRET.as_bytes()).unwrap();
    for file in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}
