//! docs/one-server.md, run from top to bottom as one script by root of a host that systemd has booted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use oss2fa_tests::server::Authority;
use oss2fa_tests::shell_guide;
use serde_json::Value;

use crate::booted::Booted;
use crate::root::{DebianRoot, build_package};
use crate::{SERVER, VERSION};

const PASSWORD: &str = "correct-horse-mail-staple";
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[test]
fn the_guide_of_one_server_does_what_it_says() {
    let (blocks, script) = shell_guide("docs/one-server.md", &[]);
    assert!(blocks >= 12, "{blocks}");
    let root = DebianRoot::fresh();
    build_package(SERVER, VERSION, &root.path("/root"), "none");
    let authority = Authority::of(&["2fa.example.org", "mail.example.org"]);
    root.write("/etc/hosts", "127.0.0.1 localhost 2fa.example.org mail.example.org\n");
    let trusted = root.read(AUTHORITIES) + &fs::read_to_string(authority.ca()).unwrap();
    root.write(AUTHORITIES, &trusted);
    root.write("/root/2fa.example.org.crt", &fs::read_to_string(authority.certificate()).unwrap());
    root.write("/root/2fa.example.org.key", &fs::read_to_string(authority.key()).unwrap());
    root.write("/root/smtp-password", &format!("{PASSWORD}\n"));
    let host = Booted::new(root);

    let mails = tempfile::tempdir().unwrap();
    let folder = mails.path().display().to_string();
    let (certificate, key) =
        (authority.certificate().display().to_string(), authority.key().display().to_string());
    let sink = include_str!("../../src/server/mail.py");
    let words = ["/usr/bin/python3", "-c", sink, &folder, "starttls", &certificate, &key, "oss2fa", PASSWORD];
    let mut sink = host.start_in_its_network(&words);
    let mut line = String::new();
    BufReader::new(sink.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("ready ").unwrap_or_else(|| panic!("no mail server: {line:?}"));

    host.root.write("/root/guide", &script.replace("port = 587", &format!("port = {port}")));
    let told = host.run("cd /root && bash guide").expect_ok("docs/one-server.md");
    assert!(told.contains("alice") && told.contains("john.doe"), "{told}");

    let mail: Value =
        serde_json::from_str(&fs::read_to_string(mails.path().join("000001.json")).unwrap()).unwrap();
    let of = |field: &str| mail.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!((of("to"), of("user")), ("jane.doe@example.org".to_owned(), "oss2fa".to_owned()));
    // The end of its input is its end.
    drop(sink.stdin.take());
    let until = Instant::now() + Duration::from_secs(10);
    while sink.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "the mail server does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}
