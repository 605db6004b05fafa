//! Each way to end badly, with its exit status and its code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::host::{Host, Ran};

#[test]
fn before_the_first_start_nothing_is_made() {
    let host = Host::empty();
    for words in [
        &["tenant", "list"][..],
        &["integration", "create", "vpn"],
        &["admin", "create", "root", "--role", "owner"],
        &["client", "show", "ferris"],
        &["audit", "verify"],
        &["key", "rotate-master"],
        &["store", "status"],
        &["backup", "copy.db"],
    ] {
        host.refused(words, 3, "no_store");
    }
    let said = host.run(&["tenant", "list"]).stderr;
    assert!(said.contains("start the server once") && said.contains("--data-dir"), "{said}");
    assert!(!host.path("data").exists());

    // An empty file is no store either, and stays empty.
    fs::create_dir(host.path("data")).unwrap();
    fs::write(host.path("data/server.db"), "").unwrap();
    host.refused(&["tenant", "list"], 3, "no_store");
    assert_eq!(fs::read_dir(host.path("data")).unwrap().count(), 1);
    assert_eq!(fs::metadata(host.path("data/server.db")).unwrap().len(), 0);
}

#[test]
fn another_database_is_not_made_into_a_store() {
    let (host, _) = Host::begun();
    fs::remove_file(host.path("data/server.db")).unwrap();
    host.sql("CREATE TABLE mine (x)");
    fs::set_permissions(host.path("data/server.db"), PermissionsExt::from_mode(0o600)).unwrap();
    host.refused(&["tenant", "list"], 3, "no_store");
    assert_eq!(host.sql(".tables"), "mine");
}

#[test]
fn a_store_without_its_key_is_left_alone() {
    let (host, _) = Host::begun();
    let key = host.path("data/master.key");
    let away = host.path("away");
    fs::rename(&key, &away).unwrap();
    host.refused(&["tenant", "list"], 3, "store_unavailable");
    assert!(!key.exists());
    // A key that is not the store's.
    fs::write(&key, "ab".repeat(32)).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    host.refused(&["tenant", "create", "acme"], 3, "store_unavailable");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let said = host.run(&["tenant", "list"]).stderr;
    assert!(said.contains("chmod 0600"), "{said}");
    fs::rename(&away, &key).unwrap();
    host.done(&["tenant", "list"]);
}

#[test]
fn a_store_of_another_release_is_not_touched() {
    let (host, _) = Host::begun();
    host.sql("INSERT INTO migration VALUES ('9999_later', 'x', 1)");
    host.refused(&["tenant", "list"], 3, "store_unavailable");
    host.sql("DELETE FROM migration");
    let said = host.run(&["tenant", "list"]).stderr;
    assert!(said.contains("older release"), "{said}");
    assert_eq!(host.sql("SELECT count(*) FROM migration"), "0");
}

#[test]
fn configurations_and_command_lines_that_cannot_be() {
    let host = Host::empty();
    fs::write(host.path("server.toml"), "listne = \"127.0.0.1:0\"\n").unwrap();
    host.refused(&["check-config"], 2, "bad_configuration");
    host.refused(&["tenant", "list"], 2, "bad_configuration");
    host.refused(&["serve"], 2, "bad_configuration");
    for words in [
        &["tenant"][..],
        &["tenant", "lst"],
        &["tenant", "create"],
        &["tenant", "create", "a\u{7}b"],
        &["tenant", "create", "a:b"],
        &["client", "show", "a b"],
        &["client", "status", "ferris", "gone"],
        &["admin", "create", "root"],
        &["admin", "create", "root", "--role", "king"],
        &["audit", "list", "--since", "yesterday"],
        &["audit", "list", "--server", "--tenant", "x"],
        &["key", "rotate-master", "--drop-old", "--keep-old"],
        &["integration", "policy", "vpn", "--set", "code_length"],
        &["integration", "policy", "vpn", "--set", "code_length=8", "--file", "x"],
    ] {
        let ran = host.run(words);
        assert_eq!(ran.status, 2, "{words:?}: {ran:?}");
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{words:?}");
        host.refused_under_json(words, 2, "bad_usage");
    }
    let said = host.run(&["--json", "tenant", "lst"]).stderr;
    assert!(said.contains("\"message\":\"unrecognized subcommand 'lst'"), "{said}");
    // Behind `--` it is no option.
    assert!(host.run(&["tenant", "lst", "--", "--json"]).stderr.starts_with("error: "));
    let help = host.run(&["--json", "tenant", "--help"]);
    assert!(help.status == 0 && help.stdout.contains("Usage: ") && help.stderr.is_empty(), "{help:?}");
}

#[test]
fn what_is_not_there_or_there_already_is_refused() {
    let (host, _) = Host::begun();
    for (words, code) in [
        (&["tenant", "create", "default"][..], "name_taken"),
        (&["tenant", "remove", "nobody", "--yes"], "not_there"),
        (&["tenant", "rotate-key", "nobody"], "not_there"),
        (&["integration", "create", "oss2fa"], "name_taken"),
        (&["integration", "list", "--tenant", "nobody"], "not_there"),
        (&["integration", "remove", "nobody", "--yes"], "not_there"),
        (&["integration", "rotate-token", "nobody"], "not_there"),
        (&["integration", "policy", "nobody"], "not_there"),
        (&["client", "show", "nobody"], "not_there"),
        (&["client", "status", "nobody", "active"], "not_there"),
        (&["client", "unlock", "nobody"], "not_there"),
        (&["client", "remove", "nobody"], "not_there"),
        (&["client", "devices", "nobody"], "not_there"),
        (&["client", "remove-device", "nobody", "1"], "not_there"),
        (&["client", "list", "--integration", "nobody"], "not_there"),
        (&["admin", "remove", "nobody"], "not_there"),
        (&["audit", "list", "--integration", "nobody"], "not_there"),
        (&["store", "reopen", "--yes"], "not_there"),
    ] {
        host.refused(words, 1, code);
    }
    for words in [
        &["integration", "policy", "oss2fa", "--set", "code_length=4"][..],
        &["integration", "policy", "oss2fa", "--set", "code_lenght=8"],
        &["integration", "policy", "oss2fa", "--set", "unknown_clients=maybe"],
        &["integration", "policy", "oss2fa", "--set", "device_kinds=carrier-pigeon"],
        &["admin", "create", "root", "--role", "owner", "--tenant", "default"],
        &["tenant", "remove", "default"],
    ] {
        host.refused_under_json(words, 2, "bad_usage");
    }
    assert_eq!(host.json(&["integration", "policy", "oss2fa"])["code_length"], 6);
    assert_eq!(host.json(&["tenant", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn of_several_one_must_be_named() {
    let (host, _) = Host::begun();
    host.done(&["integration", "create", "vpn"]);
    host.refused(&["client", "list"], 2, "several");
    host.done(&["tenant", "create", "acme"]);
    host.refused(&["integration", "list"], 2, "several");
    let said = host.run(&["audit", "list"]).stderr;
    assert!(said.contains("\"default\", \"acme\"") && said.contains("--tenant NAME"), "{said}");
    host.refused(&["client", "list", "--tenant", "acme"], 1, "not_there");
}

#[test]
fn a_tenant_goes_only_when_its_name_is_typed() {
    let (host, _) = Host::begun();
    host.done(&["tenant", "create", "acme"]);
    for (answer, words) in [("", "--yes"), ("yes\n", "nothing was done"), ("ACME\n", "nothing was done")] {
        let ran = host.typed(&["tenant", "remove", "acme"], answer);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    assert_eq!(host.sql("SELECT count(*) FROM tenant"), "2");
    assert_eq!(host.typed(&["tenant", "remove", "acme"], "acme\n").status, 0);
    assert_eq!(host.sql("SELECT count(*) FROM tenant"), "1");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let (host, _) = Host::begun();
    for words in
        [&["audit", "list"][..], &["tenant", "list", "--json"], &["completions", "bash"], &["--help"]]
    {
        let mut command = host.command(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let (host, _) = Host::begun();
    for words in [&["tenant", "list"][..], &["completions", "bash"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = host.command(words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("could not be written"), "{output:?}");
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let json =
            Ran::of(host.command(words).arg("--json").stdout(full).stderr(Stdio::piped()).output().unwrap());
        assert_eq!((json.status, json.error().as_str()), (1, "bad_file"), "{words:?}: {json:?}");
    }
}

#[test]
fn a_postgresql_store_is_backed_up_by_its_own_program() {
    let host = Host::empty();
    fs::write(host.path("server.toml"), "store = \"postgres://oss2fa:hunter2@127.0.0.1:1/oss2fa\"\n")
        .unwrap();
    fs::set_permissions(host.path("server.toml"), PermissionsExt::from_mode(0o600)).unwrap();
    let ran = host.run(&["backup", "copy.db"]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("pg_dump") && !ran.stderr.contains("hunter2"), "{ran:?}");
    // And one that nobody answers for is unavailable.
    fs::create_dir(host.path("data")).unwrap();
    fs::write(host.path("data/master.key"), "ab".repeat(32)).unwrap();
    fs::set_permissions(host.path("data/master.key"), PermissionsExt::from_mode(0o600)).unwrap();
    host.refused(&["tenant", "list"], 3, "store_unavailable");
    assert!(!host.run(&["tenant", "list"]).stderr.contains("hunter2"));
}
