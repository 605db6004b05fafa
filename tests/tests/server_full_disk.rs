//! A disk that fills up under the running server: nobody is let in whose code could not be written down as spent, no code is
//! accepted twice, and with room again all goes on.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use oss2fa_tests::server::{Caller, Server};

/// Many more than the log has room for.
const LOGINS: usize = 2000;

/// Fills the disk of the server's folder to the last byte.
fn fill(server: &Server) -> std::path::PathBuf {
    let filler = server.file("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    filler
}

/// How often the log has this code of a warning.
fn said(server: &Server, code: &str) -> usize {
    server.log().matches(&format!("code=\"{code}\"")).count()
}

/// Waits until the log has it: some is written by a thread of its own, in its own time.
fn says(server: &Server, words: &str) {
    let begun = Instant::now();
    while !server.log().contains(words) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no {words:?} in {}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Logs in until the store cannot be written; the codes that were accepted, and the one that was not.
fn until_full(vpn: &Caller<'_>, codes: &[String]) -> (usize, String) {
    for (number, code) in codes.iter().enumerate() {
        let reply = vpn.verify("john", code);
        if reply.status != 200 {
            reply.refused(503, "store_unavailable");
            let says = reply.json()["error"]["message"].to_string();
            assert!(says.contains("try again"), "{says}");
            return (number, code.clone());
        }
    }
    panic!("{} logins, and there is always room", codes.len());
}

#[test]
fn a_full_disk_lets_nobody_in_twice_and_says_so_once() {
    let server = Server::new().on_a_disk_of(24).start();
    let vpn = server.integration();
    let mut john = vpn.enroll("john", "HOTP");
    let jane = vpn.enroll("jane", "HOTP");
    let codes: Vec<String> = (0..LOGINS).map(|_| john.token.next_code()).collect();
    let filler = fill(&server);

    let (accepted, refused) = until_full(&vpn, &codes);
    assert!(accepted > 20, "{accepted} logins on the room that the log has");
    // Whoever cannot be written down is not let in; wrong codes are not counted either, and refused all the same.
    for _ in 0..20 {
        vpn.verify("john", &refused).refused(503, "store_unavailable");
        vpn.verify("jane", &jane.token.wrong_code()).refused(503, "store_unavailable");
    }
    says(&server, "its disk is full; make room there");
    says(&server, "code=\"store_log\"");
    assert_eq!((said(&server, "store_log"), said(&server, "store_log_again")), (1, 0), "{}", server.log());

    std::fs::remove_file(filler).expect("the filler");
    let right = vpn.verify("john", &refused);
    assert_eq!(right.status, 200, "with room again, what was refused for want of it is good: {right}");
    let before: BTreeSet<&String> = codes.iter().take(accepted).rev().take(3).collect();
    for code in before {
        vpn.verify("john", code).refused(403, "wrong_token");
    }
    assert_eq!(server.accepted("john"), accepted + 1);
    says(&server, "code=\"store_log_again\"");
    assert_eq!((said(&server, "store_log"), said(&server, "store_log_again")), (1, 1), "{}", server.log());
    let verified = server.cli(&["audit", "verify"]);
    assert_eq!(verified.status, 0, "{verified}");
}
