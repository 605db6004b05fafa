//! What was stored by an earlier release must open: the formats, byte by byte.
//!
//! The values were worked out by another implementation (the ChaCha20-Poly1305, HKDF and HMAC of
//! Python's `cryptography`), with counted bytes for keys and nonce.

use data_encoding::HEXLOWER;
use oss2fa_agent::outside::{NoRandomness, Random};
use oss2fa_agent::store::keys::{Keys, unwrap_key, wrap};
use oss2fa_core::factor::otp::Algorithm;
use oss2fa_core::keys::KeyBytes;
use oss2fa_core::secret::SecretBytes;

const SECRET: &[u8] = b"12345678901234567890";

struct CountingFrom(u8);

impl Random for CountingFrom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for (byte, number) in bytes.iter_mut().zip(self.0..) {
            *byte = number;
        }
        Ok(())
    }
}

fn master() -> KeyBytes {
    KeyBytes::generate(&CountingFrom(0x80)).unwrap()
}

fn data() -> KeyBytes {
    KeyBytes::generate(&CountingFrom(0)).unwrap()
}

#[test]
fn the_data_key_is_wrapped_as_ever() {
    let wrapped = wrap(&master(), &data(), &CountingFrom(0x40)).unwrap();
    assert_eq!(
        HEXLOWER.encode(&wrapped),
        "404142434445464748494a4b4c4d4e4f5051525354555657f10d71f75ff5f25df31b7dd8faa3935a2256607d11518afbd2a3ef\
         175e4813d7711dfa5cf80b5c74dcdf9403c7d917a6"
    );
    assert_eq!(unwrap_key(&master(), &wrapped).unwrap().expose(), data().expose());
    assert!(unwrap_key(&data(), &wrapped).is_none());
}

#[test]
fn a_secret_is_sealed_as_ever() {
    let keys = Keys::derive(&data());
    let secret = SecretBytes::new(SECRET.to_vec());
    let sealed = keys.seal(&secret, b"row 7", &CountingFrom(0x40)).unwrap();
    assert_eq!(
        HEXLOWER.encode(&sealed),
        "404142434445464748494a4b4c4d4e4f50515253545556571ec1b96666914ba01015882ea159d39dae089330530775ec6eaa92\
         18ed6824601437d1b2"
    );
    assert_eq!(keys.open(&sealed, b"row 7").unwrap().expose(), SECRET);
    assert!(keys.open(&sealed, b"row 8").is_none());
}

#[test]
fn keyed_hashes_are_made_as_ever() {
    let keys = Keys::derive(&data());
    assert_eq!(
        HEXLOWER.encode(&keys.recovery_digest(7, "zzzzzzzzzzzzzzzz")),
        "8b8cae1b4b6b581b0fbacda74b1ab664ac37dae661246842fa30d9306e70a66b"
    );
    assert_eq!(
        HEXLOWER.encode(&keys.fingerprint(Algorithm::Sha1, &SecretBytes::new(SECRET.to_vec()))),
        "dfa9bf7b8068217b3ade2b012eae17c6cf467660bd51180e5b6aba73e4b5aed4"
    );
    assert_eq!(
        HEXLOWER.encode(&keys.audit_link(&[b"ab", b"", b"c"])),
        "3b8cc08910ad35235e5f4f4532162b496925a08a08d5f41d706be48be403d6f1"
    );
}
