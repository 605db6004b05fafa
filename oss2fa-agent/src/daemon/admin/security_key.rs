//! Enrolling a security key: a conversation, since its owner has to plug it in, touch it, and perhaps type its PIN.

mod at_server;

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oss2fa_core::ids::DeviceName;
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretText;
use oss2fa_core::session::Pin;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire::DisplayText;
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::client_pin::TRIES_KEPT;
use oss2fa_ctap::ctap2::make_credential::{Attestation, Residence};
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Method, Owner, Proof, attestation_of};
use oss2fa_ctap::transport::{Go, Patience, TransportError};
use oss2fa_ctap::u2f;
use oss2fa_ctap::verify::{
    AttestationPolicy, ClientData, Registration, RegistrationPolicy, RelayedRegistration, RpId,
    UserVerification,
};

use super::refusal::{bad_request, unavailable};
use super::subject::Subject;
use super::{Answer, Desk};
use crate::admin::{KeyEnrollment, KeyKind, Refused, Request, Response};
use crate::daemon::connection::{Broken, Connection};
use crate::daemon::keyring::is_for_its_owner;
use crate::daemon::live::Live;
use crate::daemon::peer::Caller;
use crate::daemon::recognition::{Misses, Next};
use crate::policy::SelfService;
use crate::store::device::Vouched;
use crate::store::security_key::NewKey;
use crate::store::{Credential, Event, KeyAdded};
use crate::token::Plugged;
use crate::token::bus::{Reached, Sign, Without, Work};
use crate::token::ports::Port;

/// How long its owner may take to find the key, and to type its PIN.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of the number by which a key knows its owner (WebAuthn section 5.4.3 wants it to say nothing).
const OWNER_ID: usize = 32;

/// Serves one enrolment of a key.
pub(in crate::daemon) fn enroll_key(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    wanted: KeyEnrollment,
) -> Result<(), Broken> {
    let response = Desk::of(live, caller).enroll_key(connection, wanted);
    ended(connection, response)
}

/// Sends how a conversation has ended, where somebody is there to hear it.
pub(super) fn ended(connection: &mut Connection, response: Result<Response, Ended>) -> Result<(), Broken> {
    connection.send(&answer(response)?)
}

/// What is answered at the end of a conversation.
pub(super) fn answer(ended: Result<Response, Ended>) -> Result<Response, Broken> {
    match ended {
        Ok(response) => Ok(response),
        Err(Ended::Refused(refused)) => Ok(Response::Refused(refused)),
        Err(Ended::Broken(broken)) => Err(broken),
    }
}

/// How a conversation ends before what it was begun for is done.
pub(super) enum Ended {
    Refused(Refused),
    Broken(Broken),
}

impl From<Refused> for Ended {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// What a key has to say.
enum Found {
    Made(Attestation),
    PinWanted(Plugged, Pin),
    Again(DisplayText),
    Unusable(KeyError),
}

type Typed = (PathBuf, SecretText);

impl Desk<'_> {
    pub(super) fn enroll_key(
        &self,
        connection: &mut Connection,
        wanted: KeyEnrollment,
    ) -> Result<Response, Ended> {
        let subject = self.subject(&wanted.user, Some(SelfService::Enroll))?;
        if let Some(server) = self.server_of(&subject) {
            return self.enroll_key_at(server, connection, &subject, &wanted);
        }
        let vouched = self.vouch(&subject, wanted.proof.clone())?;
        let (making, attestation) = self.made(connection, |typed| {
            Ok(Making {
                order: Order::Here(self.registration(&wanted)?),
                owner: self.owner_id()?.to_vec(),
                name: subject.account.name.as_str().to_owned(),
                known: self.known(&subject)?,
                kind: wanted.kind,
                residence: residence(&wanted),
                typed,
                random: self.live.bus.random(),
                misses: Misses::default(),
                noted: Mutex::default(),
            })
        })?;
        self.keep(&subject, &wanted, making, &attestation, vouched)
    }

    /// Has a key make what `begin` says, once its owner has typed the PIN that it may want.
    fn made(
        &self,
        connection: &mut Connection,
        begin: impl Fn(Option<Typed>) -> Answer<Making>,
    ) -> Result<(Arc<Making>, Attestation), Ended> {
        let mut making = Arc::new(begin(None)?);
        say(connection, "Plug in your security key if it is not, and touch it when it blinks.")?;
        loop {
            match self.reach(connection, &making)? {
                Found::Made(attestation) => return Ok((making, attestation)),
                Found::Unusable(error) => return Err(bad_request(&error).into()),
                Found::Again(words) => say(connection, words.as_str())?,
                Found::PinWanted(key, pin) => {
                    let question = question(&key, pin);
                    connection.send(&Response::PinWanted { question: DisplayText::new(&question) })?;
                    match connection.receive(Instant::now() + PATIENCE)? {
                        Request::Pin { pin } if !pin.expose().is_empty() => {
                            making = Arc::new(begin(Some((key.path, pin)))?);
                        }
                        _ => return Err(bad_request(&"no PIN was typed: nothing was enrolled").into()),
                    }
                }
            }
        }
    }

    fn reach(&self, connection: &mut Connection, making: &Arc<Making>) -> Result<Found, Ended> {
        let of_work = Arc::clone(making);
        let work: Work<Found> =
            Arc::new(move |key, plugged, wanted| of_work.ask(key, plugged, &mut wanted.patience()));
        let (line, deadline, mut broken) = (connection.line(), Instant::now() + PATIENCE, None);
        let mut watch = |sign| {
            let noted = making.noted.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let words = match (noted, sign) {
                (Some(why), _) => Some(format!("{why}.")),
                (None, Sign::Touch) => Some("Touch it now.".to_owned()),
                (None, Sign::TouchAgain) => Some("Touch it once more.".to_owned()),
                (None, Sign::Quiet) => None,
            };
            if let Some(Err(error)) = words.map(|words| say(connection, &words)) {
                broken = Some(error);
                return Go::Cancel;
            }
            if connection.is_open() { Go::On } else { Go::Cancel }
        };
        match self.live.bus.reach(&work, deadline, Without::Wait, line.as_ref().map(AsFd::as_fd), &mut watch) {
            Reached::Answer(found) => Ok(found),
            Reached::Left => Err(broken.unwrap_or(Broken::Gone).into()),
            Reached::NoKey | Reached::TimeUp => Err(bad_request(&format!(
                "no security key was touched within {} seconds: nothing was enrolled. `oss2fa-agent keys` shows which \
                 are plugged in",
                PATIENCE.as_secs()
            ))
            .into()),
        }
    }

    fn registration(&self, wanted: &KeyEnrollment) -> Answer<Registration> {
        let keys = &self.config.keys;
        let demand = keys.attestation.demand().map_err(|error| unavailable(&error))?;
        let policy = RegistrationPolicy {
            verification: verification(wanted),
            algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
            protection: None,
            attestation: AttestationPolicy { demand, models: keys.models.clone() },
        };
        Registration::fresh(keys.rp_id.clone(), policy, self.live.bus.random().as_ref())
            .map_err(|error| unavailable(&error))
    }

    fn owner_id(&self) -> Answer<[u8; OWNER_ID]> {
        let mut id = [0; OWNER_ID];
        self.live.bus.random().fill(&mut id).map_err(|error| unavailable(&error))?;
        Ok(id)
    }

    // What is on the key already is not put there twice.
    fn known(&self, subject: &Subject) -> Answer<Vec<Vec<u8>>> {
        let keys = self.live.store.keys();
        let mut ids = Vec::new();
        for device in &subject.view.devices {
            let credential = device.credential(keys).map_err(|error| unavailable(&error))?;
            let here =
                |known: &crate::store::Credential| known.rp == self.config.keys.rp_id && !known.id.is_empty();
            ids.extend(credential.filter(here).map(|known| known.id));
        }
        Ok(ids)
    }

    fn keep(
        &self,
        subject: &Subject,
        wanted: &KeyEnrollment,
        making: Arc<Making>,
        attestation: &Attestation,
        vouched: Vouched,
    ) -> Result<Response, Ended> {
        // Its thread has answered, and holds it no longer than it takes to end.
        let making = wait_for(making).ok_or_else(|| unavailable(&"a security key's thread did not end"))?;
        let Making { order: Order::Here(registration), owner, .. } = making else {
            return Err(unavailable(&"a security key made something for a server").into());
        };
        let rp = registration.rp().clone();
        let made = registration.verify(attestation).map_err(|refusal| bad_request(&refusal))?;
        let kind = FactorKind::from(wanted.kind);
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => DeviceName::new(kind.as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let user = subject.account.name.clone();
        let new = NewKey {
            kind,
            name,
            credential: Credential::of(&made, &rp, &owner, verification(wanted)),
            sign_count: made.sign_count(),
            vouched,
            event: Event::Confirmed,
        };
        let added = self.live.store.add_key(self.context(&user), user.clone(), new);
        match added.map_err(|error| unavailable(&error))? {
            KeyAdded::Added(id) => Ok(self.shown(user.as_str(), id)?),
            refused => Err(bad_request(&refused.words()).into()),
        }
    }
}

fn question(key: &Plugged, pin: Pin) -> String {
    let (first, left) = match pin {
        Pin::TriesLeft(left) => ("", left),
        Pin::Wrong(left) => ("Wrong PIN. ", left),
        Pin::Instead(left) => ("The security key does not recognise you now. ", left),
    };
    format!("{first}PIN of {} ({left} tries left): ", key.name.as_str())
}

fn residence(wanted: &KeyEnrollment) -> Residence {
    if wanted.resident { Residence::Resident } else { Residence::ById }
}

fn verification(wanted: &KeyEnrollment) -> UserVerification {
    if wanted.pin { UserVerification::Required } else { UserVerification::NotAsked }
}

pub(super) fn say(connection: &mut Connection, text: &str) -> Result<(), Broken> {
    connection.send(&Response::Step { text: DisplayText::new(text) })
}

fn wait_for(making: Arc<Making>) -> Option<Making> {
    let mut shared = making;
    for _ in 0..PATIENCE.as_millis() / 5 {
        shared = match Arc::try_unwrap(shared) {
            Ok(alone) => return Some(alone),
            Err(shared) => shared,
        };
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// Who wants a credential made, and judges it.
enum Order {
    Here(Registration),
    Server(RelayedRegistration),
}

impl Order {
    fn rp(&self) -> &RpId {
        match self {
            Self::Here(registration) => registration.rp(),
            Self::Server(registration) => registration.rp(),
        }
    }

    fn client_data(&self) -> &ClientData {
        match self {
            Self::Here(registration) => registration.client_data(),
            Self::Server(registration) => registration.client_data(),
        }
    }

    fn verification(&self) -> UserVerification {
        match self {
            Self::Here(registration) => registration.policy().verification,
            Self::Server(registration) => registration.verification(),
        }
    }
}

/// What each key that is plugged in is asked to make.
struct Making {
    order: Order,
    owner: Vec<u8>,
    name: String,
    known: Vec<Vec<u8>>,
    kind: KeyKind,
    residence: Residence,
    typed: Option<Typed>,
    random: Arc<dyn Random>,
    misses: Misses,
    /// Why keys that are plugged in will not do, for whoever enrols.
    noted: Mutex<Vec<KeyError>>,
}

impl Making {
    fn ask(
        &self,
        key: &mut Key<Port>,
        plugged: &Plugged,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        let found = match self.make(key, plugged, patience) {
            Err(missed @ KeyError::NotRecognised { left }) => match self.misses.after(&plugged.path, left) {
                Next::Again(words) => Ok(Found::Again(words)),
                // It was touched just now.
                Next::Enough if self.may_ask_pin(key) => {
                    Self::pin_wanted(key, plugged, Pin::Instead, patience)
                }
                Next::Enough => Err(missed),
            },
            Err(KeyError::RecognitionBlocked) if self.may_ask_pin(key) => key
                .wait_for_touch(patience)
                .and_then(|()| Self::pin_wanted(key, plugged, Pin::Instead, patience)),
            found => found,
        };
        match found {
            Err(KeyError::WrongPin { left }) if left > TRIES_KEPT => {
                Ok(Found::PinWanted(plugged.clone(), Pin::Wrong(left)))
            }
            Err(KeyError::WrongPin { left }) => Ok(Found::Unusable(KeyError::FewPinTries { left })),
            Err(error) if is_for_its_owner(&error) => Ok(Found::Unusable(error)),
            Err(
                error @ (KeyError::Cancelled
                | KeyError::TimedOut
                | KeyError::NoCredential
                | KeyError::Transport(TransportError::Gone)),
            ) => Err(error),
            // Another one that is plugged in may do.
            Err(error) => {
                self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                Err(KeyError::NoCredential)
            }
            found => found,
        }
    }

    fn make(
        &self,
        key: &mut Key<Port>,
        plugged: &Plugged,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        if self.kind == KeyKind::U2f {
            return self.make_with_u2f(key, patience);
        }
        if key.info().is_none() {
            return Err(KeyError::Unsupported("FIDO2, only U2F (oss2fa-agent enroll u2f)"));
        }
        let verify = self.order.verification() == UserVerification::Required
            || key.must_verify_to_register(self.residence);
        let looks = key.methods().contains(&Method::BuiltIn) && self.misses.may_look(&plugged.path);
        let proof = match &self.typed {
            _ if !verify => Proof::Touch,
            Some((path, pin)) if *path == plugged.path => Proof::Pin(pin),
            _ if looks => Proof::BuiltIn,
            // A PIN is for the one key that wanted it.
            Some(_) => return Err(KeyError::NoCredential),
            None => {
                // Nobody uses up the tries of a key that is not in their hand.
                key.wait_for_touch(patience)?;
                return Self::pin_wanted(key, plugged, Pin::TriesLeft, patience);
            }
        };
        let owner = Owner { id: &self.owner, name: &self.name };
        let random = self.random.as_ref();
        let (known, residence) = (&self.known, self.residence);
        match &self.order {
            Order::Here(order) => key.register(order, owner, known, residence, proof, random, patience),
            Order::Server(order) => {
                key.register_for_server(order, owner, known, residence, proof, random, patience)
            }
        }
        .map(Found::Made)
    }

    fn may_ask_pin(&self, key: &Key<Port>) -> bool {
        self.typed.is_none() && key.methods().contains(&Method::Pin)
    }

    fn pin_wanted(
        key: &mut Key<Port>,
        plugged: &Plugged,
        words: fn(u8) -> Pin,
        patience: &mut Patience<'_>,
    ) -> Result<Found, KeyError> {
        let left = key.pin_tries(patience)?.left;
        Ok(Found::PinWanted(plugged.clone(), words(left)))
    }

    fn make_with_u2f(&self, key: &mut Key<Port>, patience: &mut Patience<'_>) -> Result<Found, KeyError> {
        if !key.capabilities().speaks_u2f() {
            return Err(KeyError::Unsupported("U2F, only FIDO2 (oss2fa-agent enroll fido2)"));
        }
        let rp = self.order.rp();
        if key.find(rp, &self.known, patience)?.is_some() {
            return Err(KeyError::AlreadyEnrolled);
        }
        let challenge = self.order.client_data().hash();
        let made = u2f::register(key.channel(), challenge, &rp.hash(), patience)?;
        Ok(Found::Made(attestation_of(made, rp)))
    }
}
