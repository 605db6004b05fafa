//! A first start that comes to no end: the token of the first integration is not lost with it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use oss2fa_tests::Built;
use oss2fa_tests::server::free_port;

fn serve(data: &Path, address: &str) -> Command {
    let mut command = Command::new(Built::server());
    command.args(["serve", "--listen", address, "--data-dir"]).arg(data).stdin(Stdio::null());
    command
}

/// The token that a banner shows.
fn token_in(said: &str) -> Option<&str> {
    let shown = said.lines().find_map(|line| line.trim_start().strip_prefix("Integration: "))?;
    (shown.len() == 40 && shown.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(shown)
}

#[test]
fn where_the_port_is_taken_the_next_start_shows_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = serve(folder.path(), &address).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("in use"), "{said}");
    assert_eq!(token_in(&String::from_utf8_lossy(&refused.stdout)), None);

    drop(taken);
    let mut child = serve(folder.path(), &address).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let banner: Vec<String> = lines.take_while(|line| !line.contains("started")).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let banner = banner.join("\n");
    assert!(token_in(&banner).is_some(), "{banner}");
}

#[test]
fn a_start_that_fails_after_the_store_was_made_shows_the_token() {
    let folder = tempfile::tempdir().unwrap();
    // A pair that cannot be read is found when the store is there.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tls.crt"), "no certificate").unwrap();
    std::fs::write(data.join("tls.key"), "no key").unwrap();
    let refused = serve(&data, "127.0.0.1:0").output().unwrap();
    let (out, said) = (String::from_utf8_lossy(&refused.stdout), String::from_utf8_lossy(&refused.stderr));
    assert!(!refused.status.success() && said.contains("tls."), "{said}");
    assert!(token_in(&out).is_some(), "{out}\n{said}");
    assert!(!said.contains(token_in(&out).unwrap()), "no token in a log: {said}");
}
