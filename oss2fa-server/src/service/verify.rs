//! A code in one request, without a challenge: for callers that have it already, as gateways and hosts do.

use std::sync::Arc;

use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::DeviceId;

use super::challenge::admitted;
use super::decision::BindingContext;
use super::refusal::Refusal;
use super::{Caller, Service, allowed};
use crate::device::{Answered, KindError, Kinds, Surroundings, Token};
use crate::ids::Username;
use crate::policy::{Disclosure, Policy};
use crate::store::error::StoreError;
use crate::store::verbs::attempts::{Admitted, Judge, Judged, Verify};
use crate::store::verbs::clients::Verifiable;

/// A code, and whose it is.
#[derive(Debug)]
pub struct Code {
    /// Who.
    pub username: Username,
    /// Only this device.
    pub device: Option<DeviceId>,
    /// The code.
    pub token: Token,
    /// Where the client is.
    pub context: BindingContext,
}

impl Service {
    /// Tries a code against the client's devices whose codes have its shape.
    ///
    /// # Errors
    /// A [`Refusal`] for everything but a right code that nobody had used.
    pub async fn verify(&self, caller: &Caller, code: Code) -> Result<Admitted, Refusal> {
        let caller = &self.at_last(caller);
        if !caller.admits(&code.context) {
            return Err(Refusal::Network);
        }
        if let Some(otp) = code.token.text().and_then(TypedOtp::read)
            && let Some(admitted) = Box::pin(self.verify_elsewhere(caller, &code, otp)).await?
        {
            return Ok(admitted);
        }
        let policy = &caller.integration.policy;
        let (limits, hidden_as) = (policy.locks, hidden_as(policy, &code));
        let doer = caller.doer_in(&code.context);
        let (store, kinds) = (Arc::clone(&self.store), self.kinds.clone());
        let (caller, username) = (caller.clone(), code.username.clone());
        let judge: Judge = Box::new(move |found, keys| {
            let around = caller.around(&code.username, keys, store.ring().random());
            judge(&kinds, &around, &code, found)
        });
        let (kind, verdict) = self.store.write(Verify { doer, username, judge, limits, hidden_as }).await?;
        admitted(kind, verdict)
    }
}

fn judge(
    kinds: &Kinds,
    around: &Surroundings<'_>,
    code: &Code,
    found: &Verifiable,
) -> Result<Judged, StoreError> {
    // The lock that counts is that of the first kind of this shape, right or wrong: whether a code was
    // right must not show in which lock answers.
    let mut judged = Judged { kind: "none", verified: None };
    for (kind, device) in &found.devices {
        if code.device.is_some_and(|only| only != device.pk) {
            continue;
        }
        let Ok(kind) = allowed(kinds, around.policy, kind) else { continue };
        let Some(answered) = kind.tried(around, device, &code.token) else { continue };
        if judged.kind == "none" {
            judged.kind = kind.description().name;
        }
        match answered {
            Ok(Answered::Verified(verified, spend)) => {
                judged.verified = Some((verified, spend));
                break;
            }
            // What others judge was asked of them before; here nobody vouches for it.
            Ok(Answered::Refused | Answered::Another(_) | Answered::Ask(_)) => {}
            Err(KindError::Store(error)) => return Err(error),
            Err(KindError::Options(_) | KindError::NotOffered(_)) => {}
        }
    }
    Ok(judged)
}

/// What a client with one app would have been tried with, where policy hides who exists.
fn hidden_as(policy: &Policy, code: &Code) -> Option<&'static str> {
    let is_code = |text: &str| {
        text.len() == usize::from(policy.code_length) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match policy.disclosure {
        Disclosure::Told => None,
        // Whoever names a device names none of theirs.
        Disclosure::Hidden if code.device.is_none() && code.token.text().is_some_and(is_code) => Some("TOTP"),
        Disclosure::Hidden => Some("none"),
    }
}
