//! Security keys at the server: which ones a user has, and the questions that are put to them.
//!
//! The server makes the challenge and judges the answer; this host finds the key and asks it. In the forms of Web
//! Authentication (Level 3, sections 5.5 and 5.1), as a browser has them.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::factor::fido::HOSTS;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::cose::{Algorithm, PublicKey};
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::ctap2::make_credential::{Attestation, Conveyance};
use oss2fa_ctap::verify::{ClientData, RelayedLogin, RelayedRegistration, RpId, UserVerification};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::enrollment::not_done;
use super::judge::{Judged, Proven, refusal};
use super::{Binding, Fault, Question, Server};
use crate::store::Credential;

/// What is to be done where the server does not let hosts use keys.
pub(super) const NOT_AT_HOSTS: &str = "the server's policy offers no security keys to hosts: its administrator sets \
     fido.rp_id, and names \"oss2fa:host\" in fido.origins";

/// What is left of a challenge's time for its answer to get to the server.
const JUDGED_WITHIN: Duration = Duration::from_secs(2);

/// Most keys of one user that are looked at.
const MOST: usize = 64;

/// A key of a user, as the server knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerKey {
    /// The number of its device there.
    pub device: i64,
    /// FIDO2 or U2F.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: String,
    /// Its public half.
    pub credential: Credential,
    /// The last signature counter that the server saw.
    pub sign_count: u32,
}

/// A challenge that waits for a key.
#[derive(Debug)]
pub struct KeyChallenge {
    /// Its number.
    pub pk: i64,
    /// What the key is to sign.
    pub login: RelayedLogin,
    /// Until when a key may be asked: while there is time for the server to judge its answer.
    pub until: Instant,
}

impl KeyChallenge {
    /// Whether no key is to be asked for it any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// What came of asking for one.
#[derive(Debug)]
pub enum KeyOpening {
    /// It waits.
    Open(KeyChallenge),
    /// Not to be had for this device or this user, or too many tries.
    Refused,
}

/// An enrolment that waits for a key.
#[derive(Debug)]
pub struct KeyWaiting {
    /// Its number.
    pub pk: i64,
    /// What the key is to make.
    pub registration: RelayedRegistration,
    /// How the key knows its owner.
    pub owner: Vec<u8>,
    /// Credentials that are enrolled already.
    pub known: Vec<Vec<u8>>,
    /// What the server wants to know of the key's maker.
    pub conveyance: Conveyance,
}

/// What came of beginning.
#[derive(Debug)]
pub enum KeyBegun {
    /// It waits.
    Waiting(Box<KeyWaiting>),
    /// The server does not do that for this user: why, for people.
    Refused(String),
}

/// What came of showing what a key has made.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyMade {
    /// It counts from now on.
    Proven(Proven),
    /// The server's policy does not take this key: why, for people.
    Unfit(String),
    /// Wrong, or too late.
    Refused,
}

/// The keys in a list of the server, as far as this host could use them.
#[derive(Debug, Deserialize)]
#[serde(from = "Vec<Listed>")]
pub struct KeyList(pub Vec<ServerKey>);

impl From<Vec<Listed>> for KeyList {
    fn from(listed: Vec<Listed>) -> Self {
        Self(listed.into_iter().take(MOST).filter_map(key).collect())
    }
}

#[derive(Deserialize)]
struct Listed {
    device: i64,
    kind: String,
    name: String,
    rp_id: String,
    credential_id: String,
    public_key: String,
    sign_count: u32,
    asks: Asks,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asks {
    Touch,
    User,
}

/// A challenge as the server shows it.
#[derive(Deserialize)]
pub struct Opened {
    pk: i64,
    created_at: String,
    expires_at: String,
    public_details: Option<Options<RequestOptions>>,
}

impl Opened {
    /// What of it is put to a key, where its question went out at `asked`; `None` where no key could answer it.
    #[must_use]
    pub fn challenge(self, asked: Instant) -> Option<KeyChallenge> {
        let options = self.public_details?.public_key;
        let login = RelayedLogin::new(rp_id(&options.rp_id)?, &bytes(&options.challenge)?).ok()?;
        let until = asked.checked_add(for_the_key(&self.created_at, &self.expires_at)?)?;
        Some(KeyChallenge { pk: self.pk, login, until })
    }
}

/// An enrolment as the server shows it, with a kind of key chosen.
#[derive(Deserialize)]
pub struct Prepared {
    pk: i64,
    public_details: Option<Options<CreationOptions>>,
}

impl Prepared {
    /// What of it is put to a key, with this wish where the server has none; `None` where no key could follow it.
    #[must_use]
    pub fn waiting(self, wish: UserVerification) -> Option<KeyWaiting> {
        waiting(self.pk, self.public_details?.public_key, wish)
    }
}

#[derive(Deserialize)]
struct Options<T> {
    #[serde(rename = "publicKey")]
    public_key: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestOptions {
    challenge: String,
    rp_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationOptions {
    challenge: String,
    rp: Named,
    user: Named,
    pub_key_cred_params: Vec<Parameter>,
    #[serde(default)]
    exclude_credentials: Vec<Named>,
    authenticator_selection: Option<Selection>,
    attestation: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Parameter {
    alg: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selection {
    user_verification: Option<String>,
}

impl Server {
    /// The security keys of a user. What this host could not use is left out.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn security_keys(&self, username: &str, deadline: Instant) -> Result<Vec<ServerKey>, Fault> {
        let name = utf8_percent_encode(username, NON_ALPHANUMERIC);
        let question = Question::get(format!("/integrations/security-keys?username={name}"));
        self.ask(question, deadline)?.body(200).map(|KeyList(keys)| keys)
    }

    /// Opens a challenge on a key.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn open_key(&self, login: &Binding, device: i64, deadline: Instant) -> Result<KeyOpening, Fault> {
        let asked = Instant::now();
        let answer = self.ask(self.challenge_on(login, device)?, deadline)?;
        if refusal(&answer).is_some() {
            return Ok(KeyOpening::Refused);
        }
        let opened: Opened = answer.body(201)?;
        let pk = opened.pk;
        match opened.challenge(asked) {
            Some(challenge) => Ok(KeyOpening::Open(challenge)),
            None => {
                self.cancel(pk);
                Err(strange("a challenge that no key could answer"))
            }
        }
    }

    /// Shows what a key has signed.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn complete_key(&self, challenge: i64, token: &Value, deadline: Instant) -> Result<Judged, Fault> {
        self.complete_with(challenge, token, deadline)
    }

    /// Begins to enrol a key of this kind.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn enroll_key(
        &self,
        login: &Binding,
        kind: &str,
        wish: UserVerification,
        deadline: Instant,
    ) -> Result<KeyBegun, Fault> {
        #[derive(Deserialize)]
        struct Policy {
            fido: Fido,
        }
        #[derive(Deserialize)]
        struct Fido {
            origins: Vec<String>,
        }
        // Asked first: a key would be touched in vain.
        let policy: Policy =
            self.ask(Question::get("/integrations/policy".to_owned()), deadline)?.body(200)?;
        if !policy.fido.origins.iter().any(|origin| origin == HOSTS) {
            return Ok(KeyBegun::Refused(NOT_AT_HOSTS.to_owned()));
        }
        let pk = match self.begin_enrollment(login, deadline)? {
            Ok(pk) => pk,
            Err(why) => return Ok(KeyBegun::Refused(why)),
        };
        let path = format!("/integrations/enrollments/{pk}/prepare-device");
        let body = json!({ "kind": kind, "options": {} });
        let answer = self.ask(self.post(path, &body)?, deadline)?;
        if let Some(why) = not_done(answer.status(), answer.error_code()) {
            return Ok(KeyBegun::Refused(why));
        }
        let prepared: Prepared = answer.body(200)?;
        prepared
            .waiting(wish)
            .map(|waiting| KeyBegun::Waiting(Box::new(waiting)))
            .ok_or_else(|| strange("an enrolment that no key could follow"))
    }

    /// Shows what a key has made.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn prove_key(&self, enrollment: i64, token: &Value, deadline: Instant) -> Result<KeyMade, Fault> {
        let path = format!("/integrations/enrollments/{enrollment}/complete");
        let answer = self.ask(self.post(path, &json!({ "token": token }))?, deadline)?;
        if let (403, "key_not_allowed") = (answer.status(), answer.error_code()) {
            return Ok(KeyMade::Unfit(answer.error_message().unwrap_or_default()));
        }
        if let (409, "registered_key") = (answer.status(), answer.error_code()) {
            return Ok(KeyMade::Unfit("this security key is enrolled at the server already".to_owned()));
        }
        if refusal(&answer).is_some() {
            return Ok(KeyMade::Refused);
        }
        Proven::by_enrollment(&answer).map(KeyMade::Proven).ok_or_else(|| Fault::of(&answer))
    }
}

/// What a key has signed, as the server takes it (section 5.2).
#[must_use]
pub fn assertion_token(client_data: &ClientData, assertion: &Assertion) -> Value {
    let id = text(&assertion.credential_id);
    json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": text(client_data.json().as_bytes()),
            "authenticatorData": text(&assertion.auth_data),
            "signature": text(&assertion.signature),
            // One that is there, the server would hold against its own; a host need not know it.
            "userHandle": null,
        },
        "clientExtensionResults": {},
    })
}

/// What a key has made, as the server takes it. `None` for an answer without a credential.
#[must_use]
pub fn attestation_token(
    client_data: &ClientData,
    made: &Attestation,
    conveyance: Conveyance,
) -> Option<Value> {
    let data = oss2fa_ctap::auth_data::AuthenticatorData::parse(&made.auth_data).ok()?;
    let id = text(&data.credential?.id);
    Some(json!({
        "id": id,
        "rawId": id,
        "type": "public-key",
        "response": {
            "clientDataJSON": text(client_data.json().as_bytes()),
            "attestationObject": text(&made.to_object(conveyance)),
            "transports": ["usb"],
        },
        "clientExtensionResults": {},
    }))
}

/// The kind of this name at the server.
#[must_use]
pub fn kind_of(name: &str) -> Option<FactorKind> {
    match name.to_uppercase().as_str() {
        "FIDO2" => Some(FactorKind::Fido2),
        "U2F" => Some(FactorKind::U2f),
        _ => None,
    }
}

fn key(listed: Listed) -> Option<ServerKey> {
    let credential = Credential {
        id: bytes(&listed.credential_id).filter(|id| !id.is_empty())?,
        // A key whose algorithm is not known here counts at the server, and not without it.
        public_key: PublicKey::from_cose(&bytes(&listed.public_key)?).ok()?,
        rp: rp_id(&listed.rp_id)?,
        user_id: None,
        aaguid: Aaguid::NONE,
        verification: match listed.asks {
            Asks::Touch => UserVerification::NotAsked,
            Asks::User => UserVerification::Required,
        },
    };
    let kind = kind_of(&listed.kind)?;
    Some(ServerKey {
        device: listed.device,
        kind,
        name: listed.name,
        credential,
        sign_count: listed.sign_count,
    })
}

fn waiting(pk: i64, options: CreationOptions, wish: UserVerification) -> Option<KeyWaiting> {
    let asked = options.authenticator_selection.and_then(|selection| selection.user_verification);
    let verification = match asked.as_deref() {
        Some("required") => UserVerification::Required,
        _ => wish,
    };
    let algorithms: Vec<Algorithm> = options
        .pub_key_cred_params
        .iter()
        .filter_map(|parameter| Algorithm::from_id(parameter.alg))
        .collect();
    if algorithms.is_empty() {
        return None;
    }
    let challenge = bytes(&options.challenge)?;
    Some(KeyWaiting {
        pk,
        registration: RelayedRegistration::new(rp_id(&options.rp.id)?, &challenge, algorithms, verification)
            .ok()?,
        owner: bytes(&options.user.id).filter(|id| (1..=64).contains(&id.len()))?,
        known: options.exclude_credentials.iter().filter_map(|known| bytes(&known.id)).collect(),
        conveyance: match options.attestation.as_deref() {
            Some("direct" | "enterprise" | "indirect") => Conveyance::Whole,
            _ => Conveyance::None,
        },
    })
}

// Both are times of the server's clock, which need not be right here; what lies between them is.
fn for_the_key(created_at: &str, expires_at: &str) -> Option<Duration> {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let lives = Duration::try_from(time(expires_at)? - time(created_at)?).ok()?;
    (!lives.is_zero()).then(|| lives - JUDGED_WITHIN.min(lives / 2))
}

fn rp_id(id: &str) -> Option<RpId> {
    RpId::new(id).ok()
}

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

fn strange(what: &str) -> Fault {
    Fault::strange(what)
}
