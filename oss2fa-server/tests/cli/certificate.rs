//! What the server says of its certificate: how it is known, and that it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use oss2fa_server::listen::self_signed;
use oss2fa_server::outside::{Clock, System};
use time::{Duration, OffsetDateTime};

use crate::host::Host;

/// A host whose server speaks TLS; its data folder is there.
fn with_tls() -> Host {
    let host = Host::empty();
    fs::write(host.path("server.toml"), "listen = \"127.0.0.1:0\"\n").unwrap();
    fs::create_dir(host.path("data")).unwrap();
    fs::set_permissions(host.path("data"), PermissionsExt::from_mode(0o700)).unwrap();
    host
}

fn openssl(words: &[&str]) -> String {
    let ran = Command::new("openssl").args(words).output().expect("this test needs openssl");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// The line of a started server's log that has this code.
fn logged_at_start(host: &Host, code: &str) -> String {
    let mut child = host.command(&["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    // The master key and the store are made before; other lines may come in between.
    let found = lines.take(20).find(|line| line.contains(&format!("code=\"{code}\"")));
    child.kill().unwrap();
    child.wait().unwrap();
    found.unwrap_or_else(|| panic!("no {code}"))
}

#[test]
fn the_fingerprint_of_a_new_one_is_logged() {
    let host = with_tls();
    let line = logged_at_start(&host, "tls_made");
    let file = host.path("data/tls.crt").display().to_string();
    let said = openssl(&["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = said.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    assert!(fingerprint.len() == 64 && line.contains(&fingerprint), "{line}");
}

#[test]
fn an_end_that_is_near_is_said_at_the_start_and_by_check_config() {
    let host = with_tls();
    let (file, given) = (host.path("data/tls.crt"), host.path("given.crt"));
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(System.now().0) * 1000).unwrap();
    let warned = |name: &str, cure: &str| {
        let warnings = host.json(&["check-config"])["warnings"].to_string();
        let line = logged_at_start(&host, "tls_expiry");
        for said in [&warnings, &line] {
            assert!(said.contains(&format!("{name} ends in 24 days")) && said.contains(cure), "{said}");
        }
        assert!(line.contains("WARN"), "{line}");
    };
    // Of 825 days all but some 24 and a half are over.
    self_signed::pair(&host.path("data"), "localhost", now - Duration::hours(799 * 24 + 12)).unwrap();
    let before = fs::read(&file).unwrap();
    warned("tls.crt", "does not renew it");
    // Clients trust this one and no other.
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::rename(&file, &given).unwrap();
    fs::rename(host.path("data/tls.key"), host.path("given.key")).unwrap();
    let pair = format!("certificate = '{}'\nkey = '{}'", given.display(), host.path("given.key").display());
    fs::write(host.path("server.toml"), format!("listen = \"127.0.0.1:0\"\n[tls]\n{pair}\n")).unwrap();
    warned("given.crt", "without a restart");
}
