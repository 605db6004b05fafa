//! Enrolling: a name, a kind of device, a proof.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use serde_json::Value;

use super::decision::BindingContext;
use super::refusal::Refusal;
use super::{Caller, KeptStep, Service};
use crate::device::{Enrolled, Kind, NewDevice, Step, Surroundings, Token};
use crate::ids::{ClientId, EnrollmentId, Username};
use crate::message::text::Occasion;
use crate::outside::SECOND;
use crate::store::verbs::challenges::Kept;
use crate::store::verbs::devices::DevicesOfKinds;
use crate::store::verbs::enrollments::{
    CompleteEnrollment, Completed, CreateEnrollment, Enrollment, EnrollmentMessage, FindEnrollment,
    KeepEnrollmentStep, RefuseEnrollment,
};

/// While one enrollment is good, an address gets the messages of so many.
const ENROLLMENTS: u32 = 2;

/// What the digest of an address is for.
const ADDRESS: &str = "enrollment address";

/// An enrollment with what the application is shown of it.
pub struct Shown {
    /// The enrollment.
    pub enrollment: Enrollment,
    /// Number of the kind that was chosen.
    pub device_selection: Option<i64>,
    /// What the kind shows, while the enrollment waits.
    pub public_details: Option<Value>,
}

impl Service {
    /// Begins one.
    ///
    /// # Errors
    /// [`Refusal::Network`], and those of the store.
    pub async fn create_enrollment(
        &self,
        caller: &Caller,
        username: Username,
        context: &BindingContext,
    ) -> Result<Shown, Refusal> {
        from_where_it_may(caller, context)?;
        let policy = &caller.integration.policy;
        let enrollment = self
            .store
            .write(CreateEnrollment {
                doer: caller.doer_in(context),
                username,
                attempts: policy.attempts,
                sends: policy.sends,
                expires_at: caller.now.after(policy.enrollment_expiry),
            })
            .await?;
        self.shown(enrollment)
    }

    /// One of the caller's.
    ///
    /// # Errors
    /// [`Refusal::NotFound`].
    pub async fn enrollment(&self, caller: &Caller, enrollment: EnrollmentId) -> Result<Shown, Refusal> {
        self.shown(self.found_enrollment(caller, enrollment).await?)
    }

    /// Chooses a kind, and shows or sends what its owner needs. May be asked again, also for another kind.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn prepare_device(
        &self,
        caller: &Caller,
        enrollment: EnrollmentId,
        kind: &str,
        options: &Value,
    ) -> Result<Shown, Refusal> {
        let found = self.found_enrollment(caller, enrollment).await?;
        open(found.status)?;
        let kind = self.kind(caller, kind)?;
        let keys = self.keys(caller).await?;
        let registered = self.registered(caller, &found.username, kind).await?;
        let around = Surroundings { registered: &registered, ..self.around(caller, &found.username, &keys) };
        let step = kind.prepare(&around, enrollment.0, options)?;
        self.keep_and_send(caller, &found, &around, kind, step).await?;
        self.enrollment(caller, enrollment).await
    }

    /// Takes the proof. A wrong one counts; with the last the enrollment has failed.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn complete_enrollment(
        &self,
        caller: &Caller,
        enrollment: EnrollmentId,
        token: &Token,
        context: &BindingContext,
    ) -> Result<Outcome, Refusal> {
        let caller = &self.at_last(caller);
        from_where_it_may(caller, context)?;
        let found = self.found_enrollment(caller, enrollment).await?;
        open(found.status)?;
        let (Some(kind), Some(kept)) = (&found.kind, &found.step) else { return Err(Refusal::NotPrepared) };
        let kind = self.kind(caller, kind)?;
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &found.username, &keys);
        let state = KeptStep::unpack(kept)?.state()?;
        let mut enrolled = kind.enroll(&around, enrollment.0, &state, token)?;
        if let Enrolled::Ask(otp, device) = enrolled {
            enrolled = match self.vouched(DeviceId(0), &otp).await? {
                Some(verified) => {
                    let next_position = verified.position().saturating_add(1);
                    Enrolled::Device(NewDevice { next_position, ..device })
                }
                None => Enrolled::Refused,
            };
        }
        match enrolled {
            // Nothing asks twice.
            Enrolled::Refused | Enrolled::Ask(..) => match self.refuse(caller, &found, context).await? {
                None => Err(Refusal::Over("enrollment")),
                attempts_left => Err(Refusal::WrongToken { attempts_left }),
            },
            Enrolled::Unfit(why) => match self.refuse(caller, &found, context).await? {
                None => Err(Refusal::Over("enrollment")),
                Some(_) => Err(Refusal::Unfit(why)),
            },
            Enrolled::Another(step) => {
                self.keep_and_send(caller, &found, &around, kind, step).await?;
                Ok(Outcome::Another(self.enrollment(caller, enrollment).await?))
            }
            Enrolled::Device(device) => {
                let complete = CompleteEnrollment {
                    doer: caller.doer_in(context),
                    enrollment,
                    username: found.username,
                    kind: kind.description().name,
                    device,
                    most: caller.integration.policy.max_devices,
                };
                match self.store.write(complete).await? {
                    Completed::Client(client, device) => Ok(Outcome::Complete(client, device)),
                    Completed::Over => Err(Refusal::Over("enrollment")),
                    Completed::Barred => Err(Refusal::Inactive),
                    Completed::TooMany => Err(Refusal::TooManyDevices),
                    Completed::Used => Err(Refusal::UsedSecret),
                    Completed::Registered => Err(Refusal::RegisteredKey),
                    Completed::Taken => Err(Refusal::KeyTaken),
                }
            }
        }
    }

    async fn refuse(
        &self,
        caller: &Caller,
        found: &Enrollment,
        context: &BindingContext,
    ) -> Result<Option<u32>, Refusal> {
        let username = found.username.clone();
        let refuse = RefuseEnrollment { doer: caller.doer_in(context), enrollment: found.pk, username };
        Ok(self.store.write(refuse).await?)
    }

    /// What the client's devices keep that a kind wants to know.
    async fn registered(
        &self,
        caller: &Caller,
        username: &Username,
        kind: &dyn Kind,
    ) -> Result<Vec<SecretBytes>, Refusal> {
        if kind.relatives().is_empty() {
            return Ok(Vec::new());
        }
        let ask = DevicesOfKinds {
            tenant: caller.tenant(),
            integration: caller.pk(),
            username: username.clone(),
            kinds: kind.relatives(),
        };
        Ok(self.store.read(ask).await?.into_iter().map(|found| found.device.material).collect())
    }

    async fn keep_and_send(
        &self,
        caller: &Caller,
        found: &Enrollment,
        around: &Surroundings<'_>,
        kind: &dyn Kind,
        step: Step,
    ) -> Result<(), Refusal> {
        let policy = &caller.integration.policy;
        let message = step.send.as_ref().map(|message| EnrollmentMessage {
            not_since: caller.now.before(policy.resend_after),
            address: around.keys.digest(ADDRESS, caller.pk().0, &message.address()),
            since: caller.now.before(policy.enrollment_expiry),
            most: ENROLLMENTS * policy.sends,
        });
        let keep = KeepEnrollmentStep {
            doer: caller.doer(""),
            enrollment: found.pk,
            kind: kind.description().name,
            step: KeptStep::pack(&step)?,
            message,
        };
        // Counted and kept before anything is sent: nobody can have two messages for one count.
        match self.store.write(keep).await? {
            Kept::Done => {}
            Kept::Locked { until } => return Err(Refusal::Locked { until }),
            Kept::NotNow => {
                let found = self.found_enrollment(caller, found.pk).await?;
                open(found.status)?;
                return Err(caller.no_more_messages(
                    found.sends_left,
                    found.sent_at,
                    policy.enrollment_expiry,
                ));
            }
        }
        let Some(message) = step.send else { return Ok(()) };
        let left = u32::try_from((found.expires_at.0 - caller.now.0) / SECOND).unwrap_or(0);
        self.send(around, message, left, Occasion::Enrollment).await
    }

    async fn found_enrollment(
        &self,
        caller: &Caller,
        enrollment: EnrollmentId,
    ) -> Result<Enrollment, Refusal> {
        let find =
            FindEnrollment { tenant: caller.tenant(), integration: caller.pk(), enrollment, now: caller.now };
        self.store.read(find).await?.ok_or(Refusal::NotFound("enrollment"))
    }

    fn shown(&self, enrollment: Enrollment) -> Result<Shown, Refusal> {
        let kind = enrollment.kind.as_deref().and_then(|name| self.kinds.named(name));
        let public_details = match (&enrollment.step, enrollment.status) {
            // What was shown can hold the secret: nobody sees it again once it is over.
            (Some(kept), 2) => KeptStep::unpack(kept)?.shown,
            _ => None,
        };
        let device_selection = kind.map(|kind| kind.description().pk);
        Ok(Shown { enrollment, device_selection, public_details })
    }
}

/// What came of a right proof.
pub enum Outcome {
    /// The client has this device now.
    Complete(ClientId, DeviceId),
    /// One more step.
    Another(Shown),
}

/// Who says where the client is must say a place that policy allows; enrolments may say none.
fn from_where_it_may(caller: &Caller, context: &BindingContext) -> Result<(), Refusal> {
    if context.address.is_none() || caller.admits(context) { Ok(()) } else { Err(Refusal::Network) }
}

fn open(status: i64) -> Result<(), Refusal> {
    match status {
        1 | 2 => Ok(()),
        5 => Err(Refusal::Expired("enrollment")),
        _ => Err(Refusal::Over("enrollment")),
    }
}
