//! What e-mail and SMS have in common: a code that is made here, sent, and kept as a keyed digest.

use oss2fa_core::factor::sent_code::{self, CodeLength};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::{SecretBytes, SecretText};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Answered, Enrolled, KindError, NewDevice, Outgoing, Spend, Step, StoredDevice, Surroundings, Token,
};
use crate::store::error::StoreError;

/// Where a code goes.
pub(super) trait Address: Sized {
    /// Takes an address as somebody wrote it.
    fn parse(written: &str) -> Result<Self, String>;
    /// As it is kept.
    fn whole(&self) -> &str;
    /// As it is shown.
    fn masked(&self) -> String;
    /// With a code for it.
    fn with(self, code: SecretText) -> Outgoing;
}

/// What an enrollment keeps while it waits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    address: String,
    digest: [u8; 32],
}

impl Waiting {
    fn parsed<A: Address>(&self) -> Result<A, StoreError> {
        A::parse(&self.address).map_err(|_| StoreError::Corrupt("an address that is none"))
    }
}

fn kept(state: &SecretBytes) -> Result<Waiting, StoreError> {
    serde_json::from_slice(state.expose())
        .map_err(|_| StoreError::Corrupt("an enrollment without its address"))
}

/// The address that an enrollment waits for.
pub(super) fn waiting<A: Address>(state: &SecretBytes) -> Result<A, StoreError> {
    kept(state)?.parsed()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    address: String,
}

const ENROLLMENT: &str = "enrollment code";
const CHALLENGE: &str = "challenge code";

/// Reads the address from the options of `prepare-device`.
pub(super) fn address<A: Address>(options: &Value) -> Result<A, KindError> {
    let given = Options::deserialize(options)
        .map_err(|_| KindError::Options("this kind takes one option: {\"address\": \"...\"}".to_owned()))?;
    A::parse(&given.address).map_err(KindError::Options)
}

pub(super) fn prepare<A: Address>(
    around: &Surroundings<'_>,
    enrollment: i64,
    address: A,
) -> Result<Step, KindError> {
    let (code, digest) = new_code(around, ENROLLMENT, enrollment)?;
    let waiting = Waiting { address: address.whole().to_owned(), digest };
    let state = serde_json::to_vec(&waiting).map_err(|_| StoreError::Corrupt("an address without text"))?;
    let shown = json!({ "address": address.masked() });
    Ok(Step { state: SecretBytes::new(state), shown: Some(shown), send: Some(address.with(code)) })
}

pub(super) fn enroll<A: Address>(
    around: &Surroundings<'_>,
    enrollment: i64,
    state: &SecretBytes,
    token: &Token,
    name: &str,
) -> Result<Enrolled, KindError> {
    let waiting = kept(state)?;
    let presented = digest_of(around, ENROLLMENT, enrollment, token);
    if presented.and_then(|digest| sent_code::check(DeviceId(0), &digest, &waiting.digest)).is_none() {
        return Ok(Enrolled::Refused);
    }
    let address: A = waiting.parsed()?;
    Ok(Enrolled::Device(NewDevice {
        name: name.to_owned(),
        shown: Some(address.masked()),
        material: SecretBytes::new(waiting.address.into_bytes()),
        code_secret: None,
        next_position: 0,
        codes: Vec::new(),
        public_id: None,
    }))
}

pub(super) fn challenge<A: Address>(
    around: &Surroundings<'_>,
    device: &StoredDevice,
    challenge: i64,
) -> Result<Option<Step>, KindError> {
    let address = std::str::from_utf8(device.material.expose())
        .ok()
        .and_then(|written| A::parse(written).ok())
        .ok_or(StoreError::Corrupt("a device without its address"))?;
    let (code, digest) = new_code(around, CHALLENGE, challenge)?;
    let shown = json!({ "address": address.masked() });
    let state = SecretBytes::new(digest.to_vec());
    Ok(Some(Step { state, shown: Some(shown), send: Some(address.with(code)) }))
}

pub(super) fn answer(
    around: &Surroundings<'_>,
    device: &StoredDevice,
    challenge: Option<(i64, &SecretBytes)>,
    token: &Token,
) -> Result<Answered, KindError> {
    let Some((challenge, state)) = challenge else { return Ok(Answered::Refused) };
    let expected: &[u8; 32] =
        state.expose().try_into().map_err(|_| StoreError::Corrupt("a challenge without its code"))?;
    let presented = digest_of(around, CHALLENGE, challenge, token);
    let found = presented.and_then(|digest| sent_code::check(device.pk, &digest, expected));
    Ok(found.map_or(Answered::Refused, |verified| Answered::Verified(verified, Spend::Challenge)))
}

// Bound to its enrollment or challenge: a code proves nothing elsewhere.
fn new_code(
    around: &Surroundings<'_>,
    purpose: &'static str,
    owner: i64,
) -> Result<(SecretText, [u8; 32]), KindError> {
    let length = CodeLength::new(around.policy.code_length)
        .map_err(|_| StoreError::Corrupt("a policy with an impossible length of codes"))?;
    let code = sent_code::from_random(around.random, length).map_err(StoreError::from)?;
    let digest = around.keys.digest(purpose, owner, code.expose());
    Ok((code, digest))
}

fn digest_of(
    around: &Surroundings<'_>,
    purpose: &'static str,
    owner: i64,
    token: &Token,
) -> Option<[u8; 32]> {
    let code = sent_code::canonical(token.text()?)?;
    Some(around.keys.digest(purpose, owner, code.expose()))
}
