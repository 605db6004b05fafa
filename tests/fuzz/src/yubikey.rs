//! Passwords of YubiKeys, files with their secrets, and answers of validation servers.
//!
//! The first byte chooses. In a file a control character stands for a secret that is put in its place; no text about
//! the file may repeat it. Nobody can sign an answer here, so that none of them is evidence.

use oss2fa_core::factor::modhex;
use oss2fa_core::factor::yubico_otp::{KEY, LONGEST_PUBLIC_ID, Opened, PRIVATE_ID, TypedOtp, Yubikey};
use oss2fa_core::factor::yubico_validation::{ApiKey, Judged, Question};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::import::{yubikey_authfile, yubikey_csv};
use oss2fa_core::secret::SecretBytes;

const SECRET: &str = "ecde18dbe76fbd0c33330f1c354871db";
const OTP: &str = "vvcccccccccbudelvecubhnnrglftvvvvkftcnrjldhf";
const NONCE: &str = "aef3a7835277a28da831005c2ae3b919e2076a62";

/// What is read comes back as it was; what was not made by the key is foreign; what is not signed is no evidence.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [what, rest @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match what % 3 {
        0 => password(text),
        1 => file(&text.replace('\u{1}', SECRET)),
        _ => answer(text),
    }
}

fn password(text: &str) {
    if let Some(bytes) = modhex::decode(text) {
        assert_eq!(modhex::encode(&bytes), text.to_ascii_lowercase());
    }
    let Some(typed) = TypedOtp::read(text) else { return };
    let again = typed.expose();
    assert_eq!(*again, text.trim().to_ascii_lowercase());
    assert_eq!(TypedOtp::read(&again).as_ref(), Some(&typed));
    let public_id = typed.public_id();
    assert!(public_id.as_str().len() <= 2 * LONGEST_PUBLIC_ID);
    assert!(!public_id.masked().contains(public_id.as_str()));
    // No input of a fuzzer decrypts to the right private id and checksum.
    let (private_id, key) = (SecretBytes::new(vec![7; PRIVATE_ID]), SecretBytes::new(vec![9; KEY]));
    let (private_id, key) = (&private_id, &key);
    let yubikey = Yubikey { device: DeviceId(1), public_id, private_id, key, next_position: 0 };
    assert_eq!(yubikey.open(&typed), Opened::Foreign);
}

fn file(text: &str) {
    let lines = text.lines().count();
    for entry in yubikey_authfile::parse(text) {
        let line = entry.map_or_else(|error| error.line, |found| found.line);
        assert!(line >= 1 && line <= lines);
    }
    let found = yubikey_csv::parse(text);
    assert!(found.len() <= lines);
    let mut above = 0;
    for entry in found {
        let line = match entry {
            Ok(found) => {
                assert_eq!((found.private_id.expose().len(), found.key.expose().len()), (PRIVATE_ID, KEY));
                assert!(!format!("{found:?}").contains(SECRET));
                found.line
            }
            Err(error) => {
                assert!(!error.to_string().to_lowercase().contains(SECRET));
                error.line
            }
        };
        assert!(line > above && line <= lines);
        above = line;
    }
}

fn answer(text: &str) {
    let (Some(otp), Some(key)) = (TypedOtp::read(OTP), ApiKey::new(SecretBytes::new(vec![3; 20]))) else {
        panic!("neither a password nor a key")
    };
    let question = Question { device: DeviceId(1), otp: &otp, nonce: NONCE, key: &key };
    let judged = question.judge(text);
    assert!(matches!(judged, Judged::Unusable(_) | Judged::Failed(_)), "evidence without a signature");
}
