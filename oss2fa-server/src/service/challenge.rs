//! Challenges: opened on a device, answered once.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use serde_json::Value;

use super::credential;
use super::decision::BindingContext;
use super::refusal::Refusal;
use super::{Caller, KeptStep, Service};
use crate::device::{Answered, Spend, Step, StoredDevice, Surroundings, Token};
use crate::ids::{ChallengeId, Username};
use crate::message::text::Occasion;
use crate::outside::SECOND;
use crate::store::verbs::Doer;
use crate::store::verbs::attempts::{Admitted, Attempt, Verdict};
use crate::store::verbs::challenges::{
    CancelChallenge, Challenge, CreateChallenge, DeviceMessages, FindChallenge, Found, KeepStep, Kept,
    Sending,
};
use crate::store::verbs::clients::{ClientStatus, FindByName};
use crate::store::verbs::tenants::Removed;
use crate::store::verbs::trusted::Trust;

/// While one challenge is good, a device gets the messages of so many.
const CHALLENGES: u32 = 2;

/// What a challenge is asked for with.
#[derive(Debug)]
pub struct NewChallenge {
    /// Whom it asks.
    pub username: Username,
    /// By which of their devices.
    pub device: DeviceId,
    /// The application's own word for it.
    pub reference: Option<String>,
    /// Where the client is.
    pub context: BindingContext,
}

/// A challenge with what the application is shown of it.
pub struct Shown {
    /// The challenge.
    pub challenge: Challenge,
    /// What the kind shows, while the challenge waits.
    pub public_details: Option<Value>,
}

/// What came of a right answer.
pub enum Outcome {
    /// The challenge is complete: the client proved it.
    Complete {
        /// The evidence.
        admitted: Admitted,
        /// What stands for the device from now on, where the application asked to remember it.
        trusted_device: Option<SecretText>,
    },
    /// One more step.
    Another(Box<Shown>),
}

/// Whether an application wants to remember the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    /// It does.
    Device,
    /// It does not.
    Nothing,
}

impl Service {
    /// Opens a challenge, and sends what is to be sent.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] alike for a name that no client has, a client without devices, and a device of
    /// somebody else. [`Refusal::Locked`] where a code is to be sent that could not pass.
    pub async fn create_challenge(&self, caller: &Caller, new: NewChallenge) -> Result<Shown, Refusal> {
        let find =
            FindByName { tenant: caller.tenant(), integration: caller.pk(), username: new.username.clone() };
        let found = self.store.read(find).await?;
        if !caller.admits(&new.context) {
            return Err(Refusal::Network);
        }
        let device = |devices: &[crate::store::verbs::clients::Device]| {
            devices.iter().find(|device| device.pk == new.device).map(|device| device.kind.clone())
        };
        let Some((client, kind)) =
            found.and_then(|(client, devices)| device(&devices).map(|kind| (client, kind)))
        else {
            return Err(Refusal::NotFound("device"));
        };
        if client.status == ClientStatus::Inactive {
            return Err(Refusal::Inactive);
        }
        let kind = self.kind(caller, &kind)?;
        let policy = &caller.integration.policy;
        let create = CreateChallenge {
            doer: caller.doer_in(&new.context),
            client: client.pk,
            username: new.username.clone(),
            device: new.device,
            reference: new.reference,
            fingerprint: new.context.fingerprint,
            attempts: kind.attempts(policy),
            sends: policy.sends,
            expires_at: caller.now.after(policy.challenge_expiry),
        };
        let opened = self.store.write(create).await?.ok_or(Refusal::NotFound("device"))?;
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &new.username, &keys);
        if let Some(step) = kind.challenge(&around, &opened.device, opened.pk.0)? {
            self.keep_challenge(caller, opened.pk, &around, step, policy.challenge_expiry).await?;
        }
        self.challenge(caller, opened.pk).await
    }

    /// One of the caller's.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn challenge(&self, caller: &Caller, challenge: ChallengeId) -> Result<Shown, Refusal> {
        let found = self.found_challenge(caller, challenge).await?.challenge;
        let public_details = match (&found.step, found.status) {
            (Some(kept), 2) => KeptStep::unpack(kept)?.shown,
            _ => None,
        };
        Ok(Shown { challenge: found, public_details })
    }

    /// Takes the answer. A wrong one counts; with the last the challenge has failed.
    ///
    /// # Errors
    /// A [`Refusal`] for everything but a right answer that nobody had used.
    pub async fn complete_challenge(
        &self,
        caller: &Caller,
        challenge: ChallengeId,
        token: &Token,
        remember: Remember,
    ) -> Result<Outcome, Refusal> {
        let caller = &self.at_last(caller);
        let Found { challenge: found, client, device } = self.found_challenge(caller, challenge).await?;
        may_go_on(caller, &found, client)?;
        let device = device.ok_or(Refusal::Over("challenge"))?;
        let kind = self.kind(caller, &found.kind)?;
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &found.username, &keys);
        let state = match &found.step {
            Some(kept) => Some(KeptStep::unpack(kept)?.state()?),
            None => None,
        };
        let step = state.as_ref().map(|state| (challenge.0, state));
        let verified = match kind.answer(&around, &device, step, token)? {
            Answered::Verified(verified, spend) => Some((verified, spend)),
            Answered::Refused => None,
            Answered::Ask(otp) => {
                self.vouched(device.pk, &otp).await?.map(|verified| (verified, Spend::Position))
            }
            Answered::Another(step) => {
                self.keep_challenge(caller, challenge, &around, step, left(&found, caller)).await?;
                return Ok(Outcome::Another(Box::new(self.challenge(caller, challenge).await?)));
            }
        };
        // Made first: no code is spent for want of random bytes.
        let trusted_device = match remember {
            Remember::Device => self.new_trust(caller)?,
            Remember::Nothing => None,
        };
        let attempt = Attempt {
            doer: doer_of(caller, &found),
            client: found.client,
            username: found.username.as_str().to_owned(),
            kind: kind.description().name,
            challenge: Some(challenge),
            verified,
            limits: caller.integration.policy.locks,
        };
        let admitted = admitted(kind.description().name, self.store.write(attempt).await?)?;
        if let Some(token) = &trusted_device {
            self.trust(caller, &found, token).await?;
        }
        Ok(Outcome::Complete { admitted, trusted_device })
    }

    /// Sends the code of a challenge again: a new one, the old is worth nothing.
    ///
    /// # Errors
    /// [`Refusal::NoMoreMessages`], [`Refusal::Locked`], [`Refusal::NothingToSend`], and others.
    pub async fn resend_challenge(&self, caller: &Caller, challenge: ChallengeId) -> Result<Shown, Refusal> {
        let Found { challenge: found, client, device } = self.found_challenge(caller, challenge).await?;
        may_go_on(caller, &found, client)?;
        let device: StoredDevice = device.ok_or(Refusal::Over("challenge"))?;
        let kind = self.kind(caller, &found.kind)?;
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &found.username, &keys);
        let step = kind.challenge(&around, &device, challenge.0)?.filter(|step| step.send.is_some());
        let step = step.ok_or(Refusal::NothingToSend)?;
        self.keep_challenge(caller, challenge, &around, step, left(&found, caller)).await?;
        self.challenge(caller, challenge).await
    }

    /// Gives a challenge up.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::Over`].
    pub async fn cancel_challenge(&self, caller: &Caller, challenge: ChallengeId) -> Result<(), Refusal> {
        let found = self.found_challenge(caller, challenge).await?.challenge;
        let cancel = CancelChallenge { doer: doer_of(caller, &found), challenge };
        match self.store.write(cancel).await? {
            Removed::Done => Ok(()),
            Removed::NotThere => Err(Refusal::Over("challenge")),
        }
    }

    /// What stands for a device from now on, where policy trusts any.
    fn new_trust(&self, caller: &Caller) -> Result<Option<SecretText>, Refusal> {
        if caller.integration.policy.trusted_device_days == 0 {
            return Ok(None);
        }
        let token =
            credential::hex(self.store.ring().random()).map_err(crate::store::error::StoreError::from)?;
        Ok(Some(SecretText::new(token)))
    }

    async fn trust(&self, caller: &Caller, found: &Challenge, token: &SecretText) -> Result<(), Refusal> {
        let trust = Trust {
            doer: doer_of(caller, found),
            client: found.client,
            username: found.username.clone(),
            digest: credential::digest(token.expose()),
            fingerprint: found.fingerprint.clone(),
            expires_at: caller.now.after(caller.integration.policy.trusted_device_days * 24 * 3600),
        };
        Ok(self.store.write(trust).await?)
    }

    async fn keep_challenge(
        &self,
        caller: &Caller,
        challenge: ChallengeId,
        around: &Surroundings<'_>,
        step: Step,
        seconds: u32,
    ) -> Result<(), Refusal> {
        let policy = &caller.integration.policy;
        let sending = match step.send {
            Some(_) => Sending::Message { not_since: caller.now.before(policy.resend_after) },
            None => Sending::Nothing,
        };
        let keep = KeepStep {
            tenant: caller.tenant(),
            integration: caller.pk(),
            challenge,
            step: KeptStep::pack(&step)?,
            sending,
            device: DeviceMessages {
                since: caller.now.before(policy.challenge_expiry),
                most: CHALLENGES * policy.sends,
                of_challenge: policy.sends,
            },
            limits: policy.locks,
            now: caller.now,
        };
        // Counted and kept before anything is sent: nobody can have two messages for one count.
        match self.store.write(keep).await? {
            Kept::Done => {}
            Kept::Locked { until } => return Err(Refusal::Locked { until }),
            Kept::NotNow => {
                let found = self.found_challenge(caller, challenge).await?.challenge;
                open(found.status)?;
                return Err(caller.no_more_messages(
                    found.sends_left,
                    found.sent_at,
                    policy.challenge_expiry,
                ));
            }
        }
        match step.send {
            Some(message) => self.send(around, message, seconds, Occasion::Login).await,
            None => Ok(()),
        }
    }

    async fn found_challenge(&self, caller: &Caller, challenge: ChallengeId) -> Result<Found, Refusal> {
        let find =
            FindChallenge { tenant: caller.tenant(), integration: caller.pk(), challenge, now: caller.now };
        self.store.read(find).await?.ok_or(Refusal::NotFound("challenge"))
    }
}

/// From the store's verdict to evidence, or a refusal.
pub(super) fn admitted(kind: &'static str, verdict: Verdict) -> Result<Admitted, Refusal> {
    let word = match &verdict {
        Verdict::Admitted(_) => "accepted",
        Verdict::Refused { .. } => "refused",
        Verdict::Locked { .. } => "locked",
        Verdict::Over => "over",
        Verdict::Barred => "barred",
        Verdict::Nobody => "nobody",
    };
    metrics::counter!("oss2fa_verdicts_total", "kind" => kind, "verdict" => word).increment(1);
    match verdict {
        Verdict::Admitted(admitted) => Ok(admitted),
        Verdict::Refused { attempts_left } => Err(Refusal::WrongToken { attempts_left }),
        Verdict::Locked { until } => Err(Refusal::Locked { until }),
        Verdict::Over => Err(Refusal::Over("challenge")),
        Verdict::Barred => Err(Refusal::Inactive),
        Verdict::Nobody => Err(Refusal::NotFound("device")),
    }
}

/// Whoever asks, where the challenge was begun.
fn doer_of(caller: &Caller, challenge: &Challenge) -> Doer {
    caller.doer(&challenge.source).at(challenge.whereabouts.clone())
}

fn left(challenge: &Challenge, caller: &Caller) -> u32 {
    u32::try_from((challenge.expires_at.0 - caller.now.0) / SECOND).unwrap_or(0)
}

/// What let a challenge begin must still hold: policy and status may have changed since.
fn may_go_on(caller: &Caller, found: &Challenge, client: ClientStatus) -> Result<(), Refusal> {
    open(found.status)?;
    if client == ClientStatus::Inactive {
        return Err(Refusal::Inactive);
    }
    let begun_from = BindingContext { address: found.source.parse().ok(), ..BindingContext::default() };
    if caller.admits(&begun_from) { Ok(()) } else { Err(Refusal::Network) }
}

fn open(status: i64) -> Result<(), Refusal> {
    match status {
        1 | 2 => Ok(()),
        5 => Err(Refusal::Expired("challenge")),
        _ => Err(Refusal::Over("challenge")),
    }
}
