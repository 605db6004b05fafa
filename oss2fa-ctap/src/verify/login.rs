//! A login with a key: one challenge, one answer, evidence or a refusal (WebAuthn section 7.2).

use oss2fa_core::factor::fido::HOSTS;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::{NoRandomness, Random};

use super::client_data::Purpose;
use super::{ClientData, Refusal, RpId, User, UserVerification, user};
use crate::auth_data::AuthenticatorData;
use crate::cose::PublicKey;
use crate::ctap2::get_assertion::Assertion;

/// Longest signature that is looked at, in bytes: both kinds are shorter.
const MAX_SIGNATURE: usize = 128;

/// A credential of the user who logs in, as the store knows it.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Which device.
    pub device: DeviceId,
    /// Its id on the key: the key handle of U2F.
    pub id: Vec<u8>,
    /// Its public key.
    pub public_key: PublicKey,
    /// The signature counter that was seen last.
    pub sign_count: u32,
    /// What the key was told about its owner, where that is known.
    pub user_id: Option<Vec<u8>>,
}

/// A login that waits for the answer of a key.
///
/// Its challenge was made for it and is good for one answer, since looking at an answer uses it up:
///
/// ```compile_fail
/// use oss2fa_ctap::{ctap2::get_assertion::Assertion, verify::{Credential, Login}};
/// fn twice(login: Login, credentials: &[Credential], assertion: &Assertion) {
///     let _ = login.verify(credentials, assertion);
///     let _ = login.verify(credentials, assertion);
/// }
/// ```
#[derive(Debug)]
pub struct Login {
    rp: RpId,
    verification: UserVerification,
    client_data: ClientData,
}

/// A key of the user answered this login's challenge: made by [`Login::verify`] and by nothing else.
///
/// It says that the answer was right, not that the login may be let in: the store raises the counter by one
/// conditional update, and its row count is the verdict.
///
/// It cannot be forged:
///
/// ```compile_fail
/// use oss2fa_core::ids::DeviceId;
/// use oss2fa_ctap::verify::{Asserted, User};
/// let forged = Asserted { device: DeviceId(1), sign_count: 7, user: User::Verified };
/// ```
///
/// nor be used twice:
///
/// ```compile_fail
/// fn twice(proof: oss2fa_ctap::verify::Asserted) {
///     drop(proof);
///     drop(proof);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Asserted {
    device: DeviceId,
    sign_count: u32,
    user: User,
}

impl Asserted {
    /// The device whose key it was.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The counter to be stored: above the stored one, or 0 where this key does not count.
    #[must_use]
    pub fn sign_count(&self) -> u32 {
        self.sign_count
    }

    /// What the key said about the user.
    #[must_use]
    pub fn user(&self) -> User {
        self.user
    }
}

impl Login {
    /// Begins a login, with a challenge of its own.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn fresh(
        rp: RpId,
        verification: UserVerification,
        random: &dyn Random,
    ) -> Result<Self, NoRandomness> {
        let client_data = ClientData::fresh(Purpose::Login, &rp, random)?;
        Ok(Self { rp, verification, client_data })
    }

    /// The same with a credential that a server keeps for web pages and hosts alike: what the key signs says that it was
    /// at a host, as where the server asks it.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn fresh_at_host(
        rp: RpId,
        verification: UserVerification,
        random: &dyn Random,
    ) -> Result<Self, NoRandomness> {
        let client_data = ClientData::fresh_from(Purpose::Login, HOSTS, random)?;
        Ok(Self { rp, verification, client_data })
    }

    /// For whom the credential must be.
    #[must_use]
    pub fn rp(&self) -> &RpId {
        &self.rp
    }

    /// What the policy wants to know about the user.
    #[must_use]
    pub fn verification(&self) -> UserVerification {
        self.verification
    }

    /// What the key is to sign.
    #[must_use]
    pub fn client_data(&self) -> &ClientData {
        &self.client_data
    }

    /// Holds the answer of a key against `credentials`, which are those of the user who logs in and no others.
    ///
    /// The signature comes before the counter: only who holds the key can make it look cloned.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(self, credentials: &[Credential], assertion: &Assertion) -> Result<Asserted, Refusal> {
        let credential = credentials
            .iter()
            .find(|known| known.id == assertion.credential_id)
            .ok_or(Refusal::UnknownCredential)?;
        if let (Some(said), Some(known)) = (&assertion.user_id, &credential.user_id)
            && said != known
        {
            return Err(Refusal::OtherUser);
        }
        if assertion.signature.len() > MAX_SIGNATURE {
            return Err(Refusal::Malformed("signature"));
        }
        let data = AuthenticatorData::parse(&assertion.auth_data)?;
        if data.credential.is_some() {
            return Err(Refusal::Malformed("authenticator data of a login"));
        }
        let user = user(&data, &self.rp, self.verification)?;
        let signed = [assertion.auth_data.as_slice(), self.client_data.hash()].concat();
        credential.public_key.verify(&signed, &assertion.signature).map_err(|_| Refusal::Signature)?;
        // Step 21: a key that counts must count up; one that does not says 0 each time.
        let (stored, seen) = (credential.sign_count, data.sign_count);
        if (stored, seen) != (0, 0) && seen <= stored {
            return Err(Refusal::Cloned { stored, seen });
        }
        Ok(Asserted { device: credential.device, sign_count: seen, user })
    }
}
