//! What a key signs besides its own data: a fresh challenge, and what it is for (WebAuthn section 5.8.1).

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::random::{NoRandomness, Random};
use sha2::{Digest, Sha256};

/// Longest rp id, in bytes: that of a domain name, and of U2F's application ids that were imported.
pub const MAX_RP_ID: usize = 253;

/// Whom credentials are for (WebAuthn section 5.1.2): a name of our own, a domain, or the origin under which
/// another program has enrolled them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RpId(String);

/// A name that no rp id can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRpId;

impl fmt::Display for BadRpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an rp id is 1 to 253 visible ASCII characters without quotation marks and backslashes")
    }
}

impl std::error::Error for BadRpId {}

impl RpId {
    /// Takes 1 to 253 visible ASCII characters, without quotation marks and backslashes.
    ///
    /// # Errors
    /// [`BadRpId`] for any other.
    pub fn new(id: &str) -> Result<Self, BadRpId> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if id.is_empty() || id.len() > MAX_RP_ID || !id.bytes().all(fits) {
            return Err(BadRpId);
        }
        Ok(Self(id.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of it, as keys sign it; the application parameter of U2F.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// What a signature is for: one of a login is none of an enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Login,
    Registration,
}

/// Client data with a challenge that was made for it, and for nothing else: of 32 random bytes, or a server's.
#[derive(Clone)]
pub struct ClientData {
    json: String,
    hash: [u8; 32],
}

impl ClientData {
    pub(super) fn fresh(purpose: Purpose, rp: &RpId, random: &dyn Random) -> Result<Self, NoRandomness> {
        Self::fresh_from(purpose, rp.as_str(), random)
    }

    pub(super) fn fresh_from(
        purpose: Purpose,
        origin: &str,
        random: &dyn Random,
    ) -> Result<Self, NoRandomness> {
        let mut challenge = [0; 32];
        random.fill(&mut challenge)?;
        // No 32 bytes of a source that works are all the same.
        if challenge.iter().all(|byte| challenge.first() == Some(byte)) {
            return Err(NoRandomness);
        }
        Ok(Self::new(purpose, &challenge, origin))
    }

    pub(super) fn new(purpose: Purpose, challenge: &[u8], origin: &str) -> Self {
        let purpose = match purpose {
            Purpose::Login => "webauthn.get",
            Purpose::Registration => "webauthn.create",
        };
        let challenge = BASE64URL_NOPAD.encode(challenge);
        let json = format!(
            r#"{{"type":"{purpose}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        );
        let hash = Sha256::digest(json.as_bytes()).into();
        Self { json, hash }
    }

    /// The JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of it: what goes to the key.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl fmt::Debug for ClientData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientData")
    }
}
