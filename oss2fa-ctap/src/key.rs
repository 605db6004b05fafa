//! One key that was opened: what a login and an enrolment do with it, whichever protocol it speaks.

use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;

use crate::cbor::Value;
use crate::cose::{Algorithm, PublicKey};
use crate::ctap2::client_pin::{self, Permission, PinRetries, Token};
use crate::ctap2::get_assertion::{Assertion, GetAssertion, Presence, all_assertions, get_assertion};
use crate::ctap2::info::{Ability, Info, info};
use crate::ctap2::make_credential::{
    Attestation, MakeCredential, Protection, Residence, Verification, make_credential,
};
use crate::ctap2::selection;
use crate::ctap2::status::Status;
use crate::error::KeyError;
use crate::hid::{Capabilities, Channel};
use crate::transport::{HidTransport, Patience};
use crate::u2f;
use crate::verify::{Login, Registration, RelayedLogin, RelayedRegistration, RpId};

/// How a key can verify its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By itself, as by a finger.
    BuiltIn,
    /// By a PIN that was set.
    Pin,
}

/// How its user is verified, as the caller has chosen among [`Key::methods`].
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// Not at all: a touch is enough.
    Touch,
    /// By the key itself.
    BuiltIn,
    /// By this PIN.
    Pin(&'a SecretText),
}

/// Who a new credential is for.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// 1 to 64 bytes that say nothing about the person (WebAuthn section 5.4.3).
    pub id: &'a [u8],
    /// A name that the key may show.
    pub name: &'a str,
}

/// What a new credential is to be.
struct Wanted<'a> {
    rp: &'a RpId,
    challenge: &'a [u8; 32],
    algorithms: &'a [Algorithm],
    protection: Option<Protection>,
}

/// A key with an open channel.
#[derive(Debug)]
pub struct Key<T> {
    channel: Channel<T>,
    info: Option<Info>,
}

enum Verified {
    Not,
    ByToken(Token),
    InStep,
}

impl Verified {
    fn for_request(&self) -> Verification<'_> {
        match self {
            Self::Not => Verification::None,
            Self::ByToken(token) => Verification::Token(token),
            Self::InStep => Verification::BuiltIn,
        }
    }

    // A key that was to verify in the same step, and is blocked, says that it wants a token (CTAP 2.1 sections 6.1.2
    // and 6.2.2).
    fn explain(&self, error: KeyError) -> KeyError {
        match (self, error) {
            (Self::InStep, KeyError::Status(Status::TOKEN_REQUIRED)) => KeyError::RecognitionBlocked,
            (Self::Not | Self::ByToken(_) | Self::InStep, error) => error,
        }
    }
}

impl<T: HidTransport> Key<T> {
    /// Opens a channel, and asks the key what it is.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(transport: T, random: &dyn Random, patience: &mut Patience<'_>) -> Result<Self, KeyError> {
        let mut channel = Channel::open(transport, random, patience)?;
        let info = if channel.capabilities().speaks_ctap2() {
            Some(info(&mut channel, patience)?)
        } else if channel.capabilities().speaks_u2f() {
            u2f::version(&mut channel, patience)?;
            None
        } else {
            return Err(KeyError::Unsupported("U2F or CTAP2"));
        };
        Ok(Self { channel, info })
    }

    /// What it said of itself; `None` from a key of U2F.
    #[must_use]
    pub fn info(&self) -> Option<&Info> {
        self.info.as_ref()
    }

    /// What it said when its channel was opened.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.channel.capabilities()
    }

    /// The channel, for commands of one's own.
    pub fn channel(&mut self) -> &mut Channel<T> {
        &mut self.channel
    }

    /// The transport.
    #[must_use]
    pub fn into_transport(self) -> T {
        self.channel.into_transport()
    }

    /// How it can verify its user now, the most convenient way first; empty for keys of U2F.
    #[must_use]
    pub fn methods(&self) -> Vec<Method> {
        let Some(info) = &self.info else { return Vec::new() };
        let ready = [(info.built_in_verification(), Method::BuiltIn), (info.pin(), Method::Pin)];
        ready
            .into_iter()
            .filter(|(ability, _)| *ability == Ability::Ready)
            .map(|(_, method)| method)
            .collect()
    }

    /// Whether a touch is too little for it to make a credential: it has a way to verify its user that
    /// was set up, and does not say that it waives it (CTAP 2.1 section 6.1.2 steps 5 to 9).
    #[must_use]
    pub fn must_verify_to_register(&self, residence: Residence) -> bool {
        self.info.as_ref().is_some_and(|info| {
            let waived = info.makes_credentials_unverified() && residence == Residence::ById;
            info.always_verifies() || (!waived && !self.methods().is_empty())
        })
    }

    /// How often its PIN may still be wrong: to be shown before anybody types it.
    ///
    /// # Errors
    /// [`KeyError::FewPinTries`] at [`client_pin::TRIES_KEPT`] or fewer, or another [`KeyError`].
    pub fn pin_tries(&mut self, patience: &mut Patience<'_>) -> Result<PinRetries, KeyError> {
        match &self.info {
            Some(info) if info.pin() == Ability::Ready => {
                client_pin::pin_may_be_tried(&mut self.channel, patience)
            }
            Some(_) | None => Err(KeyError::NoPin),
        }
    }

    /// Waits until it is touched: which of several keys is the one in hand. Which command does that depends on
    /// what it speaks (CTAP 2.1 sections 6.9 and 6.1.2; a registration for nobody with U2F).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn wait_for_touch(&mut self, patience: &mut Patience<'_>) -> Result<(), KeyError> {
        match &self.info {
            Some(info) if info.speaks("FIDO_2_1") => selection::select(&mut self.channel, patience),
            Some(_) => selection::select_by_dummy(&mut self.channel, patience),
            None => u2f::register(&mut self.channel, &[0; 32], &[0; 32], patience).map(drop),
        }
    }

    /// Which of `ids` are on this key, without a touch: the first of them in the order given, `None` if none.
    /// Those that are protected by [`Protection::Required`](crate::ctap2::make_credential::Protection) stay hidden.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn find(
        &mut self,
        rp: &RpId,
        ids: &[Vec<u8>],
        patience: &mut Patience<'_>,
    ) -> Result<Option<Vec<u8>>, KeyError> {
        self.find_with(rp, ids, &Verified::Not, patience)
    }

    fn find_with(
        &mut self,
        rp: &RpId,
        ids: &[Vec<u8>],
        verified: &Verified,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Vec<u8>>, KeyError> {
        let Some(info) = &self.info else {
            for id in ids {
                let known = u2f::check_only(&mut self.channel, &rp.hash(), id, patience)?;
                if known == u2f::Handle::Known {
                    return Ok(Some(id.clone()));
                }
            }
            return Ok(None);
        };
        let longest = info.max_credential_id.unwrap_or(usize::MAX);
        let fitting: Vec<Vec<u8>> = ids.iter().filter(|id| id.len() <= longest).cloned().collect();
        // A token is bound to the hash that it proves; what this asks is never verified, so any will do.
        let client_data_hash = [0; 32];
        let verification = match verified {
            Verified::ByToken(token) => Verification::Token(token),
            Verified::Not | Verified::InStep => Verification::None,
        };
        for allow in fitting.chunks(info.max_credentials) {
            let asked = GetAssertion {
                rp_id: rp.as_str(),
                client_data_hash: &client_data_hash,
                allow,
                presence: Presence::Silent,
                verification,
            };
            match get_assertion(&mut self.channel, &asked, patience) {
                Ok(first) if allow.contains(&first.assertion.credential_id) => {
                    return Ok(Some(first.assertion.credential_id));
                }
                Ok(_) | Err(KeyError::NoCredential) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Answers the challenge of `login` with one of the credentials `ids`, waiting for the touch.
    ///
    /// # Errors
    /// [`KeyError::NoCredential`] at once where none of them is on this key, or another [`KeyError`].
    pub fn assert(
        &mut self,
        login: &Login,
        ids: &[Vec<u8>],
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Assertion, KeyError> {
        let asked = (login.rp(), login.client_data().hash());
        self.sign(asked, ids, proof, random, patience)
    }

    /// The same for the challenge of a server, which judges the answer.
    ///
    /// # Errors
    /// As [`Key::assert`].
    pub fn assert_for_server(
        &mut self,
        login: &RelayedLogin,
        ids: &[Vec<u8>],
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Assertion, KeyError> {
        let asked = (login.rp(), login.client_data().hash());
        self.sign(asked, ids, proof, random, patience)
    }

    fn sign(
        &mut self,
        (rp, challenge): (&RpId, &[u8; 32]),
        ids: &[Vec<u8>],
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Assertion, KeyError> {
        let verified = self.prove(proof, Permission::GetAssertion, rp, random, patience)?;
        let found = self.find_with(rp, ids, &verified, patience)?;
        // Verified in one step, a credential may have been hidden from the question.
        let allow = match (found, &verified) {
            (Some(id), _) => vec![id],
            (None, Verified::InStep) => ids.to_vec(),
            (None, Verified::Not | Verified::ByToken(_)) => return Err(KeyError::NoCredential),
        };
        if self.info.is_none() {
            let id = allow.into_iter().next().ok_or(KeyError::NoCredential)?;
            let application = rp.hash();
            let signed = u2f::authenticate(&mut self.channel, challenge, &application, &id, patience)?;
            let auth_data = signed.auth_data(&application);
            return Ok(Assertion {
                credential_id: id,
                auth_data,
                signature: signed.signature,
                user_id: None,
            });
        }
        let asked = GetAssertion {
            rp_id: rp.as_str(),
            client_data_hash: challenge,
            allow: &allow,
            presence: Presence::Touch,
            verification: verified.for_request(),
        };
        let answer = get_assertion(&mut self.channel, &asked, patience);
        answer.map(|first| first.assertion).map_err(|error| verified.explain(error))
    }

    /// Answers the challenge of `login` with each resident credential for its rp id; which of them is the
    /// user's, the caller knows.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn assert_resident(
        &mut self,
        login: &Login,
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Vec<Assertion>, KeyError> {
        if self.info.is_none() {
            return Err(KeyError::Unsupported("resident credentials"));
        }
        let verified = self.prove(proof, Permission::GetAssertion, login.rp(), random, patience)?;
        let asked = GetAssertion {
            rp_id: login.rp().as_str(),
            client_data_hash: login.client_data().hash(),
            allow: &[],
            presence: Presence::Touch,
            verification: verified.for_request(),
        };
        all_assertions(&mut self.channel, &asked, patience).map_err(|error| verified.explain(error))
    }

    /// The id of a credential that stays on this key, and is known by its public key alone. Nothing is touched; one that the
    /// key hides until its user is verified is not found.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn find_resident(
        &mut self,
        rp: &RpId,
        public_key: &PublicKey,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Vec<u8>>, KeyError> {
        if !self.info.as_ref().is_some_and(Info::keeps_resident_credentials) {
            return Ok(None);
        }
        // What is signed here, untouched, is a login nowhere.
        let client_data_hash = [0; 32];
        let asked = GetAssertion {
            rp_id: rp.as_str(),
            client_data_hash: &client_data_hash,
            allow: &[],
            presence: Presence::Silent,
            verification: Verification::None,
        };
        let all = match all_assertions(&mut self.channel, &asked, patience) {
            // Some keys tell nobody what is on them who has not shown a PIN. That keeps out no other credential of theirs.
            Err(KeyError::NoCredential | KeyError::Status(_)) => return Ok(None),
            all => all?,
        };
        let is_its = |answer: &Assertion| {
            let signed = [answer.auth_data.as_slice(), &client_data_hash].concat();
            public_key.verify(&signed, &answer.signature).is_ok()
        };
        Ok(all.into_iter().find(is_its).map(|answer| answer.credential_id))
    }

    /// Makes a credential as `registration` asks, waiting for the touch, unless one of `exclude` is on the key.
    ///
    /// # Errors
    /// [`KeyError::AlreadyEnrolled`], or another [`KeyError`].
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and there is one caller")]
    pub fn register(
        &mut self,
        registration: &Registration,
        owner: Owner<'_>,
        exclude: &[Vec<u8>],
        residence: Residence,
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Attestation, KeyError> {
        // Whoever finds a key is not told what is on it, where it can keep that to itself.
        let hidden = (residence == Residence::Resident).then_some(Protection::OptionalWithList);
        let wanted = Wanted {
            rp: registration.rp(),
            challenge: registration.client_data().hash(),
            algorithms: &registration.policy().algorithms,
            protection: registration.policy().protection.max(hidden),
        };
        self.make(wanted, owner, exclude, residence, proof, random, patience)
    }

    /// The same for the challenge of a server, which judges what was made.
    ///
    /// # Errors
    /// As [`Key::register`].
    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and there is one caller")]
    pub fn register_for_server(
        &mut self,
        registration: &RelayedRegistration,
        owner: Owner<'_>,
        exclude: &[Vec<u8>],
        residence: Residence,
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Attestation, KeyError> {
        let wanted = Wanted {
            rp: registration.rp(),
            challenge: registration.client_data().hash(),
            algorithms: registration.algorithms(),
            protection: None,
        };
        self.make(wanted, owner, exclude, residence, proof, random, patience)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own, and both callers are above")]
    fn make(
        &mut self,
        wanted: Wanted<'_>,
        owner: Owner<'_>,
        exclude: &[Vec<u8>],
        residence: Residence,
        proof: Proof<'_>,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Attestation, KeyError> {
        let Wanted { rp, challenge, algorithms, protection } = wanted;
        let verified = self.prove(proof, Permission::MakeCredential, rp, random, patience)?;
        // A list that is too long for the key is asked for in parts; a token for making cannot ask.
        if self.find(rp, exclude, patience)?.is_some() {
            return Err(KeyError::AlreadyEnrolled);
        }
        let Some(info) = &self.info else {
            if residence == Residence::Resident {
                return Err(KeyError::Unsupported("resident credentials"));
            }
            let made = u2f::register(&mut self.channel, challenge, &rp.hash(), patience)?;
            return Ok(attestation_of(made, rp));
        };
        if residence == Residence::Resident && !info.keeps_resident_credentials() {
            return Err(KeyError::Unsupported("resident credentials"));
        }
        let longest = info.max_credential_id.unwrap_or(usize::MAX);
        let fitting = exclude.iter().filter(|id| id.len() <= longest).take(info.max_credentials);
        let exclude: Vec<Vec<u8>> = fitting.cloned().collect();
        let knows_protection = info.extensions.iter().any(|name| name == "credProtect");
        let what = MakeCredential {
            client_data_hash: challenge,
            rp_id: rp.as_str(),
            user_id: owner.id,
            user_name: owner.name,
            algorithms,
            exclude: &exclude,
            residence,
            protection: protection.filter(|_| knows_protection),
            verification: verified.for_request(),
        };
        make_credential(&mut self.channel, &what, patience).map_err(|error| verified.explain(error))
    }

    fn prove(
        &mut self,
        proof: Proof<'_>,
        permission: Permission,
        rp: &RpId,
        random: &dyn Random,
        patience: &mut Patience<'_>,
    ) -> Result<Verified, KeyError> {
        let (channel, rp) = (&mut self.channel, rp.as_str());
        match (proof, &self.info) {
            (Proof::Touch, _) => Ok(Verified::Not),
            (Proof::BuiltIn | Proof::Pin(_), None) => Err(KeyError::Unsupported("verification of its user")),
            (Proof::Pin(pin), Some(info)) => {
                client_pin::token_by_pin(channel, info, pin, permission, rp, random, patience)
                    .map(Verified::ByToken)
            }
            (Proof::BuiltIn, Some(info)) if info.gives_tokens_with_permissions() => {
                client_pin::token_by_verification(channel, info, permission, rp, random, patience)
                    .map(Verified::ByToken)
            }
            (Proof::BuiltIn, Some(info)) if info.built_in_verification() == Ability::Ready => {
                Ok(Verified::InStep)
            }
            (Proof::BuiltIn, Some(_)) => Err(KeyError::Unsupported("verification of its user by itself")),
        }
    }
}

/// A registration of U2F in the shape of CTAP2's (CTAP 2.1 section 7.1).
#[must_use]
pub fn attestation_of(made: u2f::Registered, rp: &RpId) -> Attestation {
    // A key handle's length is one byte.
    let length = u16::try_from(made.key_handle.len()).unwrap_or(u16::MAX);
    let auth_data = [
        rp.hash().as_slice(),
        // User presence, and a credential follows; the counter is 0.
        &[0x41, 0, 0, 0, 0],
        &[0; 16],
        &length.to_be_bytes(),
        &made.key_handle,
        &made.public_key.to_cose(),
    ]
    .concat();
    let statement = Value::Map(vec![
        (Value::text("sig"), Value::Bytes(made.signature)),
        (Value::text("x5c"), Value::Array(vec![Value::Bytes(made.certificate)])),
    ]);
    Attestation { format: "fido-u2f".to_owned(), auth_data, statement }
}
