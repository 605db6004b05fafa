//! The harness itself: a world is private, and it leaves nothing behind.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use oss2fa_tests::{Generator, Host, PASSWORD, Pam, Token};

const URI: &str = "otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a";

#[test]
fn accounts_and_stacks_stay_in_their_world_and_go_with_it() {
    let before = fs::read("/etc/passwd").unwrap();
    let host = Host::new().user("ferris").pam("hello", "auth required pam_unix.so\n").without_agent();
    assert!(host.read("/etc/passwd").contains("ferris"));
    let (right, ran) = host.authenticate("hello", "ferris", &[PASSWORD]);
    assert_eq!(right, Pam::Success, "{ran}");
    let (wrong, _) = host.authenticate("hello", "ferris", &["wrong"]);
    assert_eq!(wrong, Pam::AuthErr);
    let mut left_running = host.program(&["sh", "-c", "echo; exec sleep 1000"]).command();
    let mut left_running = left_running.stdout(Stdio::piped()).spawn().unwrap();
    left_running.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let home = host.path("/home/ferris");
    assert!(home.exists());
    drop(host);
    assert!(!home.exists());
    assert!(!left_running.wait().unwrap().success(), "it was killed with its world");
    assert_eq!(fs::read("/etc/passwd").unwrap(), before, "the machine's own accounts");
    assert!(!fs::exists("/etc/pam.d/hello").unwrap());
}

#[test]
fn a_terminal_shows_types_and_reports_the_end() {
    let host = Host::new().user("ferris").without_agent();
    let shell = host.program(&["sh", "-c", "printf 'name? '; read n; test -t 0 && echo hello $n; exit 7"]);
    let end = shell.as_user("ferris").terminal().answer("name? ", "crab").finish();
    assert_eq!(end.status, 7);
    assert!(end.rest.contains("hello crab"), "{end:?}");
}

#[test]
fn both_generators_agree_with_the_vectors_of_rfc_4226_and_with_each_other() {
    let hotp = Token::scan(&URI.replace("/totp/", "/hotp/").replace("&issuer", "&counter=0&issuer"));
    assert_eq!(hotp.codes(0, 3), ["755224", "287082", "359152"]);
    assert_eq!(hotp.clone().with(Generator::PyOtp).code_at(2), "359152");
    for algorithm in ["SHA1", "SHA256", "SHA512"] {
        let totp = Token::scan(&format!("{URI}&algorithm={algorithm}&digits=8&period=60"));
        assert_eq!(totp.code_at(99), totp.clone().with(Generator::PyOtp).code_at(99), "{algorithm}");
    }
}

#[test]
fn codes_that_are_not_given_out_twice() {
    let mut token = Token::scan(URI);
    let codes: Vec<String> = (0..5).map(|_| token.next_code()).collect();
    let wrong = token.wrong_code();
    assert!(!codes.contains(&wrong));
    assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
}
