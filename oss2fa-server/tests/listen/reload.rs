//! Certificates that change while the server runs.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oss2fa_server::listen::PairFiles;

use crate::peers::{P256, eventually, fingerprint_at, fingerprint_of, openssl_pair, start};
use crate::server::{Server, Setup, logged};

/// The signal reaches all servers of a process, and would make them report a failure again.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn replace(old: &PairFiles, new: &PairFiles) {
    fs::rename(&new.key, &old.key).unwrap();
    fs::rename(&new.certificate, &old.certificate).unwrap();
}

#[test]
fn a_new_connection_sees_the_new_pair_and_an_old_one_goes_on() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let files = openssl_pair(folder.path(), "first", &P256);
    let server = Server::tls(&files, Setup::default());
    let old = fingerprint_of(&files.certificate);
    assert_eq!(fingerprint_at(server.address), old);

    let mut client =
        start("openssl", &["s_client", "-quiet", "-ign_eof", "-connect", &server.address.to_string()]);
    let mut ask = client.stdin.take().unwrap();
    let mut answers = client.stdout.take().unwrap();
    let mut hello = || {
        ask.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let mut part = [0; 1024];
        while !answer.ends_with(b"\r\n\r\nhello") {
            let length = answers.read(&mut part).unwrap();
            assert_ne!(length, 0, "the old connection was closed");
            answer.extend_from_slice(&part[..length]);
        }
    };
    hello();

    replace(&files, &openssl_pair(folder.path(), "second", &P256));
    let new = fingerprint_of(&files.certificate);
    assert_ne!(new, old);
    eventually("a new connection sees the new certificate", || fingerprint_at(server.address) == new);
    hello();
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(logged("tls_reload", &files.certificate), [""; 0]);
}

#[test]
fn a_broken_pair_keeps_the_old_one_and_is_logged_once() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let files = openssl_pair(folder.path(), "first", &P256);
    let server = Server::tls(&files, Setup::default());
    let old = fingerprint_of(&files.certificate);
    let reported = |reason: &str, times: usize| {
        let lines = || -> usize {
            let path = if reason == "tls_key_exposed" { &files.key } else { &files.certificate };
            let reason = format!("reason=\"{reason}\"");
            logged("tls_reload", path).iter().filter(|line| line.contains(&reason)).count()
        };
        eventually("the failure is logged", || lines() == times);
        // Several looks later.
        sleep(Duration::from_millis(500));
        assert_eq!(lines(), times);
        assert_eq!(fingerprint_at(server.address), old);
    };

    fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    reported("tls_file", 1);

    // A renewal that writes one file after the other, and was left half-way.
    let second = openssl_pair(folder.path(), "second", &P256);
    fs::rename(&second.certificate, &files.certificate).unwrap();
    reported("tls_key_mismatch", 1);

    // It goes on, but gives the key to everybody.
    fs::set_permissions(&second.key, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&second.key, &files.key).unwrap();
    reported("tls_key_exposed", 1);

    // Nothing but its mode is mended.
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    let new = fingerprint_of(&files.certificate);
    eventually("the mended pair is served", || fingerprint_at(server.address) == new);

    fs::remove_file(&files.certificate).unwrap();
    eventually("the missing file is logged", || {
        logged("tls_reload", &files.certificate).iter().any(|line| line.contains("No such file"))
    });
    assert_eq!(fingerprint_at(server.address), new);
}

#[test]
fn a_hangup_reloads_at_once() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let files = openssl_pair(folder.path(), "first", &P256);
    let server = Server::tls(&files, Setup { look_every: Duration::from_secs(3600), ..Setup::default() });
    assert_eq!(fingerprint_at(server.address), fingerprint_of(&files.certificate));

    replace(&files, &openssl_pair(folder.path(), "second", &P256));
    let new = fingerprint_of(&files.certificate);
    // Without the signal nothing happens for an hour.
    sleep(Duration::from_millis(300));
    assert_ne!(fingerprint_at(server.address), new);
    eventually("a new connection sees the new certificate", || {
        kill(Pid::this(), Signal::SIGHUP).unwrap();
        fingerprint_at(server.address) == new
    });
}
