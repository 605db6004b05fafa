//! ungleich-otp: `POST /verify` by trusted apps, with tokens that may be shown again within their step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oss2fa_tests::load::Pace;
use oss2fa_tests::{Built, workspace};

use super::instance::Instance;
use super::scale::Scale;
use super::stock;
use crate::report::{Bound, Report};
use crate::throughput::median;

pub(crate) const APPS: usize = 1_000;
/// From one pair of apps to the next; no common divisor with [`APPS`].
const STEP: usize = 377;
/// Tokens are made for this rate; a server that is faster ends a run sooner.
const MOST: usize = 200_000;

/// Wide enough for a round's tokens to be right to its end.
const SETTINGS: &str = "[ungleich_otp]\nenabled = true\nwindow = 4\n";

pub(crate) fn measure(report: &mut Report, scale: Scale) {
    let folder = stock::empty("server-apps");
    let (instance, _dump) = with_apps(&folder, SETTINGS);
    let round = || instance.post("/verify", bodies(), scale.seconds, Pace::Full).per_second;
    // The first acceptance of an app and of a pair is written down, later ones are not.
    let _first = round();
    let mut rounds: Vec<f64> = (0..scale.rounds).map(|_| round()).collect();
    let wrong: Vec<String> = bodies().into_iter().take(3).map(|body| wrong(&body)).collect();
    instance.refuses("/verify", wrong);
    let name = "apps, POST /verify a second on SQLite";
    report.add(name, median(&mut rounds), "1/s", Bound::AtLeast(5_000.0));
    drop(instance);
    stock::remove(&folder);
}

/// A server with all the apps, and the file that they came from.
pub(crate) fn with_apps(folder: &Path, settings: &str) -> (Instance, PathBuf) {
    let dump = folder.join("apps.json");
    fs::write(&dump, script(&["dump", &APPS.to_string()])).unwrap();
    let instance = Instance::start_with(folder, None, settings);
    let imported = Command::new(Built::server())
        .args(["app", "import", "--data-dir"])
        .arg(folder)
        .arg("--django")
        .arg(&dump)
        .output()
        .expect("oss2fa-server");
    assert!(imported.status.success(), "app import: {}", String::from_utf8_lossy(&imported.stderr));
    (instance, dump)
}

/// So many questions: one app after another asks about the next; as many pairs as apps. Each is an app and its token,
/// twice.
pub(crate) fn pairs(count: usize) -> Vec<[String; 4]> {
    let tokens = script(&["tokens", &APPS.to_string()]);
    let apps: Vec<(&str, &str)> = tokens.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let pair = |n: usize| {
        let ((asking, its), (other, of_other)) = (apps[n * STEP % APPS], apps[(n * STEP + 1) % APPS]);
        [asking, its, other, of_other].map(ToOwned::to_owned)
    };
    (0..count).map(pair).collect()
}

fn bodies() -> Vec<String> {
    let body = |[appuuid, token, other, of_other]: [String; 4]| {
        format!(
            r#"{{"version":"1","appuuid":"{appuuid}","token":"{token}","appuuidtoverify":"{other}","tokentoverify":"{of_other}"}}"#
        )
    };
    pairs(MOST).into_iter().map(body).collect()
}

/// The same with another token of the app that is asked about.
fn wrong(body: &str) -> String {
    let at = body.len() - 3;
    format!("{}{}{}", &body[..at], another_digit(body.as_bytes()[at]), &body[at + 1..])
}

/// Another one than this.
pub(crate) fn another_digit(digit: u8) -> char {
    if digit == b'7' { '3' } else { '7' }
}

fn script(words: &[&str]) -> String {
    let made = Command::new("/usr/bin/python3")
        .arg(workspace().join("tests/src/bin/oss2fa-bench/server/apps.py"))
        .args(words)
        .output()
        .expect("python3");
    assert!(made.status.success(), "apps.py: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}
