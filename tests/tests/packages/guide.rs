//! docs/one-server.md and docs/hosts.md, each run from top to bottom as one script by root of a host that systemd has
//! booted.

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use oss2fa_tests::server::Authority;
use oss2fa_tests::shell_guide;
use serde_json::Value;

use crate::booted::Booted;
use crate::people::add_ferris;
use crate::root::{DebianRoot, build_package};
use crate::{AGENT, MODULE, SERVER, VERSION};

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
    let until = Instant::now() + Duration::from_secs(60);
    while sink.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "the mail server does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_guide_of_hosts_does_what_it_says() {
    let (blocks, script) = shell_guide("docs/hosts.md", &[]);
    assert!(blocks >= 10, "{blocks}");
    let root = DebianRoot::with_package(SERVER, VERSION);
    build_package(AGENT, VERSION, &root.path("/root"), "none");
    add_ferris(&root);
    // The server as docs/one-server.md leaves it.
    let authority = Authority::of(&["2fa.example.org"]);
    root.write("/etc/hosts", "127.0.0.1 localhost 2fa.example.org\n");
    root.write("/etc/oss2fa/tls.crt", &fs::read_to_string(authority.certificate()).unwrap());
    root.write("/etc/oss2fa/tls.key", &fs::read_to_string(authority.key()).unwrap());
    root.run("chgrp oss2fa-server /etc/oss2fa/tls.key && chmod 640 /etc/oss2fa/tls.key").expect_ok("the key");
    let config = "listen = \"0.0.0.0:8300\"\n[tls]\ncertificate = \"/etc/oss2fa/tls.crt\"\nkey = \"/etc/oss2fa/tls.key\"\n";
    root.write("/etc/oss2fa/server.toml", config);
    root.write("/root/authority.pem", &fs::read_to_string(authority.ca()).unwrap());
    root.write("/etc/pam.d/only-code", &format!("auth required {MODULE}\n"));
    root.write("/root/guide", &script);
    let host = Booted::new(root);
    host.run("systemctl enable --now oss2fa-server").expect_ok("the server");
    let told = host.run("cd /root && bash guide").expect_ok("docs/hosts.md");
    assert!(told.contains("2fa.example.org:8300"), "{told}");
    // What the guide has set up lets in by libpam, too, and its unit is still confined.
    // The code of the next step may be the one that the guide has used, or one of after that: by the second time it was
    // used for sure.
    let login = "secret=$(jq -r .provisioning_uri /root/made.json | sed 's/.*secret=\\([A-Z2-7]*\\).*/\\1/'); \
                 code=$(oathtool --totp -b \"$secret\" --now 'now + 30 seconds'); \
                 login() { echo \"$code\" | pamtester only-code ferris authenticate; }; login; login";
    host.run(login).expect_failure("a code that was used");
    let refused = host.journal("oss2fa-agent");
    assert!(
        !refused.contains("Operation not permitted"),
        "the confinement is in the agent's way:\n{refused}"
    );
    let exposure = host.run("systemd-analyze security oss2fa-agent | tail -1").expect_ok("systemd-analyze");
    let figure = exposure.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap();
    assert!(figure < 2.0, "{exposure}");
}
