//! The security keys of the user who logs in, and what is asked of each key that is plugged in.

mod at_server;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{Codes, Pin};
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::{self, DisplayText};
use oss2fa_ctap::ctap2::client_pin::TRIES_KEPT;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Method, Proof};
use oss2fa_ctap::transport::Patience;
use oss2fa_ctap::verify::{Credential, Login, RpId, UserVerification};
use oss2fa_ctap::yubikey::Proven;

pub(super) use self::at_server::{Relay, Signed, is_key};
use super::challenges::Challenges;
use super::live::Live;
use super::recognition::{Misses, Next};
use crate::policy::{Prompts, Rules, family};
use crate::store::challenge_response::Outstanding;
use crate::store::{self, Answer, Device};
use crate::token::Plugged;
use crate::token::bus::{Work, Works};
use crate::token::ports::Port;
use crate::token::wanted::Wanted;

/// What a key that is plugged in has to say.
pub(super) enum Found {
    /// It answered the challenge, rightly or not.
    Answered(Answer),
    /// It answered a challenge of the server, which has to judge that.
    Signed(Signed),
    /// The key at this path wants a PIN first.
    PinWanted(PathBuf, Pin),
    /// It has not recognised its user, and may once more, when they have heard this.
    Again(DisplayText),
    /// It is the user's, and cannot be used now.
    Unusable(KeyError),
    /// A YubiKey gave the answer that was expected, and one for the next time.
    Proven(Box<(Outstanding, Proven)>),
    /// A YubiKey that is known by its number gave another answer than the one that was expected of this device.
    WrongAnswer(DeviceId),
    /// A device says that it is this one, which a server keeps, and has not signed as that does.
    Forged(DeviceId),
}

/// The keys of a user that count at a login.
pub(super) struct Keyring {
    /// What else the user has.
    pub(super) codes: Codes,
    groups: Vec<Group>,
    challenges: Challenges,
    judge: Judge,
}

/// Who asks a key, and judges what it answers.
#[derive(Clone)]
enum Judge {
    /// This host, of its own credentials.
    Host,
    /// This host, of credentials that a server keeps, while that is away.
    HostForServer,
    /// The server.
    Server(Arc<Relay>),
}

/// Credentials that one question can be about.
#[derive(Clone)]
struct Group {
    rp: RpId,
    verification: UserVerification,
    credentials: Vec<Credential>,
    kinds: Vec<(DeviceId, FactorKind)>,
}

impl Keyring {
    /// `None` for a user without such keys, and for a login that does not come from this host's own seats: whoever is
    /// elsewhere has no key in it.
    pub(super) fn of(live: &Live, devices: &[Device], rules: &Rules, login: &wire::Login) -> Option<Self> {
        if !is_local(login) {
            return None;
        }
        let allowed = devices.iter().filter(|device| rules.factors.contains(&device.kind));
        Self::among(live, allowed, rules.user_verification)
    }

    /// `None` where no key is among these devices.
    pub(super) fn among<'d>(
        live: &Live,
        devices: impl Iterator<Item = &'d Device>,
        verification: UserVerification,
    ) -> Option<Self> {
        let mut keyring = Self::empty(Judge::Host);
        for device in devices.filter(|device| device.is_usable_here()) {
            match device.kind {
                FactorKind::YubikeyHmac => keyring.challenges.add(live, device, verification),
                kind if kind.is_security_key() => keyring.add(live, device, verification),
                // It makes no codes, and whoever has it is not here.
                FactorKind::SshSk => {}
                _ => keyring.codes = Codes::Beside,
            }
        }
        let has_any = !keyring.groups.is_empty() || !keyring.challenges.is_empty();
        has_any.then_some(keyring)
    }

    fn empty(judge: Judge) -> Self {
        Self { codes: Codes::None, groups: Vec::new(), challenges: Challenges::default(), judge }
    }

    fn add(&mut self, live: &Live, device: &Device, policy: UserVerification) {
        let (known, stored) = match device.known_credential(live.store.keys()) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            // One damaged row must not keep the owner of another device out.
            Err(error) => {
                tracing::error!(code = "seal", %error, "a device is skipped");
                return;
            }
        };
        self.insert(known, stored, device.kind, policy);
    }

    fn insert(
        &mut self,
        known: Credential,
        stored: store::Credential,
        kind: FactorKind,
        policy: UserVerification,
    ) {
        let verification = match policy {
            UserVerification::Required => policy,
            UserVerification::NotAsked => stored.verification,
        };
        let kind = (known.device, kind);
        let same = |group: &&mut Group| group.rp == stored.rp && group.verification == verification;
        match self.groups.iter_mut().find(same) {
            Some(group) => {
                group.credentials.push(known);
                group.kinds.push(kind);
            }
            None => self.groups.push(Group {
                rp: stored.rp,
                verification,
                credentials: vec![known],
                kinds: vec![kind],
            }),
        }
    }

    /// What is done with each key that is plugged in.
    pub(super) fn work(
        self,
        pin: Option<(PathBuf, SecretText)>,
        prompts: Prompts,
        misses: &Misses,
        random: Arc<dyn Random>,
    ) -> Works<Found> {
        let Self { groups, judge, challenges, .. } = self;
        let yubikey = challenges.work(Arc::clone(&random));
        if groups.is_empty() {
            return Works { fido: None, yubikey };
        }
        let misses = misses.clone();
        let fido: Work<Found> = Arc::new(move |key, plugged, wanted| {
            for group in &groups {
                let group = group.on(key, &mut wanted.patience())?;
                if group.credentials.is_empty() {
                    continue;
                }
                let asked = Asked {
                    group: &group,
                    judge: &judge,
                    plugged,
                    pin: pin.as_ref(),
                    prompts,
                    misses: &misses,
                    random: random.as_ref(),
                };
                match asked.ask(key, wanted) {
                    Err(KeyError::NoCredential) => {}
                    other => return other,
                }
            }
            Err(KeyError::NoCredential)
        });
        Works { fido: Some(fido), yubikey }
    }
}

struct Asked<'a> {
    group: &'a Group,
    judge: &'a Judge,
    plugged: &'a Plugged,
    pin: Option<&'a (PathBuf, SecretText)>,
    prompts: Prompts,
    misses: &'a Misses,
    random: &'a dyn Random,
}

impl Group {
    // Of a resident credential that pam_u2f has made only its public key is known. Its key tells the id.
    fn on(&self, key: &mut Key<Port>, patience: &mut Patience<'_>) -> Result<Cow<'_, Self>, KeyError> {
        if self.credentials.iter().all(|known| !known.id.is_empty()) {
            return Ok(Cow::Borrowed(self));
        }
        let mut here = self.clone();
        for known in here.credentials.iter_mut().filter(|known| known.id.is_empty()) {
            known.id = key.find_resident(&self.rp, &known.public_key, patience)?.unwrap_or_default();
        }
        here.credentials.retain(|known| !known.id.is_empty());
        Ok(Cow::Owned(here))
    }
}

impl Asked<'_> {
    fn ask(&self, key: &mut Key<Port>, wanted: &mut Wanted<'_>) -> Result<Found, KeyError> {
        let Group { rp, credentials, .. } = self.group;
        let ids: Vec<Vec<u8>> = credentials.iter().map(|credential| credential.id.clone()).collect();
        let proof = match self.proof(key, &ids, &mut wanted.patience())? {
            Ok(proof) => proof,
            Err(before) => return Ok(before),
        };
        let answered = match self.judge {
            Judge::Host => {
                let login = Login::fresh(rp.clone(), self.group.verification, self.random)?;
                self.ask_here(login, key, &ids, proof, &mut wanted.patience())
            }
            Judge::HostForServer => {
                let login = Login::fresh_at_host(rp.clone(), self.group.verification, self.random)?;
                self.ask_here(login, key, &ids, proof, &mut wanted.patience())
            }
            Judge::Server(relay) => self.ask_for(relay, key, &ids, proof, wanted),
        };
        match answered {
            Err(KeyError::WrongPin { left }) if left > TRIES_KEPT => {
                Ok(Found::PinWanted(self.plugged.path.clone(), Pin::Wrong(left)))
            }
            Err(KeyError::WrongPin { left }) => Ok(Found::Unusable(KeyError::FewPinTries { left })),
            Err(missed @ KeyError::NotRecognised { left }) => {
                match self.misses.after(&self.plugged.path, left) {
                    Next::Again(words) => Ok(Found::Again(words)),
                    Next::Enough => self.instead(key, missed, &mut wanted.patience()),
                }
            }
            Err(blocked @ KeyError::RecognitionBlocked) => self.instead(key, blocked, &mut wanted.patience()),
            Err(error) if is_for_its_owner(&error) => Ok(Found::Unusable(error)),
            other => other,
        }
    }

    fn ask_here(
        &self,
        login: Login,
        key: &mut Key<Port>,
        ids: &[Vec<u8>],
        proof: Proof<'_>,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        let assertion = key.assert(&login, ids, proof, self.random, patience)?;
        let Group { credentials, kinds, .. } = self.group;
        let claimed = credentials.iter().find(|credential| credential.id == assertion.credential_id);
        let device = claimed.map(|credential| credential.device);
        let kind = kinds.iter().find(|(id, _)| Some(*id) == device);
        let kind = kind.or(kinds.first()).map_or(FactorKind::Fido2, |(_, kind)| *kind);
        let signed = matches!(self.judge, Judge::HostForServer)
            .then(|| store::Signed::of(login.client_data(), &assertion));
        let verified = login.verify(credentials, &assertion);
        Ok(Found::Answered(Answer { device, kind, verified, signed }))
    }

    // How the user is to be verified, or what has to happen before.
    fn proof(
        &self,
        key: &mut Key<Port>,
        ids: &[Vec<u8>],
        patience: &mut Patience<'_>,
    ) -> Result<Result<Proof<'_>, Found>, KeyError> {
        let always = key.info().is_some_and(|info| info.always_verifies());
        if self.group.verification == UserVerification::NotAsked && !always {
            return Ok(Ok(Proof::Touch));
        }
        if let Some((path, pin)) = self.pin
            && *path == self.plugged.path
        {
            return Ok(Ok(Proof::Pin(pin)));
        }
        let looks = key.methods().contains(&Method::BuiltIn) && self.misses.may_look(&self.plugged.path);
        // A foreign key looks at nobody, and is not asked for its PIN.
        if !(looks || self.may_ask_pin(key)) || key.find(&self.group.rp, ids, patience)?.is_none() {
            return Err(KeyError::NoCredential);
        }
        if looks {
            return Ok(Ok(Proof::BuiltIn));
        }
        self.pin_wanted(key, Pin::TriesLeft, patience).map(Err)
    }

    // None is typed where it would not be known for one; and a PIN is for the one key that wanted it.
    fn may_ask_pin(&self, key: &Key<Port>) -> bool {
        self.pin.is_none() && self.prompts == Prompts::AsTheyAre && key.methods().contains(&Method::Pin)
    }

    fn pin_wanted(
        &self,
        key: &mut Key<Port>,
        words: fn(u8) -> Pin,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        match key.pin_tries(patience) {
            Ok(tries) => Ok(Found::PinWanted(self.plugged.path.clone(), words(tries.left))),
            Err(error) if is_for_its_owner(&error) => Ok(Found::Unusable(error)),
            Err(error) => Err(error),
        }
    }

    // A key of the user's that looks no more: its PIN is the way on, where it has one and may be asked for it.
    fn instead(
        &self,
        key: &mut Key<Port>,
        why: KeyError,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        match self.may_ask_pin(key) {
            true => self.pin_wanted(key, Pin::Instead, patience),
            false => Ok(Found::Unusable(why)),
        }
    }
}

/// What only its owner can mend, and has to hear of.
pub(super) fn is_for_its_owner(error: &KeyError) -> bool {
    matches!(
        error,
        KeyError::FewPinTries { .. }
            | KeyError::PlugInAgain
            | KeyError::PinBlocked
            | KeyError::PinLength
            | KeyError::NotRecognised { .. }
            | KeyError::RecognitionBlocked
    )
}

// sshd always names a remote host. A terminal of its own does not make somebody sit here.
pub(super) fn is_local(login: &wire::Login) -> bool {
    let elsewhere = login.rhost.as_deref().is_some_and(|rhost| !rhost.is_empty());
    !elsewhere && family(&login.service) != "sshd"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_sits_here_has_a_key_in_this_host() {
        let from = |service: &str, rhost: Option<&str>| wire::Login {
            user: "ferris".to_owned(),
            service: service.to_owned(),
            tty: Some("pts/0".to_owned()),
            rhost: rhost.map(str::to_owned),
            ruser: None,
        };
        assert!(is_local(&from("sudo", None)));
        assert!(is_local(&from("login", Some(""))));
        assert!(!is_local(&from("sshd", None)));
        assert!(!is_local(&from("openvpn", Some("192.0.2.7"))));
        assert!(!is_local(&from("su", Some("localhost"))));
    }
}
