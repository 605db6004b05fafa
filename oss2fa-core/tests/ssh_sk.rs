//! Keys of OpenSSH on security keys: files that ssh-keygen reads, and what sshd says of a login.
//!
//! The files of `data/ssh_sk` were made with Python's `cryptography` and ssh-keygen; the fingerprints are those that
//! `ssh-keygen -l` shows.
#![cfg(feature = "factors")]
#![expect(clippy::unwrap_used, reason = "a failure is a panic in tests, in their helpers too")]

use oss2fa_core::factor::ssh_sk::{BadSkKey, MAX_FILE, SkKey, presented};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::wire::SshAuthInfo;
use proptest::prelude::*;

const ECDSA: &str = include_str!("data/ssh_sk/ecdsa.pub");
const ED25519: &str = include_str!("data/ssh_sk/ed25519.pub");
const PLAIN: &str = include_str!("data/ssh_sk/plain.pub");
const CERTIFICATE: &str = include_str!("data/ssh_sk/ecdsa-cert.pub");

fn key(file: &str) -> SkKey {
    SkKey::from_pub_file(file).unwrap().0
}

fn two_words(file: &str) -> String {
    file.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn info(text: &str) -> SshAuthInfo {
    SshAuthInfo::new(text.as_bytes()).unwrap()
}

#[test]
fn files_of_both_types_are_read_and_known_as_ssh_keygen_shows_them() {
    for (file, comment, fingerprint) in [
        (ECDSA, "ferris@ecdsa", "SHA256:YfxyAoN7k01mLpOFpO2x8dhREXxkenkd8ySB+K95yuA"),
        (ED25519, "ferris@ed25519", "SHA256:4Zq4NvkzyOrcfA0NDTOJJA73lSlsXgDOjWqx1rgE7QE"),
    ] {
        let (key, said) = SkKey::from_pub_file(file).unwrap();
        assert_eq!((key.fingerprint().as_str(), said), (fingerprint, Some(comment)));
        assert_eq!(key.to_line(), two_words(file));
    }
}

#[test]
fn what_is_around_a_key_does_not_matter() {
    let bare = two_words(ECDSA);
    for text in [
        bare.clone(),
        format!("# a comment\n\n  {bare}\tmy laptop \r\n\n"),
        format!("{bare} sk-ish words in a comment"),
    ] {
        assert_eq!(SkKey::from_pub_file(&text).unwrap().0, key(ECDSA), "{text}");
    }
}

#[test]
fn what_is_no_key_of_a_security_key_is_refused_by_its_reason() {
    let bare = two_words(ECDSA);
    let cut = bare.get(..bare.len() - 8).unwrap().to_owned();
    let renamed = bare.replacen("sk-ecdsa-sha2-nistp256@", "sk-ssh-ed25519@", 1);
    // The same key, but for "www:".
    let browser = bare.replace("c3NoOg==", "d3d3Og==");
    let webauthn = bare.replacen("sk-ecdsa", "webauthn-sk-ecdsa", 1);
    for (text, why) in [
        (String::new(), BadSkKey::Empty),
        ("# nothing\n".to_owned(), BadSkKey::Empty),
        ("x".repeat(MAX_FILE + 1), BadSkKey::TooLong),
        (format!("{ECDSA}{ED25519}"), BadSkKey::Several),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n".to_owned(), BadSkKey::Private),
        (format!("no-touch-required {bare}"), BadSkKey::Options),
        (format!("restrict,command=\"a b\" {bare}"), BadSkKey::Options),
        (CERTIFICATE.to_owned(), BadSkKey::Certificate),
        (PLAIN.to_owned(), BadSkKey::NotOnSecurityKey),
        ("ecdsa-sha2-nistp256 AAAA".to_owned(), BadSkKey::NotOnSecurityKey),
        (webauthn, BadSkKey::NotOnSecurityKey),
        ("hello world".to_owned(), BadSkKey::Malformed),
        ("sk-ssh-ed25519@openssh.com".to_owned(), BadSkKey::Malformed),
        ("sk-ssh-ed25519@openssh.com AAAA".to_owned(), BadSkKey::Malformed),
        (format!("sk-ssh-ed25519@openssh.com {}", "A".repeat(4000)), BadSkKey::Malformed),
        (cut, BadSkKey::Malformed),
        (renamed, BadSkKey::Malformed),
        (browser, BadSkKey::Application),
    ] {
        assert_eq!(SkKey::from_pub_file(&text).map(drop), Err(why), "{text:.80}");
    }
}

#[test]
fn sshd_names_the_key_that_was_enrolled() {
    let enrolled = [(DeviceId(3), key(ED25519)), (DeviceId(7), key(ECDSA))];
    let (ecdsa, ed25519, plain) = (two_words(ECDSA), two_words(ED25519), two_words(PLAIN));
    for (said, device) in [
        (format!("publickey {ecdsa}\n"), 7),
        (format!("publickey {ed25519}\n"), 3),
        // Two keys, as `AuthenticationMethods publickey,publickey` wants them, and methods around them.
        (format!("password\npublickey {plain}\npublickey {ecdsa}\nkeyboard-interactive/pam\n"), 7),
    ] {
        let presented = presented(&info(&said), &enrolled).unwrap();
        assert_eq!(presented.device(), DeviceId(device), "{said}");
    }
}

#[test]
fn nothing_else_that_sshd_says_counts() {
    let enrolled = [(DeviceId(7), key(ECDSA))];
    let (ecdsa, certificate) = (two_words(ECDSA), two_words(CERTIFICATE));
    for said in [
        "password\n".to_owned(),
        "keyboard-interactive/pam\n".to_owned(),
        format!("publickey {}\n", two_words(PLAIN)),
        format!("publickey {}\n", two_words(ED25519)),
        format!("publickey {certificate}\n"),
        // The key in another place than the one that sshd has for it.
        format!("hostbased {ecdsa}\n"),
        format!("publickey/x {ecdsa}\n"),
        format!("Publickey {ecdsa}\n"),
        format!(" publickey {ecdsa}\n"),
        format!("publickey  {ecdsa}\n"),
        format!("publickey {ecdsa} and more\n"),
        format!("publickey {ecdsa} \n"),
        format!("{ecdsa}\n"),
        format!("keyboard-interactive/pam publickey {ecdsa}\n"),
        format!("publickey {}\n", ecdsa.trim_end_matches('=')),
    ] {
        assert_eq!(presented(&info(&said), &enrolled), None, "{said}");
    }
    assert_eq!(presented(&info(&format!("publickey {ecdsa}\n")), &[]), None);
}

proptest! {
    #[test]
    fn one_bit_makes_it_another_key(bit in 0_usize..1000) {
        let line = two_words(ECDSA);
        let (kind, base64) = line.split_once(' ').unwrap();
        let mut bytes = base64.as_bytes().to_vec();
        let at = bit % bytes.len();
        bytes[at] ^= 1 << (bit % 7);
        let said = format!("publickey {kind} {}\n", String::from_utf8_lossy(&bytes));
        if let Ok(info) = SshAuthInfo::new(said.as_bytes()) {
            prop_assert_eq!(presented(&info, &[(DeviceId(7), key(ECDSA))]), None);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), kind in "sk-ssh-ed25519@openssh.com|ssh-rsa", rest in "[A-Za-z0-9+/=]{0,120}") {
        for text in [text, format!("{kind} {rest}")] {
            if let Ok((key, _)) = SkKey::from_pub_file(&text) {
                prop_assert_eq!(SkKey::from_pub_file(&key.to_line()).unwrap().0, key);
            }
        }
    }
}
