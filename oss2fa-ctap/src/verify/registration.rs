//! An enrolment of a key: the new credential is held against what was asked for (WebAuthn section 7.1).

use oss2fa_core::random::{NoRandomness, Random};

use super::attestation::{self, AttestationPolicy, Attested};
use super::client_data::Purpose;
use super::{ClientData, Refusal, RpId, User, UserVerification, user};
use crate::auth_data::{Aaguid, AuthenticatorData};
use crate::cbor::Value;
use crate::cose::{Algorithm, PublicKey};
use crate::ctap2::make_credential::{Attestation, Protection};

/// What a new credential must be.
#[derive(Debug, Clone)]
pub struct RegistrationPolicy {
    /// What is to be known about the user.
    pub verification: UserVerification,
    /// Algorithms, the preferred one first.
    pub algorithms: Vec<Algorithm>,
    /// How it is to be protected at least; `None` where the key does not know of it.
    pub protection: Option<Protection>,
    /// What is to be known about the key.
    pub attestation: AttestationPolicy,
}

/// An enrolment that waits for the answer of a key. Its challenge is good for one answer.
#[derive(Debug)]
pub struct Registration {
    rp: RpId,
    policy: RegistrationPolicy,
    client_data: ClientData,
}

/// A key made a credential as it was asked to: made by [`Registration::verify`] and by nothing else.
///
/// ```compile_fail
/// use oss2fa_ctap::verify::Enrolled;
/// fn forged(public_key: oss2fa_ctap::cose::PublicKey) -> Enrolled {
///     Enrolled { id: vec![1], public_key, ..todo!() }
/// }
/// ```
#[derive(Debug, PartialEq)]
pub struct Enrolled {
    id: Vec<u8>,
    public_key: PublicKey,
    sign_count: u32,
    aaguid: Aaguid,
    user: User,
    protection: Option<Protection>,
    attested: Attested,
}

impl Enrolled {
    /// The credential's id on the key. The store must hold it for nobody else (step 22).
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Its signature counter.
    #[must_use]
    pub fn sign_count(&self) -> u32 {
        self.sign_count
    }

    /// The model of the key: a claim, unless [`Enrolled::attested`] says that somebody trusted has signed it.
    #[must_use]
    pub fn aaguid(&self) -> Aaguid {
        self.aaguid
    }

    /// What the key said about the user.
    #[must_use]
    pub fn user(&self) -> User {
        self.user
    }

    /// How the credential is protected, where the key told.
    #[must_use]
    pub fn protection(&self) -> Option<Protection> {
        self.protection
    }

    /// Who vouches for the key.
    #[must_use]
    pub fn attested(&self) -> &Attested {
        &self.attested
    }
}

impl Registration {
    /// Begins an enrolment, with a challenge of its own.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn fresh(rp: RpId, policy: RegistrationPolicy, random: &dyn Random) -> Result<Self, NoRandomness> {
        let client_data = ClientData::fresh(Purpose::Registration, &rp, random)?;
        Ok(Self { rp, policy, client_data })
    }

    /// For whom the credential is to be.
    #[must_use]
    pub fn rp(&self) -> &RpId {
        &self.rp
    }

    /// What it must be.
    #[must_use]
    pub fn policy(&self) -> &RegistrationPolicy {
        &self.policy
    }

    /// What the key is to sign.
    #[must_use]
    pub fn client_data(&self) -> &ClientData {
        &self.client_data
    }

    /// Holds the answer of a key against what was asked for.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn verify(self, answer: &Attestation) -> Result<Enrolled, Refusal> {
        let mut data = AuthenticatorData::parse(&answer.auth_data)?;
        let user = user(&data, &self.rp, self.policy.verification)?;
        let credential = data.credential.take().ok_or(Refusal::NoCredential)?;
        if !self.policy.algorithms.contains(&credential.public_key.algorithm()) {
            return Err(Refusal::Algorithm);
        }
        let protection = data.extensions.map(protection).transpose()?.flatten();
        // Without the extension a credential is as with its first level (CTAP 2.1 section 12.1).
        if self.policy.protection.is_some_and(|asked| protection.unwrap_or(Protection::Optional) < asked) {
            return Err(Refusal::Protection);
        }
        let policy = &self.policy.attestation;
        let attested = attestation::check(policy, answer, &credential, self.client_data.hash(), &self.rp)?;
        Ok(Enrolled {
            id: credential.id,
            public_key: credential.public_key,
            sign_count: data.sign_count,
            aaguid: credential.aaguid,
            user,
            protection,
            attested,
        })
    }
}

fn protection(extensions: Value) -> Result<Option<Protection>, Refusal> {
    const WHAT: &str = "credProtect";
    match extensions.into_fields(WHAT)?.take_named(WHAT) {
        None => Ok(None),
        Some(level) => match Protection::from_level(level.into_number(WHAT)?) {
            Some(level) => Ok(Some(level)),
            None => Err(Refusal::Malformed(WHAT)),
        },
    }
}
