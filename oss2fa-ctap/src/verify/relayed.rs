//! A question that a server asks a key through this host: its challenge, in client data of this host's making.
//!
//! Whether the answer is right is the server's to say. What stands in the client data besides the challenge is made
//! here: its origin is that of hosts, whoever asks. So a key at a host never signs what would count for a web page.

use std::fmt;

use oss2fa_core::factor::fido::HOSTS;

use super::client_data::{ClientData, Purpose};
use super::{Refusal, RpId, UserVerification};
use crate::cose::{Algorithm, PublicKey};
use crate::ctap2::get_assertion::Assertion;

/// Bytes of a challenge: at least as many as cannot be guessed (WebAuthn section 13.4.3).
const CHALLENGE: std::ops::RangeInclusive<usize> = 16..=128;

/// A challenge that none is, by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadChallenge;

impl fmt::Display for BadChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a challenge is 16 to 128 bytes")
    }
}

impl std::error::Error for BadChallenge {}

/// A login that a server decides.
#[derive(Debug)]
pub struct RelayedLogin {
    rp: RpId,
    client_data: ClientData,
}

/// An enrolment that a server decides.
#[derive(Debug, Clone)]
pub struct RelayedRegistration {
    rp: RpId,
    client_data: ClientData,
    algorithms: Vec<Algorithm>,
    verification: UserVerification,
}

impl RelayedLogin {
    /// A server's challenge for credentials of `rp`.
    ///
    /// # Errors
    /// [`BadChallenge`].
    pub fn new(rp: RpId, challenge: &[u8]) -> Result<Self, BadChallenge> {
        Ok(Self { rp, client_data: client_data(Purpose::Login, challenge)? })
    }

    /// For whom the credential must be.
    #[must_use]
    pub fn rp(&self) -> &RpId {
        &self.rp
    }

    /// What the key is to sign; the server wants its JSON.
    #[must_use]
    pub fn client_data(&self) -> &ClientData {
        &self.client_data
    }

    /// Whether the key that is known has signed this answer (WebAuthn section 7.2, steps 19 and 20). The server asks that
    /// again, and all else; here it keeps the answers of devices from it that only call themselves the key.
    ///
    /// # Errors
    /// [`Refusal::Signature`].
    pub fn is_signed_by(&self, known: &PublicKey, assertion: &Assertion) -> Result<(), Refusal> {
        let signed = [assertion.auth_data.as_slice(), self.client_data.hash()].concat();
        known.verify(&signed, &assertion.signature).map_err(|_| Refusal::Signature)
    }
}

impl RelayedRegistration {
    /// A server's challenge for a new credential of `rp`, by one of these algorithms, the preferred one first.
    ///
    /// # Errors
    /// [`BadChallenge`].
    pub fn new(
        rp: RpId,
        challenge: &[u8],
        algorithms: Vec<Algorithm>,
        verification: UserVerification,
    ) -> Result<Self, BadChallenge> {
        let client_data = client_data(Purpose::Registration, challenge)?;
        Ok(Self { rp, client_data, algorithms, verification })
    }

    /// For whom the credential is to be.
    #[must_use]
    pub fn rp(&self) -> &RpId {
        &self.rp
    }

    /// What the key is to sign; the server wants its JSON.
    #[must_use]
    pub fn client_data(&self) -> &ClientData {
        &self.client_data
    }

    /// The algorithms, the preferred one first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether the key must make sure who touches it.
    #[must_use]
    pub fn verification(&self) -> UserVerification {
        self.verification
    }
}

fn client_data(purpose: Purpose, challenge: &[u8]) -> Result<ClientData, BadChallenge> {
    if !CHALLENGE.contains(&challenge.len()) {
        return Err(BadChallenge);
    }
    Ok(ClientData::new(purpose, challenge, HOSTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_that_of_hosts_whoever_asks() {
        let rp = RpId::new("example.org").unwrap();
        let login = RelayedLogin::new(rp.clone(), &[7; 16]).unwrap();
        assert_eq!(
            login.client_data().json(),
            r#"{"type":"webauthn.get","challenge":"BwcHBwcHBwcHBwcHBwcHBw","origin":"oss2fa:host","crossOrigin":false}"#
        );
        let made = RelayedRegistration::new(rp, &[7; 16], vec![Algorithm::Es256], UserVerification::NotAsked);
        assert!(made.unwrap().client_data().json().starts_with(r#"{"type":"webauthn.create""#));
    }

    #[test]
    fn what_could_be_guessed_is_no_challenge() {
        let rp = RpId::new("example.org").unwrap();
        for length in [0, 1, 15, 129] {
            assert!(RelayedLogin::new(rp.clone(), &vec![7; length]).is_err(), "{length}");
        }
    }
}
