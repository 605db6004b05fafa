//! What each command shows, as JSON and in words.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::host::{Host, Ran};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

fn is_hex(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[test]
fn tenants_and_integrations() {
    let (host, _) = Host::begun();
    let made = host.json(&["tenant", "create", "acme"]);
    assert_eq!(keys(&made), ["created_at", "name", "pk", "public_id"]);
    assert_eq!((&made["name"], &made["pk"], is_hex(&made["public_id"])), (&json!("acme"), &json!(2), true));
    assert_eq!(host.json(&["tenant", "list"])[1], made);
    let table = host.done(&["tenant", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("PK  NAME     PUBLIC ID") && lines[2].contains(" UTC"), "{table}");
    assert_eq!(lines[0].find("PUBLIC"), lines[2].find(made["public_id"].as_str().unwrap()), "{table}");

    let empty = host.done(&["integration", "list", "--tenant", "acme"]);
    assert!(empty.contains("has no integration") && empty.contains("integration create NAME"), "{empty}");
    assert_eq!(host.json(&["integration", "list", "--tenant", "acme"]), json!([]));
    let made = host.json(&["integration", "create", "Acme VPN", "--tenant", "acme"]);
    let fields = ["access_key", "created_at", "name", "pk", "policy", "secret_key", "tenant", "token"];
    assert_eq!(keys(&made), fields);
    assert!(["token", "secret_key", "access_key"].iter().all(|key| is_hex(&made[*key])), "{made}");
    let listed = host.json(&["integration", "list", "--tenant", "acme"]);
    assert_eq!(keys(&listed[0]), ["access_key", "created_at", "name", "pk", "policy", "tenant"]);
    let rotated = host.json(&["integration", "rotate-token", "Acme VPN", "--tenant", "acme"]);
    assert_eq!(keys(&rotated), fields);
    assert!(["token", "secret_key", "access_key"].iter().all(|key| rotated[*key] != made[*key]));
    assert_eq!(
        host.json(&["integration", "list", "--tenant", "acme"])[0]["access_key"],
        rotated["access_key"]
    );
    assert_eq!(
        host.json(&["integration", "remove", "Acme VPN", "--tenant", "acme", "--yes"]),
        json!({ "done": true })
    );
    // The CLI is named in the audit, with whoever ran it.
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
    let audit = host.done(&["audit", "list", "--tenant", "acme", "--json"]);
    let events: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        words,
        ["tenant_created", "integration_created", "token_rotated", "integration_removed"],
        "{audit}"
    );
    assert!(events.iter().all(|event| event["actor"] == format!("cli:{user}")), "{audit}");
}

#[test]
fn a_policy_is_shown_and_changed() {
    let (host, _) = Host::begun();
    let policy = host.json(&["integration", "policy", "oss2fa"]);
    assert_eq!((&policy["code_length"], &policy["locks"]["free_attempts"]), (&json!(6), &json!(5)));
    let shown = host.done(&[
        "integration",
        "policy",
        "oss2fa",
        "--set",
        "code_length=8",
        "--set",
        "locks.free_attempts=3",
        "--set",
        "device_kinds=TOTP,HOTP",
        "--set",
        "issuer=Acme",
        "--set",
        "api_networks=192.0.2.0/24",
    ]);
    for line in ["code_length = 8", "locks.free_attempts = 3", "issuer = \"Acme\"", "attempts = 5"] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let changed = host.json(&["integration", "policy", "oss2fa"]);
    assert_eq!(changed["api_networks"], json!(["192.0.2.0/24"]));
    assert_eq!(changed["device_kinds"], json!(["TOTP", "HOTP"]));
    // From a file, and from standard input; what they leave out has its default.
    fs::write(host.path("policy.json"), "{\"attempts\": 3}").unwrap();
    let file = host.path("policy.json");
    let set = host.json(&["integration", "policy", "oss2fa", "--file", file.to_str().unwrap()]);
    assert_eq!((&set["attempts"], &set["code_length"], &set["issuer"]), (&json!(3), &json!(6), &Value::Null));
    let ran = host.typed(&["integration", "policy", "oss2fa", "--file", "-"], "{\"attempts\": 4}");
    assert!(ran.status == 0 && ran.stdout.contains("attempts = 4"), "{ran:?}");
    let ran = host.typed(&["integration", "policy", "oss2fa", "--file", "-"], "{\"attemps\": 4}");
    assert!(ran.status == 2 && ran.stderr.contains("attemps"), "{ran:?}");
    host.refused(&["integration", "policy", "oss2fa", "--file", "/absent"], 1, "bad_file");
    assert_eq!(host.json(&["integration", "policy", "oss2fa"])["attempts"], 4);
}

#[test]
fn administrators() {
    let (host, _) = Host::begun();
    assert!(host.done(&["admin", "list"]).contains("admin create NAME --role owner"));
    let made = host.json(&["admin", "create", "Root", "--role", "owner"]);
    assert_eq!(
        (&made["tenant"], &made["role"], is_hex(&made["token"])),
        (&Value::Null, &json!("owner"), true)
    );
    let made = host.done(&["admin", "create", "Ida", "--role", "helpdesk"]);
    assert!(made.contains("\"Ida\" is helpdesk of \"default\"") && made.contains("X-Admin-Token"), "{made}");
    let listed = host.json(&["admin", "list"]);
    assert_eq!(keys(&listed[0]), ["access_key", "created_at", "name", "pk", "role", "tenant"]);
    assert_eq!(host.json(&["admin", "list", "--tenant", "default"]).as_array().unwrap().len(), 1);
    host.refused(&["admin", "create", "Ida", "--role", "owner"], 1, "name_taken");
    host.refused(&["admin", "remove", "Root"], 1, "still_used");
    host.done(&["admin", "remove", "Ida"]);
    assert_eq!(host.json(&["admin", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn the_audit_is_searched_and_checked() {
    let (host, _) = Host::begun();
    host.done(&["integration", "create", "vpn"]);
    host.done(&["integration", "policy", "vpn", "--set", "attempts=3"]);
    let all = host.done(&["audit", "list"]);
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(all.lines().next().unwrap().starts_with("     1  20") && all.contains("by=cli:"), "{all}");
    let of = |words: &[&str]| host.done(&[&["audit", "list", "--json"], words].concat()).lines().count();
    assert_eq!(of(&["--event", "policy_changed"]), 1);
    assert_eq!(of(&["--integration", "vpn"]), 2);
    assert_eq!(of(&["--client", "ferris"]), 0);
    assert_eq!((of(&["--since", "2001-01-01"]), of(&["--until", "2001-01-01T00:00:00Z"])), (4, 0));
    assert_eq!(of(&["--last", "2"]), 2);
    assert!(of(&["--server"]) >= 2);
    assert!(host.done(&["audit", "list", "--last", "1"]).contains("policy_changed"));
    assert!(host.done(&["audit", "list", "--client", "ferris"]).contains("No such event"));

    let verdicts = host.json(&["audit", "verify"]);
    assert_eq!((&verdicts[0]["tenant"], &verdicts[1]["tenant"]), (&Value::Null, &json!("default")));
    assert_eq!(verdicts[1]["whole"]["events"], 4);
    assert!(host.done(&["audit", "verify", "--tenant", "default"]).contains("is whole: 4 events"));
    host.sql("UPDATE audit SET actor = 'nobody' WHERE tenant = 1 AND seq = 3");
    let ran = host.run(&["audit", "verify", "--json"]);
    let verdicts: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.status, ran.error().as_str()), (1, "audit_broken"));
    assert_eq!(verdicts[1]["broken"]["at"], 3);
    assert!(host.run(&["audit", "verify"]).stderr.contains("at event 3"));
    assert_eq!(host.run(&["audit", "verify", "--server"]).status, 0);
}

#[test]
fn offline_credentials_are_shown_and_revoked() {
    let host = Host::empty();
    let server = host.serve();
    let empty = host.done(&["client", "offline-credentials", "ferris"]);
    assert!(empty.contains("No host has one-time codes of its own for ferris."), "{empty}");
    server.enroll("ferris");
    for name in ["phone", "lost phone"] {
        let new = json!({ "username": "ferris", "host": "web1", "name": name });
        assert_eq!(server.post("/integrations/offline-credentials", &server.token, &new).0, 201);
    }
    let listed = host.json(&["client", "offline-credentials", "Ferris"]);
    assert_eq!(keys(&listed[1]), ["created_at", "host", "name", "pk", "revoked_at", "status", "username"]);
    host.refused(&["client", "revoke-offline", "corro", "2"], 1, "not_there");
    host.refused(&["client", "revoke-offline", "ferris", "3"], 1, "not_there");
    for _ in 0..2 {
        assert!(host.done(&["client", "revoke-offline", "ferris", "2"]).contains("2 of ferris is revoked"));
    }
    let table = host.done(&["client", "offline-credentials", "ferris"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("PK  HOST  NAME        STATUS"), "{table}");
    assert!(lines[1].contains("active") && lines[2].contains("lost phone  revoked"), "{table}");
    assert!(lines[2].ends_with(" UTC") && lines[2].matches("UTC").count() == 2, "{table}");
    let audit = host.done(&["audit", "list", "--json"]);
    let revoked: Vec<&str> =
        audit.lines().filter(|line| line.contains("\"offline_credential_revoked\"")).collect();
    assert!(revoked.len() == 1 && revoked[0].contains("\"actor\":\"cli:"), "{audit}");
    // Whose client is gone is still seen.
    host.done(&["client", "remove", "ferris"]);
    let listed = host.json(&["client", "offline-credentials", "ferris"]);
    assert_eq!((&listed[0]["status"], &listed[1]["status"]), (&json!("revoked"), &json!("revoked")));
}

#[test]
fn keys_and_the_store_are_described() {
    let (host, _) = Host::begun();
    let list = host.json(&["key", "list"]);
    assert_eq!(keys(&list), ["keys", "master_key", "master_keys"]);
    assert_eq!(list["master_keys"][0]["wraps"], 4);
    assert_eq!(keys(&list["keys"][0]), ["created_at", "master", "purpose", "tenant", "version"]);
    let words = host.done(&["key", "list"]);
    assert!(words.contains("(server)") && words.contains("default   seal     1"), "{words}");

    let status = host.json(&["store", "status"]);
    assert_eq!(
        (&status["tenants"], &status["integrations"], &status["clients"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!((&status["moved_to"], &status["migrations"][0]["name"]), (&Value::Null, &json!("0001_first")));
    assert!(host.done(&["store", "status"]).contains("server.db"));
}

#[test]
fn a_store_that_was_moved_is_reopened_only_by_hand() {
    let (host, _) = Host::begun();
    host.sql(
        "UPDATE store_state SET moved_to = 'postgres://elsewhere/oss2fa', copy_id = 'x', moved_at = 1000000",
    );
    host.refused(&["tenant", "create", "acme"], 3, "store_unavailable");
    assert_eq!(host.json(&["store", "status"])["moved_to"], "postgres://elsewhere/oss2fa");
    assert!(host.done(&["store", "status"]).contains("1970-01-01 00:00:01 UTC"));
    assert_eq!(host.typed(&["store", "reopen"], "yes\n").status, 1);
    host.refused_under_json(&["store", "reopen"], 2, "bad_usage");
    assert_eq!(host.typed(&["store", "reopen"], "reopen\n").status, 0);
    assert_eq!(
        host.sql("SELECT moved_to IS NULL AND copy_id IS NULL AND moved_at IS NULL FROM store_state"),
        "1"
    );
    host.done(&["tenant", "create", "acme"]);
    assert!(host.done(&["audit", "list", "--server"]).contains("store_reopened"));
}

#[test]
fn a_copy_says_whose_audit_was_broken_before() {
    let (host, _) = Host::begun();
    host.done(&["integration", "create", "vpn"]);
    let url = |name: &str| format!("sqlite:{}", host.path(name).display());
    let (first, second, third) = (url("data/server.db"), url("second.db"), url("third.db"));
    let copy = |from: &str, to: &str, form: &[&str]| {
        host.run(&[&["store", "copy", "--from", from, "--to", to], form].concat())
    };
    let whole = copy(&first, &url("whole.db"), &[]);
    assert!(whole.status == 0 && whole.stdout.contains("2 audits were checked"), "{whole:?}");
    assert!(whole.stdout.contains("and are whole"), "{whole:?}");
    assert_eq!(host.typed(&["store", "reopen"], "reopen\n").status, 0);
    host.sql("UPDATE audit SET detail = 'forged' WHERE tenant = 1 AND seq = 2");
    let ran = copy(&first, &second, &[]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(
        ran.stdout.contains("both sides have the digest") && !ran.stdout.contains("are whole."),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("The old store takes no writes any more"), "{ran:?}");
    for words in ["the copy is complete", "of \"default\" at event 2: ", "oss2fa-server audit verify"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    assert!(!ran.stderr.contains("of the server"), "{ran:?}");
    // It is complete indeed: the copy can be copied in its turn.
    let ran = copy(&second, &third, &["--json"]);
    assert_eq!((ran.status, ran.error().as_str()), (1, "audit_broken"));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (server, tenant) = (&report["audits"][0], &report["audits"][1]);
    assert_eq!((&server["name"], server["verdict"]["whole"].is_object()), (&Value::Null, true), "{report}");
    assert_eq!((&tenant["tenant"], &tenant["name"]), (&json!(1), &json!("default")), "{report}");
    assert_eq!(tenant["verdict"]["broken"]["at"], 2, "{report}");
}

#[test]
fn a_copy_that_was_finished_before_says_only_what_was_looked_at() {
    let (host, _) = Host::begun();
    let url = |name: &str| format!("sqlite:{}", host.path(name).display());
    let (from, to) = (url("data/server.db"), url("second.db"));
    let copy = ["store", "copy", "--from", &from, "--to", &to];
    assert_eq!(host.json(&copy)["compared"], "both_sides");
    // As an end leaves it that came after the new store was committed.
    let leave = || host.sql("UPDATE store_state SET moved_at = NULL");
    leave();
    assert_eq!(host.json(&copy)["compared"], "old_side");
    leave();
    let said = host.done(&copy);
    assert!(
        said.starts_with("An earlier run has copied everything to ") && !said.contains("both sides have"),
        "{said}"
    );
}

#[test]
fn a_backup_is_a_whole_store_without_its_key() {
    let (host, _) = Host::begun();
    let server = host.serve();
    let copy = host.path("copy.db");
    let report = host.json(&["backup", copy.to_str().unwrap()]);
    assert_eq!(keys(&report), ["backup", "bytes", "master_key"]);
    assert_eq!(report["bytes"], copy.metadata().unwrap().len());
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    drop(server);
    let before = fs::read(&copy).unwrap();
    host.refused(&["backup", copy.to_str().unwrap()], 1, "bad_file");
    assert_eq!(fs::read(&copy).unwrap(), before, "a file that is there is not touched");
    host.refused(&["backup", "/absent/copy.db"], 1, "bad_file");
    let words = host.done(&["backup", host.path("second.db").to_str().unwrap()]);
    assert!(words.contains("master.key") && words.contains("not in it"), "{words}");
    let key = fs::read_to_string(host.path("data/master.key")).unwrap();
    assert!(!before.windows(64).any(|window| window == key.trim().as_bytes()));

    // Put in the store's place it is the store.
    host.done(&["tenant", "create", "later"]);
    for rest in ["-wal", "-shm"] {
        let _ = fs::remove_file(host.path(&format!("data/server.db{rest}")));
    }
    fs::copy(&copy, host.path("data/server.db")).unwrap();
    assert_eq!(host.json(&["tenant", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(host.sql("PRAGMA integrity_check"), "ok");
    host.done(&["audit", "verify"]);
}

#[test]
fn a_configuration_is_checked_with_its_files() {
    let host = Host::empty();
    let report = host.json(&["check-config"]);
    assert_eq!((&report["status"], &report["config"]["tls"]["mode"]), (&json!("ok"), &json!("off")));
    let ran = host.run(&["check-config"]);
    assert!(
        ran.stdout.contains("listen = \"127.0.0.1:0\"") && ran.stdout.ends_with("can be used.\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("warning: the master key") && !host.path("data").exists(), "{ran:?}");

    let path = |name: &str| host.path(name).display().to_string();
    let config = |text: String| fs::write(host.path("server.toml"), text).unwrap();
    let refused = |what: &str| {
        let ran = host.run(&["check-config"]);
        assert!(ran.status == 2 && ran.stderr.contains(what), "{what}: {ran:?}");
        assert!(!ran.stderr.contains("hunter2"));
    };
    config(format!(
        "[smtp]\nhost = \"mail.example\"\nfrom = \"a@example.org\"\nusername = \"a\"\npassword_file = \"{}\"\n",
        path("password")
    ));
    refused("password");
    fs::write(host.path("password"), "hunter2\n").unwrap();
    fs::set_permissions(host.path("password"), PermissionsExt::from_mode(0o644)).unwrap();
    refused("chmod");
    fs::set_permissions(host.path("password"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(host.run(&["check-config"]).status, 0);
    assert!(!host.done(&["check-config"]).contains("hunter2"));
    config(format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", path("tls.crt"), path("tls.key")));
    refused("tls.");
    config(format!("master_key = \"{}\"\n", path("key")));
    fs::write(host.path("key"), "not a key\n").unwrap();
    fs::set_permissions(host.path("key"), PermissionsExt::from_mode(0o600)).unwrap();
    refused("64 hexadecimal digits");
}

#[test]
fn a_configuration_is_checked_with_the_folders_that_a_start_needs() {
    let host = Host::empty();
    let path = |name: &str| host.path(name).display().to_string();
    let config = |line: String| {
        fs::write(
            host.path("server.toml"),
            format!("listen = \"127.0.0.1:0\"\n{line}\n[tls]\nmode = \"off\"\n"),
        )
        .unwrap();
    };
    let refused = |what: &str| {
        for words in ["check-config", "serve"] {
            let ran = host.run(&[words]);
            assert!(ran.status != 0 && ran.stderr.contains(&path("")), "{words}: {ran:?}");
            assert!(words == "serve" || (ran.status == 2 && ran.stderr.contains(what)), "{what}: {ran:?}");
        }
    };
    for key in ["store", "master_key"] {
        let scheme = if key == "store" { "sqlite:" } else { "" };
        config(format!("{key} = '{scheme}{}'", path("absent/file")));
        refused(&format!("absent: there is no such folder, and `{key}`"));
        // The folder that a start makes, and those above it.
        config(format!("{key} = '{scheme}{}'", path("data/file")));
        assert_eq!(host.run(&["check-config"]).status, 0, "{key}");
        fs::create_dir_all(host.path("folder")).unwrap();
        config(format!("{key} = '{scheme}{}'", path("folder")));
        refused(&format!("folder: it is a folder, and `{key}`"));
        let _ = fs::remove_dir_all(host.path("data"));
    }
    config(String::new());
    fs::write(host.path("data"), "").unwrap();
    refused("data: it is no folder");
    fs::remove_file(host.path("data")).unwrap();
    std::os::unix::fs::symlink(host.path("absent"), host.path("data")).unwrap();
    refused("data: it is no folder");
}

#[test]
fn a_configuration_is_checked_for_the_user_that_asks() {
    let host = Host::empty();
    // Root like any other user: it may write what is its own, and no more.
    let checked = || {
        let asked = host.command(&["check-config"]);
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--bounding-set=-dac_override,-dac_read_search"])
            .arg(asked.get_program())
            .args(asked.get_args());
        Ran::of(command.output().unwrap())
    };
    let refused = |path: &str, key: &str| {
        let ran = checked();
        let (path, words) = (host.path(path).display().to_string(), format!("and `{key}` needs it"));
        assert_eq!(ran.status, 2, "{ran:?}");
        for part in [&path, "root cannot write it", &words] {
            assert!(ran.stderr.contains(part), "{part}: {ran:?}");
        }
    };
    let own = |name: &str, user: u32, mode: u32| {
        std::os::unix::fs::chown(host.path(name), Some(user), Some(user)).unwrap();
        fs::set_permissions(host.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    fs::create_dir(host.path("data")).unwrap();
    own("data", 65_534, 0o755);
    refused("data", "store");
    own("data", 0, 0o700);
    assert_eq!(checked().status, 0);
    fs::create_dir(host.path("keys")).unwrap();
    own("keys", 65_534, 0o755);
    let key = format!("master_key = '{}'\n", host.path("keys/key").display());
    let before = fs::read_to_string(host.path("server.toml")).unwrap_or_default();
    fs::write(host.path("server.toml"), key + &before).unwrap();
    refused("keys", "master_key");
    fs::write(host.path("keys/key"), "00".repeat(32)).unwrap();
    own("keys/key", 0, 0o600);
    assert_eq!(checked().status, 0, "a key that is there is read");
    fs::write(host.path("data/server.db"), "").unwrap();
    own("data/server.db", 65_534, 0o644);
    refused("data/server.db", "store");
}

#[test]
fn a_configuration_is_checked_with_the_authorities_of_database_and_broker() {
    let host = Host::empty();
    let (absent, bare, broken) = (host.path("absent.pem"), host.path("bare.pem"), host.path("broken.pem"));
    fs::write(&bare, "no certificate\n").unwrap();
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let (right, key) = (host.path("ca.pem"), host.path("ca.key"));
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=authority", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&right)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{made:?}");
    let database = "store = \"postgres://oss2fa:hunter2@db.example/oss2fa?sslmode=require\"\nstore_ca_file";
    let broker = "[ungleich_otp]\nenabled = true\nbus_url = \"amqps://a:hunter2@mq.example\"\nbus_ca_file";
    for (settings, name) in [(database, "store_ca_file"), (broker, "bus_ca_file")] {
        for (file, problem) in [
            (&absent, "cannot be read"),
            (&bare, "no certificate"),
            (&broken, "has a certificate of no use"),
            (&right, ""),
        ] {
            let text = format!("{settings} = '{}'\n", file.display());
            fs::write(host.path("server.toml"), text).unwrap();
            let ran = host.run(&["check-config"]);
            if file == &right {
                assert_eq!(ran.status, 0, "{name}: {ran:?}");
                continue;
            }
            assert_eq!(ran.status, 2, "{name}: {ran:?}");
            for words in [name, problem, file.to_str().unwrap()] {
                assert!(ran.stderr.contains(words) && !ran.stderr.contains("hunter2"), "{words}: {ran:?}");
            }
            // It says what the server says, which does not start either.
            let serve = host.run(&["serve"]);
            let refusal = ran.stderr.trim().trim_start_matches("error: ");
            assert!(serve.status != 0 && serve.stderr.contains(refusal), "{serve:?} without {refusal}");
        }
    }
}
