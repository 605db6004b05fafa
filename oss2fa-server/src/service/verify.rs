//! A code in one request, without a challenge: for callers that have it already, as gateways and hosts do.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::Verified;

use super::challenge::admitted;
use super::decision::BindingContext;
use super::refusal::Refusal;
use super::{Caller, Service};
use crate::device::{Answered, Kind, Spend, Token};
use crate::ids::Username;
use crate::policy::Disclosure;
use crate::store::verbs::attempts::{Admitted, Attempt};
use crate::store::verbs::clients::{ClientStatus, FindForVerifying};
use crate::store::verbs::trusted::RecordPass;

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
        let find = FindForVerifying {
            tenant: caller.tenant(),
            integration: caller.pk(),
            username: code.username.clone(),
        };
        let found = self.store.read(find).await?;
        if !caller.admits(&code.context) {
            return Err(Refusal::Network);
        }
        let Some(found) = found.filter(|found| !found.devices.is_empty()) else {
            return self.nobody(caller, &code).await;
        };
        if found.status == ClientStatus::Inactive {
            return Err(Refusal::Inactive);
        }
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &code.username, &keys);
        let mut tried: Option<&'static str> = None;
        let mut right: Option<(&'static str, Verified, Spend)> = None;
        for (kind, _, device) in &found.devices {
            if code.device.is_some_and(|only| only != device.pk) {
                continue;
            }
            let Ok(kind) = self.kind(caller, kind) else { continue };
            if !kind.has_shape(device, &code.token) {
                continue;
            }
            let name = name_of(kind);
            tried = tried.or(Some(name));
            if let Answered::Verified(verified, spend) = kind.answer(&around, device, None, &code.token)? {
                right = Some((name, verified, spend));
                break;
            }
        }
        // The lock that is looked at is that of the first kind of this shape, right or wrong: whether a code
        // was right must not show in which lock answers.
        let kind = tried.unwrap_or("none");
        let attempt = Attempt {
            doer: caller.doer(&code.context.source()),
            client: found.client,
            username: code.username.as_str().to_owned(),
            kind,
            challenge: None,
            verified: right.map(|(_, verified, spend)| (verified, spend)),
            limits: caller.integration.policy.locks,
        };
        admitted(kind, self.store.write(attempt).await?)
    }

    /// No client of this name, or none with a device. Where policy hides which, it is a wrong code that
    /// took as long to refuse: it is written to the audit and answered after its commit, too.
    async fn nobody(&self, caller: &Caller, code: &Code) -> Result<Admitted, Refusal> {
        let doer = caller.doer(&code.context.source());
        let username = code.username.clone();
        self.store.write(RecordPass { doer, username, what: "refused", why: "no such device" }).await?;
        metrics::counter!("oss2fa_verdicts_total", "kind" => "none", "verdict" => "refused").increment(1);
        match caller.integration.policy.disclosure {
            Disclosure::Told => Err(Refusal::NotFound("device")),
            Disclosure::Hidden => Err(Refusal::WrongToken { attempts_left: None }),
        }
    }
}

fn name_of(kind: &dyn Kind) -> &'static str {
    kind.description().name
}
