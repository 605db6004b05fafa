//! Keys against published vectors, and against values worked out by another implementation.
#![cfg(feature = "keys")]
#![expect(clippy::unwrap_used, reason = "a test may fail where it likes")]

use data_encoding::HEXLOWER;
use oss2fa_core::keys::{KeyBytes, MacKey, SealError};
use oss2fa_core::random::{NoRandomness, Random};

/// Counts up from its number.
struct CountingFrom(u8);

impl Random for CountingFrom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for (byte, number) in bytes.iter_mut().zip(self.0..) {
            *byte = number;
        }
        Ok(())
    }
}

struct Broken;

impl Random for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoRandomness> {
        Err(NoRandomness)
    }
}

fn key() -> KeyBytes {
    KeyBytes::generate(&CountingFrom(0x80)).unwrap()
}

// draft-irtf-cfrg-xchacha-03 appendix A.3.1.
const PLAIN: &[u8] =
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
sunscreen would be it.";
const ASSOCIATED: &[u8] = b"\x50\x51\x52\x53\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7";
const SEALED: &str = "404142434445464748494a4b4c4d4e4f5051525354555657\
bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216\
cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13\
b52ec0875924c1c7987947deafd8780acf49";

#[test]
fn what_is_sealed_is_the_nonce_and_the_vector_of_the_draft() {
    let sealed = key().seal(PLAIN, ASSOCIATED, &CountingFrom(0x40)).unwrap();
    assert_eq!(HEXLOWER.encode(&sealed), SEALED);
    assert_eq!(key().open(&sealed, ASSOCIATED).unwrap().expose(), PLAIN);
}

#[test]
fn what_was_changed_or_moved_does_not_open() {
    let sealed = HEXLOWER.decode(SEALED.as_bytes()).unwrap();
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert!(key().open(&changed, ASSOCIATED).is_none(), "byte {place}");
        assert!(key().open(&sealed[..place], ASSOCIATED).is_none(), "cut to {place}");
    }
    assert!(key().open(&sealed, b"another row").is_none());
    assert!(KeyBytes::generate(&CountingFrom(0x81)).unwrap().open(&sealed, ASSOCIATED).is_none());
}

// Worked out with the HKDF and the HMAC of Python's `cryptography` and `hmac`.
#[test]
fn another_implementation_derives_the_same_key() {
    let derived = key().derive(b"oss2fa agent seal 1");
    assert_eq!(
        HEXLOWER.encode(derived.expose()),
        "0bee5a15b575ddf4eead9e9dfc7398990765b9c98806984afe915ab43dba5625"
    );
    assert_ne!(key().derive(b"oss2fa agent seal 2").expose(), derived.expose());
}

#[test]
fn another_implementation_makes_the_same_keyed_hash() {
    let mac = MacKey::new(&key());
    assert_eq!(
        HEXLOWER.encode(&mac.mac(&[b"ab", b"", b"c"])),
        "0db3ef49a74276191c9c861626db232fab7d9dbd308158623ed3b467e17f9008"
    );
    for other in [[b"a".as_slice(), b"b", b"c"], [b"ab", b"c", b""], [b"", b"ab", b"c"]] {
        assert_ne!(mac.mac(&other), mac.mac(&[b"ab", b"", b"c"]), "{other:?}");
    }
}

#[test]
fn without_randomness_there_is_no_key_and_nothing_is_sealed() {
    assert_eq!(KeyBytes::generate(&Broken).err(), Some(NoRandomness));
    assert_eq!(key().seal(PLAIN, ASSOCIATED, &Broken), Err(SealError::Random(NoRandomness)));
}

#[test]
fn a_key_has_one_length_and_is_never_shown() {
    assert!(KeyBytes::from_slice(&[7; 31]).is_none());
    assert!(KeyBytes::from_slice(&[7; 33]).is_none());
    assert_eq!(KeyBytes::from_slice(&[7; 32]).unwrap().expose(), &[7; 32]);
    assert_eq!(format!("{:?} {:?}", key(), MacKey::new(&key())), "KeyBytes(***) MacKey(***)");
}
