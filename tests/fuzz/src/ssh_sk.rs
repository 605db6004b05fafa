//! Files with a public key of OpenSSH, what sshd says of a login, and what sshd goes by.
//!
//! The first byte chooses which.

use std::path::Path;

use oss2fa_agent::doctor::Tree;
use oss2fa_agent::sshd::insists;
use oss2fa_core::factor::ssh_sk::{SkKey, presented};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::wire::SshAuthInfo;
use oss2fa_ctap::verify::UserVerification;

const CONFIG: &str = "/etc/ssh/sshd_config";

/// What was read is a key and is written as it was read; only the key that is enrolled counts; a configuration without
/// the word for it never insists on a touch.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [what, rest @ ..] = data else { return };
    match what % 3 {
        0 => file(rest),
        1 => said(rest),
        _ => configuration(rest),
    }
}

fn file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok((key, _comment)) = SkKey::from_pub_file(text) else { return };
    let line = key.to_line();
    assert!(line.split(' ').all(|word| text.contains(word)), "another key than the file's");
    assert!(SkKey::from_pub_file(&line).is_ok_and(|(again, _)| again == key));
    let info = SshAuthInfo::new(format!("publickey {line}\n").as_bytes());
    let found = info.ok().and_then(|info| presented(&info, &[(DeviceId(7), key)]));
    assert!(found.is_some_and(|found| found.device() == DeviceId(7)));
}

fn said(bytes: &[u8]) {
    let Ok(info) = SshAuthInfo::new(bytes) else { return };
    let enrolled = include_str!("../../../oss2fa-core/tests/data/ssh_sk/ecdsa.pub");
    let Ok((key, _comment)) = SkKey::from_pub_file(enrolled) else { return };
    let line = format!("publickey {}", key.to_line());
    let counts = presented(&info, &[(DeviceId(7), key)]).is_some();
    assert_eq!(counts, info.lines().any(|one| one == line), "another line than the key's");
}

fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let says_so = text.to_ascii_lowercase().contains("touch-required");
    let tree = Tree::new(Path::new("/nonexistent")).with(Path::new(CONFIG), Some(text));
    if insists(&tree, Path::new(CONFIG), None, UserVerification::NotAsked).is_ok() {
        assert!(says_so, "it does not say so");
    }
}
