//! The apps of ungleich-otp: each command, what Django has written, and what the environment says.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::host::{Host, Ran};

/// Debian's pyotp over a seed, at this second: another Python may come first on the PATH, and not have it.
fn pyotp(seed: &str) -> String {
    let script = "import pyotp, sys; print(pyotp.TOTP(sys.argv[1]).now())";
    let said =
        Command::new("/usr/bin/python3").args(["-c", script, seed]).output().expect("this test needs pyotp");
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}"))
}

fn events(host: &Host) -> Vec<String> {
    let audit = host.done(&["audit", "list", "--json"]);
    let entries = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| text(&entry, "event").to_owned()).collect()
}

#[test]
fn an_app_from_its_making_to_its_end() {
    let (host, _) = Host::begun();
    let empty = host.done(&["app", "list"]);
    assert!(empty.starts_with("There is no app.") && empty.contains("app create --user"), "{empty}");
    assert_eq!(host.json(&["app", "list"]), json!([]));

    let made = host.json(&["app", "create", "--user", "Ferris", "--name", "web shop", "--trusted"]);
    let keys: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["appuuid", "seed"]);
    let (app, seed) = (text(&made, "appuuid"), text(&made, "seed"));
    assert_eq!((app.len(), &app[14..15], seed.len()), (36, "4", 32));
    assert_eq!(pyotp(seed).len(), 6);
    let words = host.done(&["app", "create", "--user", "corro", "--name", "cron"]);
    assert!(words.contains("appuuid: ") && words.contains("seed:    "), "{words}");

    let list = host.json(&["app", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((&list[0]["appuuid"], &list[0]["appname"]), (&made["appuuid"], &json!("web shop")));
    assert_eq!((&list[0]["username"], &list[0]["trusted"]), (&json!("ferris"), &json!(true)));
    assert_eq!(list[1]["trusted"], json!(false));
    assert!(!list.to_string().contains(seed), "no list shows a seed");
    assert_eq!(host.json(&["app", "list", "--user", "corro"]).as_array().unwrap().len(), 1);

    assert_eq!(host.json(&["app", "untrust", app]), json!({ "done": true }));
    assert_eq!(host.json(&["app", "list"])[0]["trusted"], json!(false));
    assert_eq!(host.json(&["app", "trust", &app.to_ascii_uppercase()]), json!({ "done": true }));
    assert_eq!(host.json(&["app", "list"])[0]["trusted"], json!(true));

    let rotated = host.json(&["app", "rotate-seed", app]);
    assert_eq!(text(&rotated, "appuuid"), app);
    assert_ne!(text(&rotated, "seed"), seed);

    // It is a client like any other.
    let at = ["--integration", "ungleich-otp"];
    let client = host.json(&[&["client", "show", app], &at[..]].concat());
    assert_eq!(client["devices"][0]["kind"], json!("TOTP"));
    assert_eq!(client["devices"].as_array().unwrap().len(), 1);
    host.done(&[&["client", "status", app, "inactive"], &at[..]].concat());

    assert_eq!(host.json(&["app", "remove", app]), json!({ "done": true }));
    assert_eq!(host.json(&["app", "list"]).as_array().unwrap().len(), 1);
    for gone in [
        &["app", "remove", app][..],
        &["app", "trust", app],
        &["app", "untrust", app],
        &["app", "rotate-seed", app],
    ] {
        host.refused(gone, 1, "not_there");
    }
    let events = events(&host);
    for expected in ["app_registered", "app_untrusted", "app_trusted", "seed_rotated", "client_removed"] {
        assert!(events.iter().any(|event| event == expected), "{expected} in {events:?}");
    }
    let all = host.done(&["audit", "list", "--json"]);
    assert!(!all.contains(seed) && !all.contains(text(&rotated, "seed")), "no seed in the audit");
}

#[test]
fn what_is_no_app_is_refused_before_anything_is_done() {
    let (host, _) = Host::begun();
    for words in [
        &["app", "create", "--user", "ferris"][..],
        &["app", "create", "--name", "x"],
        &["app", "create", "--user", "a b", "--name", "x"],
        &["app", "create", "--user", "ferris", "--name", ""],
        &["app", "create", "--user", "ferris", "--name", "a\nb"],
        &["app", "trust", "nonsense"],
        &["app", "import"],
    ] {
        assert_eq!(host.run(words).status, 2, "{words:?}");
    }
    assert_eq!(host.json(&["app", "list"]), json!([]));
}

/// What `manage.py dumpdata --indent 2` writes of a whole project: other models around ours.
const DUMP: &str = r#"[
  {"model": "auth.user", "pk": 1, "fields": {"username": "admin", "password": "pbkdf2_sha256$1$x$y"}},
  {"model": "otpauth.app", "pk": "0d5e1a4c-6d8e-4f43-9a51-3a1d6b7c0001",
   "fields": {"appname": "dynamicweb", "username": "nico", "seed": "JBSWY3DPEHPK3PXP", "trusted": true}},
  {"model": "otpauth.app", "pk": 7,
   "fields": {"appuuid": "0D5E1A4C-6D8E-4F43-9A51-3A1D6B7C0002", "appname": "cron \u00e9",
              "username": "Sanghee", "seed": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "trusted": false}}
]"#;

#[test]
fn what_django_has_written_is_taken_over_and_given_back() {
    let (host, _) = Host::begun();
    fs::write(host.path("dump.json"), DUMP).unwrap();
    let file = host.path("dump.json").display().to_string();
    let import = |host: &Host, file: &str| host.json(&["app", "import", "--django", file]);
    let report = json!({"imported": 2, "already_there": 0, "not_apps": 1, "refused": []});
    assert_eq!(import(&host, &file), report);
    let again = json!({"imported": 0, "already_there": 2, "not_apps": 1, "refused": []});
    assert_eq!(import(&host, &file), again, "a second time changes nothing");
    assert!(host.done(&["app", "import", "--django", &file]).contains("2 were there already"));

    let exported: Value = serde_json::from_str(&host.done(&["app", "export"])).unwrap();
    assert_eq!(exported.as_array().unwrap().len(), 2);
    assert_eq!(
        exported[0]["fields"],
        json!({"appuuid": "0d5e1a4c-6d8e-4f43-9a51-3a1d6b7c0001", "appname": "dynamicweb",
               "username": "nico", "seed": "JBSWY3DPEHPK3PXP", "trusted": true})
    );
    assert_eq!(exported[0]["pk"], exported[0]["fields"]["appuuid"]);
    assert_eq!(exported[1]["fields"]["username"], json!("sanghee"));
    assert_eq!(exported[1]["fields"]["appname"], json!("cron é"));
    assert!(events(&host).iter().any(|event| event == "seed_read"), "an export is written down");

    // Another server gives back the same.
    let (other, _) = Host::begun();
    fs::write(other.path("export.json"), exported.to_string()).unwrap();
    let file = other.path("export.json").display().to_string();
    assert_eq!(import(&other, &file)["imported"], json!(2));
    let back: Value = serde_json::from_str(&other.done(&["app", "export"])).unwrap();
    assert_eq!(back, exported);
    // A removed device leaves an app without seed, which no export has.
    let app = text(&exported[0], "pk");
    let at = ["--integration", "ungleich-otp"];
    let device = other.json(&[&["client", "devices", app], &at[..]].concat())[0]["pk"].to_string();
    other.done(&[&["client", "remove-device", app, &device], &at[..]].concat());
    let ran = other.run(&["app", "export"]);
    assert!(ran.stderr.contains("1 apps have no seed"), "{ran:?}");
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn a_file_with_one_app_that_cannot_be_is_not_taken_at_all() {
    let (host, _) = Host::begun();
    let good = r#"{"model": "a.app", "pk": "0d5e1a4c-6d8e-4f43-9a51-3a1d6b7c0001",
        "fields": {"appname": "a", "username": "nico", "seed": "JBSWY3DPEHPK3PXP", "trusted": true}}"#;
    let file = host.path("dump.json");
    let named = file.display().to_string();
    for (bad, why) in [
        (good.replace("JBSWY3DPEHPK3PXP", "hunter2-hunter2-1"), "a seed is"),
        (good.replace("JBSWY3DPEHPK3PXP", "JBSWY3DP"), "a seed is"),
        (good.replace("0001\"", "000\""), "a UUID is"),
        (good.replace("\"0d5e1a4c-6d8e-4f43-9a51-3a1d6b7c0001\"", "3"), "it has no appuuid"),
        (good.replace("nico", "ni co"), "username: "),
        (good.replace("\"nico\"", "5"), "username must be a text"),
        (good.replace("\"appname\": \"a\"", "\"appname\": \"\\u202e\""), "appname must be"),
        (good.replace("\"appname\": \"a\",", ""), "appname must be"),
        (good.replace("\"trusted\": true", "\"trusted\": 1"), "trusted must be"),
    ] {
        fs::write(&file, format!("[{}, {bad}]", good.replace("c0001", "c0009"))).unwrap();
        let ran = host.run(&["app", "import", "--django", &named]);
        assert_eq!(ran.status, 1, "{bad}: {ran:?}");
        assert!(ran.stderr.contains("entry 2") && ran.stderr.contains(why), "{bad}: {ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
    for (text, why) in [
        ("", "line 1"),
        ("{}", "line 1"),
        ("[1]", "line 1"),
        ("[]", "no entry with a seed"),
        ("[{}]", "no entry"),
    ] {
        fs::write(&file, text).unwrap();
        let ran = host.run(&["app", "import", "--django", &named]);
        assert!(ran.status == 1 && ran.stderr.contains(why), "{text}: {ran:?}");
    }
    fs::remove_file(&file).unwrap();
    host.refused(&["app", "import", "--django", &named], 1, "bad_file");
    assert_eq!(host.json(&["app", "list"]), json!([]));
    // Two apps with one seed: the first is taken, the second named.
    fs::write(&file, format!("[{good}, {}]", good.replace("c0001", "c0002"))).unwrap();
    let ran = host.run(&["app", "import", "--django", &named]);
    assert!(ran.status == 1 && ran.stderr.contains("c0002: another app or device has this seed"), "{ran:?}");
    assert_eq!(host.json(&["app", "list"]).as_array().unwrap().len(), 1);
}

const SECRET: &str = "correct horse battery staple, and more";

fn with(host: &Host, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let mut command = host.command(words);
    command.envs(variables.iter().copied());
    Ran::of(command.output().unwrap())
}

#[test]
fn a_master_key_comes_from_secret_key_where_there_is_no_other() {
    let host = Host::empty();
    let secret = [("SECRET_KEY", SECRET)];
    drop(host.serve_with(&secret));
    assert!(!host.path("data/master.key").exists(), "nothing is written");
    let made = with(&host, &secret, &["app", "create", "--user", "ferris", "--name", "web", "--json"]);
    assert_eq!(made.status, 0, "{made:?}");
    let seed = serde_json::from_str::<Value>(&made.stdout).unwrap()["seed"].clone();
    // The same secret opens what was sealed, and no other does.
    let export = with(&host, &secret, &["app", "export"]);
    assert_eq!(serde_json::from_str::<Value>(&export.stdout).unwrap()[0]["fields"]["seed"], seed);
    let other = with(&host, &[("SECRET_KEY", "another text of more than 32 characters")], &["app", "export"]);
    assert_eq!(other.status, 3, "{other:?}");
    let none = host.run(&["app", "export"]);
    assert!(none.status == 3 && none.stderr.contains("the master key is gone"), "{none:?}");
    let config = with(&host, &secret, &["check-config", "--json"]);
    assert!(
        config.stdout.contains("derived from SECRET_KEY") && !config.stdout.contains(SECRET),
        "{config:?}"
    );
    let rotate = with(&host, &secret, &["key", "rotate-master"]);
    assert!(rotate.status != 0 && rotate.stderr.contains("SECRET_KEY"), "{rotate:?}");
    // One that is too short is refused, and not shown.
    for short in ["", "hunter2", &"x".repeat(31)] {
        let ran = with(&Host::empty(), &[("SECRET_KEY", short)], &["serve"]);
        assert!(ran.status == 2 && ran.stderr.contains("at least 32 characters"), "{ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

#[test]
fn a_master_key_that_is_there_or_named_wins_over_secret_key() {
    let (host, _) = Host::begun();
    let secret = [("SECRET_KEY", SECRET)];
    host.done(&["app", "create", "--user", "ferris", "--name", "web"]);
    let export = with(&host, &secret, &["app", "export"]);
    assert_eq!(export.status, 0, "{export:?}");
    let named = Host::empty();
    let key = named.path("own.key");
    let config = fs::read_to_string(named.path("server.toml")).unwrap();
    fs::write(named.path("server.toml"), format!("master_key = {:?}\n{config}", key.display().to_string()))
        .unwrap();
    drop(named.serve_with(&secret));
    assert!(key.exists(), "the key that the file names is made");
}

#[test]
fn a_postgres_user_comes_from_the_environment_where_the_url_has_none() {
    let host = Host::empty();
    let config = fs::read_to_string(host.path("server.toml")).unwrap();
    let shown = |url: &str| {
        fs::write(host.path("server.toml"), format!("store = {url:?}\n{config}")).unwrap();
        let ran = with(&host, &[("POSTGRES_USERNAME", "corro")], &["check-config", "--json"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        report["config"]["store"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown("postgres://127.0.0.1:5433/otp"), "postgres://corro@127.0.0.1:5433/otp?sslmode=disable");
    assert_eq!(
        shown("postgres://ferris@127.0.0.1/otp"),
        "postgres://ferris@127.0.0.1:5432/otp?sslmode=disable"
    );
    assert_eq!(shown("sqlite:/srv/server.db"), "sqlite:/srv/server.db");
}
