//! The attestation object of a new credential (WebAuthn section 6.5), read once more beside `webauthn-rs`: it keeps
//! neither the model of a key that nobody vouches for nor the public key as it was given, and takes bytes behind it.

use serde::Deserialize;
use serde_cbor_2::{Deserializer, Value};

const USER_VERIFIED: u8 = 0x04;
const BACKUP_ELIGIBLE: u8 = 0x08;
const BACKUP_STATE: u8 = 0x10;
const ATTESTED_CREDENTIAL: u8 = 0x40;
const EXTENSIONS: u8 = 0x80;

/// Bytes of the longest credential id (section 7.1, step 24).
const LONGEST_ID: usize = 1023;

/// What a key says of a new credential.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attested {
    pub(super) format: String,
    pub(super) counter: u32,
    flags: u8,
    pub(super) aaguid: [u8; 16],
    pub(super) id: Vec<u8>,
    /// A `COSE_Key`.
    pub(super) public_key: Vec<u8>,
}

#[derive(Deserialize)]
struct Object<'a> {
    fmt: &'a str,
    #[serde(rename = "authData")]
    auth_data: &'a [u8],
}

impl Attested {
    /// `None` for what is cut short, has something behind it, or is no credential.
    pub(super) fn read(object: &[u8]) -> Option<Self> {
        let object: Object<'_> = serde_cbor_2::from_slice(object).ok()?;
        let (_, rest) = object.auth_data.split_first_chunk::<32>()?;
        let (flags, rest) = rest.split_first()?;
        let (counter, rest) = rest.split_first_chunk::<4>()?;
        if flags & ATTESTED_CREDENTIAL == 0 {
            return None;
        }
        let (aaguid, rest) = rest.split_first_chunk::<16>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (id, rest) = rest.split_at_checked(length).filter(|_| (1..=LONGEST_ID).contains(&length))?;
        let (public_key, rest) = rest.split_at_checked(item(rest)?)?;
        let behind = if flags & EXTENSIONS == 0 { 0 } else { item(rest)? };
        (behind == rest.len()).then(|| Self {
            format: object.fmt.to_owned(),
            counter: u32::from_be_bytes(*counter),
            flags: *flags,
            aaguid: *aaguid,
            id: id.to_vec(),
            public_key: public_key.to_vec(),
        })
    }

    pub(super) fn user_verified(&self) -> bool {
        self.flags & USER_VERIFIED != 0
    }

    pub(super) fn backup_eligible(&self) -> bool {
        self.flags & BACKUP_ELIGIBLE != 0
    }

    pub(super) fn backup_state(&self) -> bool {
        self.flags & BACKUP_STATE != 0
    }
}

/// Bytes of the CBOR item that stands first.
fn item(bytes: &[u8]) -> Option<usize> {
    let mut reader = Deserializer::from_slice(bytes);
    let _value: Value = Deserialize::deserialize(&mut reader).ok()?;
    Some(reader.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::Attested;

    /// `{"fmt": "none", "attStmt": {}, "authData": ...}` with a key that is a map of one entry.
    fn object(flags: u8, id: &[u8], behind: &[u8]) -> Vec<u8> {
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        let head = [&[7; 32][..], &[flags], &9_u32.to_be_bytes(), &[0xaa; 16], &length, id].concat();
        let data = [&head[..], &[0xa1, 0x01, 0x02], behind].concat();
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59", &length[..], &data].concat()
    }

    #[test]
    fn a_credential_is_read_to_its_last_byte() {
        let read = Attested::read(&object(0x45, b"id", b"")).unwrap();
        assert_eq!((read.format.as_str(), read.counter, read.aaguid), ("none", 9, [0xaa; 16]));
        assert_eq!((read.id.as_slice(), read.public_key.as_slice()), (&b"id"[..], &[0xa1, 1, 2][..]));
        assert!(read.user_verified() && !read.backup_eligible() && !read.backup_state());
        assert!(Attested::read(&object(0xc5, b"id", &[0xa0])).is_some(), "extensions");
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_credential() {
        let whole = object(0x45, b"id", b"");
        for length in 0..whole.len() {
            assert_eq!(Attested::read(&whole[..length]), None, "{length} bytes");
        }
        for (wrong, why) in [
            (object(0x45, b"id", b"x"), "something behind the key"),
            (object(0xc5, b"id", b""), "extensions that are not there"),
            (object(0xc5, b"id", &[0xa0, 0xa0]), "something behind the extensions"),
            (object(0x05, b"id", b""), "no credential"),
            (object(0x45, b"", b""), "no id"),
            (object(0x45, &[1; 1024], b""), "an id that is too long"),
            ([&whole[..], b"\0"].concat(), "something behind the object"),
        ] {
            assert_eq!(Attested::read(&wrong), None, "{why}");
        }
    }
}
