//! The validation protocol of Yubico: `GET /wsapi/2.0/verify` with passwords of keys whose secrets are in the store.

use std::fs;
use std::path::Path;
use std::process::Command;

use oss2fa_tests::{Built, workspace};

use super::instance::Instance;
use super::scale::Scale;
use super::stock;
use crate::report::{Bound, Report};
use crate::throughput::median;

const KEYS: usize = 1_000;
/// Passwords of one round; a server that is faster ends it sooner.
const MOST: usize = 150_000;

/// An id and its key.
struct Client {
    id: String,
    key: String,
}

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    let folder = stock::empty("server-yubico");
    let file = folder.join("keys.csv");
    let instance = Instance::start(&folder, None);
    fs::write(&file, script(&["keys", &KEYS.to_string()])).unwrap();
    server(&folder, &["import", "yubikey-csv", file.to_str().unwrap()]);
    let made = server(&folder, &["yubico-client", "create", "bench", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let client = Client { id: made["id"].to_string(), key: made["key"].as_str().unwrap().to_owned() };
    let mut rounds = Vec::new();
    for round in 0..scale.rounds {
        let paths = paths(&client, round * MOST, MOST);
        rounds.push(instance.get(paths, "status=OK", scale.seconds).per_second);
    }
    instance.answers_each(paths(&client, (scale.rounds - 1) * MOST, 3), "status=REPLAYED_");
    let name = "Yubico OTP, verifications a second through /wsapi/2.0/verify on SQLite";
    report.add(name, median(&mut rounds), "1/s", Bound::AtLeast(5_000.0));
    drop(instance);
    stock::remove(&folder);
}

fn paths(client: &Client, first: usize, number: usize) -> Vec<String> {
    let [keys, first, number] = [KEYS, first, number].map(|number| number.to_string());
    let made = script(&["requests", &keys, &first, &number, &client.id, &client.key]);
    made.lines().map(str::to_owned).collect()
}

fn server(folder: &Path, words: &[&str]) -> String {
    let ran = Command::new(Built::server()).args(words).arg("--data-dir").arg(folder).output();
    let ran = ran.expect("oss2fa-server");
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn script(words: &[&str]) -> String {
    let made = Command::new("python3")
        .arg(workspace().join("tests/src/bin/oss2fa-bench/server/yubico.py"))
        .args(words)
        .output()
        .expect("python3");
    assert!(made.status.success(), "yubico.py: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}
