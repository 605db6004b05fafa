//! Passwords of YubiKeys that validation servers judge: what a kind asks for and may not do itself.

use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::verdict::Verified;

use super::challenge::admitted;
use super::refusal::Refusal;
use super::verify::Code;
use super::{Caller, Service};
use crate::device::yubikey::NAME;
use crate::device::{Answered, Spend};
use crate::store::verbs::attempts::{Admitted, Attempt};
use crate::store::verbs::yubikeys::FindYubikey;

impl Service {
    /// What the validation servers vouch for.
    ///
    /// # Errors
    /// [`Refusal::NotValidated`]: nobody could say, and nothing is counted as a wrong try.
    pub(super) async fn vouched(
        &self,
        device: DeviceId,
        otp: &TypedOtp,
    ) -> Result<Option<Verified>, Refusal> {
        Ok(self.authority.judge(device, otp).await?)
    }

    /// Tries a code that is a password of a key of this client which validation servers judge; `None` where it
    /// is not, and is judged here. They cannot be asked within a transaction; what they vouch for is spent in one.
    ///
    /// # Errors
    /// As [`Service::verify`].
    pub(super) async fn verify_elsewhere(
        &self,
        caller: &Caller,
        code: &Code,
        otp: TypedOtp,
    ) -> Result<Option<Admitted>, Refusal> {
        let Ok(kind) = self.kind(caller, NAME) else { return Ok(None) };
        let find = FindYubikey {
            tenant: caller.tenant(),
            integration: caller.pk(),
            username: code.username.clone(),
            public_id: otp.public_id().clone(),
        };
        let Some((client, device)) = self.store.read(find).await? else { return Ok(None) };
        if code.device.is_some_and(|only| only != device.pk) {
            return Ok(None);
        }
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &code.username, &keys);
        let Answered::Ask(otp) = kind.answer(&around, &device, None, &code.token)? else { return Ok(None) };
        let verified = self.vouched(device.pk, &otp).await?;
        let attempt = Attempt {
            doer: caller.doer_in(&code.context),
            client,
            username: code.username.as_str().to_owned(),
            kind: NAME,
            challenge: None,
            verified: verified.map(|verified| (verified, Spend::Position)),
            limits: caller.integration.policy.locks,
        };
        admitted(NAME, self.store.write(attempt).await?).map(Some)
    }
}
