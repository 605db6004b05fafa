//! FIDO: what a security key signs at a login (Web Authentication Level 3, section 7.2).
//!
//! The check is the whole of what is said about one assertion: the browser's words (section 5.8.1), the key's
//! words (section 6.1), and the signature over both. The public key does its arithmetic behind [`PublicKey`], so
//! that this crate holds no curves. That the challenge is spent, and that the signature counter does not go back,
//! is the store's part: the counter is the position of the evidence.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::DeviceId;
use crate::verdict::{FactorKind, Verified};

/// The origin of hosts: what their agents write down where a browser says on which page it is. It is none that a
/// browser could have, so a signature of a login at a host is none of a login at a page.
pub const HOSTS: &str = "oss2fa:host";

/// Bytes of authenticator data without attested credential and extensions (section 6.1).
const HEAD: usize = 37;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED_CREDENTIAL: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;

/// The signature is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSigned;

/// The public key of a credential.
pub trait PublicKey {
    /// Holds a signature against a message.
    ///
    /// # Errors
    /// [`NotSigned`] for everything but a signature of this key over exactly this message.
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NotSigned>;
}

/// Whether the key must have made sure who touches it, by a PIN or a finger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserVerification {
    /// It must.
    Required,
    /// A touch is enough.
    NotRequired,
}

/// What a browser's words are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ceremony {
    /// A credential is made.
    Create,
    /// A login.
    Get,
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Whom the credential was made for, such as `example.org`.
    pub rp_id: &'a str,
    /// Where the browser may be, each as `https://www.example.org`, without a path. Compared whole.
    pub origins: &'a [String],
    /// The challenge of this login and no other.
    pub challenge: &'a [u8],
    /// Whether a touch is enough.
    pub user_verification: UserVerification,
}

/// What came back.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// `clientDataJSON`.
    pub client_data: &'a [u8],
    /// `authenticatorData`.
    pub authenticator_data: &'a [u8],
    /// `signature`.
    pub signature: &'a [u8],
}

/// What is wrong with an assertion. For the log: whoever sent it is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The browser's words cannot be read.
    ClientData,
    /// They are about something else, as an enrollment where a login was asked for.
    Type,
    /// They answer another challenge.
    Challenge,
    /// The browser was somewhere else, or in a frame of somebody else's page.
    Origin,
    /// The key's words cannot be read, or are too long.
    AuthenticatorData,
    /// The key answered somebody else.
    RpId,
    /// Nobody touched the key.
    UserPresence,
    /// The key was to make sure who touches it, and did not.
    UserVerification,
    /// The key did not sign this.
    Signature,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientData => "client data that cannot be read",
            Self::Type => "client data of another ceremony",
            Self::Challenge => "another challenge",
            Self::Origin => "another origin",
            Self::AuthenticatorData => "authenticator data that cannot be read",
            Self::RpId => "another relying party",
            Self::UserPresence => "no touch",
            Self::UserVerification => "a touch without the user's verification",
            Self::Signature => "a signature of another key or over something else",
        })
    }
}

impl std::error::Error for Wrong {}

/// Section 5.8.1. Browsers may add members.
#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
}

/// Holds an assertion against a credential. The evidence has the signature counter as its position; 0 is that
/// of a key which does not count.
///
/// # Errors
/// [`Wrong`], the first thing that does not fit.
pub fn check(
    device: DeviceId,
    key: &dyn PublicKey,
    expected: &Expected<'_>,
    assertion: &Assertion<'_>,
) -> Result<Verified, Wrong> {
    browsers_words(Ceremony::Get, expected.challenge, expected.origins, assertion.client_data)?;
    let counter = authenticator_data(expected, assertion.authenticator_data)?;
    signed(key, assertion)?;
    Ok(Verified::by_check(device, FactorKind::Fido2, u64::from(counter)))
}

/// How far a key had counted at a login that a host decided by itself, while no server could be reached. Its challenge
/// was the host's, and is not known: this says that the key was used, and lets nobody in.
///
/// # Errors
/// [`Wrong`], the first thing that does not fit.
pub fn count_at_host(key: &dyn PublicKey, rp_id: &str, assertion: &Assertion<'_>) -> Result<u32, Wrong> {
    let said: ClientData = serde_json::from_slice(assertion.client_data).map_err(|_| Wrong::ClientData)?;
    if said.r#type != "webauthn.get" {
        return Err(Wrong::Type);
    }
    if said.cross_origin || said.origin != HOSTS {
        return Err(Wrong::Origin);
    }
    let user_verification = UserVerification::NotRequired;
    let expected = Expected { rp_id, origins: &[], challenge: &[], user_verification };
    let counter = authenticator_data(&expected, assertion.authenticator_data)?;
    signed(key, assertion)?;
    Ok(counter)
}

fn signed(key: &dyn PublicKey, assertion: &Assertion<'_>) -> Result<(), Wrong> {
    let hash = Sha256::digest(assertion.client_data);
    let message = [assertion.authenticator_data, hash.as_slice()].concat();
    key.verify(&message, assertion.signature).map_err(|NotSigned| Wrong::Signature)
}

/// Holds `clientDataJSON` against what was asked for: steps 10 to 14, and 7 to 11 of section 7.1. It proves
/// nothing by itself.
///
/// # Errors
/// [`Wrong`], the first thing that does not fit.
pub fn browsers_words(
    ceremony: Ceremony,
    expected_challenge: &[u8],
    origins: &[String],
    json: &[u8],
) -> Result<(), Wrong> {
    let said: ClientData = serde_json::from_slice(json).map_err(|_| Wrong::ClientData)?;
    let about = match ceremony {
        Ceremony::Create => "webauthn.create",
        Ceremony::Get => "webauthn.get",
    };
    if said.r#type != about {
        return Err(Wrong::Type);
    }
    let challenge = BASE64URL_NOPAD.decode(said.challenge.as_bytes()).map_err(|_| Wrong::Challenge)?;
    if expected_challenge.is_empty() || !bool::from(challenge.ct_eq(expected_challenge)) {
        return Err(Wrong::Challenge);
    }
    if said.cross_origin || !origins.contains(&said.origin) {
        return Err(Wrong::Origin);
    }
    Ok(())
}

/// Steps 15 to 18; gives the signature counter.
fn authenticator_data(expected: &Expected<'_>, bytes: &[u8]) -> Result<u32, Wrong> {
    let (rp_id_hash, rest) = bytes.split_first_chunk::<32>().ok_or(Wrong::AuthenticatorData)?;
    let (flags, rest) = rest.split_first().ok_or(Wrong::AuthenticatorData)?;
    let (counter, _) = rest.split_first_chunk::<4>().ok_or(Wrong::AuthenticatorData)?;
    // Extensions are not asked for; a key may add some of its own. Anything else behind the counter is no part
    // of an assertion.
    if flags & ATTESTED_CREDENTIAL != 0 || (bytes.len() > HEAD) != (flags & EXTENSIONS != 0) {
        return Err(Wrong::AuthenticatorData);
    }
    if *rp_id_hash != *Sha256::digest(expected.rp_id.as_bytes()) {
        return Err(Wrong::RpId);
    }
    if flags & USER_PRESENT == 0 {
        return Err(Wrong::UserPresence);
    }
    match expected.user_verification {
        UserVerification::Required if flags & USER_VERIFIED == 0 => Err(Wrong::UserVerification),
        UserVerification::Required | UserVerification::NotRequired => Ok(u32::from_be_bytes(*counter)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key whose signature is the message.
    struct Mirror;

    impl PublicKey for Mirror {
        fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NotSigned> {
            if message == signature { Ok(()) } else { Err(NotSigned) }
        }
    }

    const CHALLENGE: &[u8] = b"a challenge of thirty-two bytes!";

    fn said(kind: &str, challenge: &[u8], rest: &str) -> String {
        let challenge = BASE64URL_NOPAD.encode(challenge);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}",{rest}}}"#)
    }

    fn data(rp_id: &str, flags: u8, behind: &[u8]) -> Vec<u8> {
        [Sha256::digest(rp_id.as_bytes()).as_slice(), &[flags], &7_u32.to_be_bytes(), behind].concat()
    }

    fn judge(client_data: &str, authenticator_data: &[u8], need: UserVerification) -> Result<u64, Wrong> {
        let origins = ["https://www.example.org".to_owned(), "https://example.org:8443".to_owned()];
        let expected = Expected {
            rp_id: "example.org",
            origins: &origins,
            challenge: CHALLENGE,
            user_verification: need,
        };
        let hash = Sha256::digest(client_data.as_bytes());
        let signature = [authenticator_data, hash.as_slice()].concat();
        let client_data = client_data.as_bytes();
        let assertion = Assertion { client_data, authenticator_data, signature: &signature };
        check(DeviceId(5), &Mirror, &expected, &assertion).map(|verified| {
            assert_eq!((verified.device(), verified.kind()), (DeviceId(5), FactorKind::Fido2));
            verified.position()
        })
    }

    const HERE: &str = r#""origin":"https://www.example.org""#;

    #[test]
    fn the_evidence_has_the_counter() {
        let good = said("webauthn.get", CHALLENGE, HERE);
        assert_eq!(judge(&good, &data("example.org", 1, b""), UserVerification::NotRequired), Ok(7));
        assert_eq!(judge(&good, &data("example.org", 5, b""), UserVerification::Required), Ok(7));
    }

    #[test]
    fn row_40_an_origin_is_compared_whole() {
        let touched = data("example.org", 1, b"");
        for (origin, fits) in [
            ("https://www.example.org", true),
            ("https://example.org:8443", true),
            ("https://badexample.org", false),
            ("https://example.org", false),
            ("https://evil.www.example.org", false),
            ("https://www.example.org:443", false),
            ("https://www.example.org/", false),
            ("https://WWW.example.org", false),
            ("http://www.example.org", false),
            ("https://www.example.org.evil.test", false),
            ("https://www.example.org@evil.test", false),
            ("null", false),
            ("", false),
        ] {
            let words = said("webauthn.get", CHALLENGE, &format!(r#""origin":"{origin}""#));
            let wanted = if fits { Ok(7) } else { Err(Wrong::Origin) };
            assert_eq!(judge(&words, &touched, UserVerification::NotRequired), wanted, "{origin}");
        }
    }

    #[test]
    fn one_thing_wrong_is_enough() {
        use UserVerification::{NotRequired, Required};
        let good = said("webauthn.get", CHALLENGE, HERE);
        let touched = data("example.org", 1, b"");
        let framed = format!(r#"{HERE},"crossOrigin":true"#);
        let twice = format!(r#"{HERE},"origin":"https://evil.test""#);
        for (words, key, need, wrong) in [
            (said("webauthn.create", CHALLENGE, HERE), &touched, NotRequired, Wrong::Type),
            (said("webauthn.get", b"another", HERE), &touched, NotRequired, Wrong::Challenge),
            (said("webauthn.get", b"", HERE), &touched, NotRequired, Wrong::Challenge),
            (said("webauthn.get", CHALLENGE, &framed), &touched, NotRequired, Wrong::Origin),
            (said("webauthn.get", CHALLENGE, &twice), &touched, NotRequired, Wrong::ClientData),
            (format!("{good}x"), &touched, NotRequired, Wrong::ClientData),
            ("{}".to_owned(), &touched, NotRequired, Wrong::ClientData),
            (good.clone(), &data("example.com", 1, b""), NotRequired, Wrong::RpId),
            (good.clone(), &data("example.org", 0, b""), NotRequired, Wrong::UserPresence),
            (good.clone(), &data("example.org", 4, b""), Required, Wrong::UserPresence),
            (good.clone(), &touched, Required, Wrong::UserVerification),
            (good.clone(), &data("example.org", 1, b"x"), NotRequired, Wrong::AuthenticatorData),
            (good.clone(), &data("example.org", 0x81, b""), NotRequired, Wrong::AuthenticatorData),
            (good.clone(), &data("example.org", 0x41, b"x"), NotRequired, Wrong::AuthenticatorData),
            (good.clone(), &touched[..36].to_vec(), NotRequired, Wrong::AuthenticatorData),
            (good, &Vec::new(), NotRequired, Wrong::AuthenticatorData),
        ] {
            assert_eq!(judge(&words, key, need), Err(wrong), "{words} {key:?}");
        }
    }

    #[test]
    fn what_a_host_tells_of_a_key_is_signed_by_it_for_hosts() {
        let told = |words: &str, key: &[u8]| {
            let signature = [key, Sha256::digest(words.as_bytes()).as_slice()].concat();
            let assertion =
                Assertion { client_data: words.as_bytes(), authenticator_data: key, signature: &signature };
            count_at_host(&Mirror, "example.org", &assertion)
        };
        let at_host = r#""origin":"oss2fa:host""#;
        let touched = data("example.org", 1, b"");
        let good = said("webauthn.get", b"the challenge of a host", at_host);
        assert_eq!(told(&good, &touched), Ok(7));
        assert_eq!(told(&said("webauthn.get", CHALLENGE, HERE), &touched), Err(Wrong::Origin));
        assert_eq!(told(&said("webauthn.create", CHALLENGE, at_host), &touched), Err(Wrong::Type));
        assert_eq!(told(&good, &data("example.com", 1, b"")), Err(Wrong::RpId));
        assert_eq!(told(&good, &data("example.org", 0, b"")), Err(Wrong::UserPresence));
        let other = Assertion {
            client_data: good.as_bytes(),
            authenticator_data: &touched,
            signature: b"of something else",
        };
        assert_eq!(count_at_host(&Mirror, "example.org", &other), Err(Wrong::Signature));
    }

    #[test]
    fn what_the_key_did_not_sign_is_no_evidence() {
        let (words, key) = (said("webauthn.get", CHALLENGE, HERE), data("example.org", 1, b""));
        let origins = ["https://www.example.org".to_owned()];
        let expected = Expected {
            rp_id: "example.org",
            origins: &origins,
            challenge: CHALLENGE,
            user_verification: UserVerification::NotRequired,
        };
        for signature in [&b""[..], b"anything", &key] {
            let assertion = Assertion { client_data: words.as_bytes(), authenticator_data: &key, signature };
            assert_eq!(check(DeviceId(5), &Mirror, &expected, &assertion), Err(Wrong::Signature));
        }
    }
}
