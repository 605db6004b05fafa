//! Keys of OpenSSH that live on security keys (`sk-ecdsa`, `sk-ed25519`), touched at the user's end of ssh.
//!
//! This host never speaks to such a key: sshd verifies its signature, and the bit in it that says whether it was
//! touched, and then tells PAM which keys it has accepted. Forms of the keys: OpenSSH's PROTOCOL.u2f; of a file with
//! one: sshd(8), AUTHORIZED_KEYS FILE FORMAT.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};

use crate::ids::DeviceId;
use crate::wire::SshAuthInfo;

const ECDSA: &str = "sk-ecdsa-sha2-nistp256@openssh.com";
const ED25519: &str = "sk-ssh-ed25519@openssh.com";

/// Longest file that is looked at, in bytes: a line, and some comments around it.
pub const MAX_FILE: usize = 16 * 1024;

/// Longest key, in bytes before base64: its fixed parts, and an application.
const MAX_BLOB: usize = 512;

/// Longest application, in characters.
const MAX_APPLICATION: usize = 255;

/// What an application begins with (PROTOCOL.u2f): a browser asks a security key for nothing of it.
const APPLICATION: &str = "ssh:";

/// The public part of a key on a security key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkKey {
    kind: &'static str,
    blob: Vec<u8>,
}

/// Why a text is no such key; for whoever wants to enrol it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadSkKey {
    /// Longer than [`MAX_FILE`].
    TooLong,
    /// No line with a key.
    Empty,
    /// More than one.
    Several,
    /// The file that stays with its owner.
    Private,
    /// Something before the key.
    Options,
    /// A certificate.
    Certificate,
    /// A key of another type: whoever copies its file needs no touch.
    NotOnSecurityKey,
    /// Not what its type says.
    Malformed,
    /// For something else than ssh.
    Application,
}

impl fmt::Display for BadSkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is too long for a public key: name the file that ends in .pub",
            Self::Empty => "there is no key in it: name the file that ends in .pub",
            Self::Several => "there is more than one key in it: enrol them one by one, each from a file of its own",
            Self::Private => "that is the private part of a key: name the file that ends in .pub",
            Self::Options => {
                "something stands before the key: take the file that ends in .pub, not a line of authorized_keys"
            }
            Self::Certificate => {
                "certificates do not count, only keys: enrol the key, and let sshd take it by authorized_keys"
            }
            Self::NotOnSecurityKey => {
                "this key lives in a file and nobody has to touch anything. Make one that lives on a security key: \
                 ssh-keygen -t ecdsa-sk, or -t ed25519-sk"
            }
            Self::Malformed => "its key is damaged: copy the file once more",
            Self::Application => "its key was made for something else than ssh: its application must begin with ssh:",
        })
    }
}

impl std::error::Error for BadSkKey {}

impl SkKey {
    /// Reads a key from its two words: type and base64.
    ///
    /// # Errors
    /// [`BadSkKey`].
    pub fn parse(kind: &str, base64: &str) -> Result<Self, BadSkKey> {
        let kind = match kind {
            ECDSA => ECDSA,
            ED25519 => ED25519,
            other => return Err(of_another_type(other)),
        };
        if base64.len() > MAX_BLOB * 4 / 3 + 4 {
            return Err(BadSkKey::Malformed);
        }
        let blob = BASE64.decode(base64.as_bytes()).map_err(|_| BadSkKey::Malformed)?;
        let mut fields = Fields(&blob);
        let mut next = || fields.next().ok_or(BadSkKey::Malformed);
        if next()? != kind.as_bytes() {
            return Err(BadSkKey::Malformed);
        }
        let fits = match kind {
            // A point of SEC 1, section 2.3.3, not compressed.
            ECDSA => next()? == b"nistp256" && matches!(next()?, [4, rest @ ..] if rest.len() == 64),
            _ => next()?.len() == 32,
        };
        let application = next()?;
        if !fits || !fields.0.is_empty() {
            return Err(BadSkKey::Malformed);
        }
        let plain = application.len() <= MAX_APPLICATION && application.iter().all(u8::is_ascii_graphic);
        if !plain || !application.starts_with(APPLICATION.as_bytes()) {
            return Err(BadSkKey::Application);
        }
        Ok(Self { kind, blob })
    }

    /// Reads a file of `ssh-keygen` with one public key, and what its maker wrote behind the key.
    ///
    /// # Errors
    /// [`BadSkKey`].
    pub fn from_pub_file(text: &str) -> Result<(Self, Option<&str>), BadSkKey> {
        if text.len() > MAX_FILE {
            return Err(BadSkKey::TooLong);
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(BadSkKey::Private);
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let line = lines.next().ok_or(BadSkKey::Empty)?;
        if lines.next().is_some() {
            return Err(BadSkKey::Several);
        }
        let (kind, rest) = word(line);
        let (base64, comment) = word(rest);
        // The second word of a line with options is the type.
        if is_type(base64) || (!is_type(kind) && rest.split_whitespace().any(is_type)) {
            return Err(BadSkKey::Options);
        }
        Ok((Self::parse(kind, base64)?, Some(comment).filter(|comment| !comment.is_empty())))
    }

    /// Type and base64, as OpenSSH writes them.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{} {}", self.kind, BASE64.encode(&self.blob))
    }

    /// What OpenSSH signs and sends: all that makes this key different from others.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// As `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(&self.blob)))
    }
}

/// sshd says that this login was made with the key of this device.
///
/// Only [`presented`] makes one. It says nothing of a touch: that sshd insists on one is known elsewhere, and whether
/// the device counts is the store's row count.
///
/// ```compile_fail
/// use oss2fa_core::factor::ssh_sk::Presented;
/// let forged = Presented { device: oss2fa_core::ids::DeviceId(1), fingerprint: String::new() };
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Presented {
    device: DeviceId,
    fingerprint: String,
}

impl Presented {
    /// The device whose key it was.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The key as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The enrolled key with which sshd says that this login was made.
///
/// A line counts where it is of the method `publickey` and has a key and nothing else. Certificates do not count:
/// whom they were signed for, and what they allow, is not known here.
#[must_use]
pub fn presented(info: &SshAuthInfo, enrolled: &[(DeviceId, SkKey)]) -> Option<Presented> {
    info.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (Some("publickey"), Some(kind), Some(base64), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let shown = SkKey::parse(kind, base64).ok()?;
        let (device, key) = enrolled.iter().find(|(_, key)| *key == shown)?;
        Some(Presented { device: *device, fingerprint: key.fingerprint() })
    })
}

fn of_another_type(kind: &str) -> BadSkKey {
    match kind {
        cert if cert.contains("-cert-v01@") => BadSkKey::Certificate,
        other if is_type(other) => BadSkKey::NotOnSecurityKey,
        _ => BadSkKey::Malformed,
    }
}

fn is_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-", "rsa-sha2-", "webauthn-sk-"].iter().any(|start| word.starts_with(start))
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once([' ', '\t']).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

/// Strings of RFC 4251 section 5: a length of four bytes, the highest first, and so many bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }
}
