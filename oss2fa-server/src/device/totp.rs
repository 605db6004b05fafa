//! TOTP (RFC 6238): an authenticator app.

use oss2fa_core::factor::totp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::{FactorKind, Verified};
use serde_json::Value;

use super::otp::{self, Material};
use super::{
    Answered, Description, Enrolled, Kind, KindError, NewDevice, Step, StoredDevice, Surroundings, Token,
};
use crate::outside::Timestamp;

/// Steps before and after the expected one that are accepted (RFC 6238 section 5.2).
const SKEW: u8 = 1;

/// The kind.
pub struct Totp;

impl Totp {
    fn check(
        device: DeviceId,
        material: &Material,
        next_step: u64,
        token: &Token,
        now: Timestamp,
    ) -> Option<Verified> {
        let code = token.text()?;
        let device = totp::Totp {
            device,
            secret: &material.secret,
            parameters: material.parameters,
            skew: SKEW,
            drift: 0,
            next_step,
        };
        device.check(code, now.seconds())
    }
}

impl Kind for Totp {
    fn description(&self) -> Description {
        Description { pk: 1, name: "TOTP", description: "Time-based codes of an authenticator app" }
    }

    fn prepare(&self, around: &Surroundings<'_>, _: i64, options: &Value) -> Result<Step, KindError> {
        otp::prepare(around, FactorKind::Totp, options)
    }

    fn enroll(
        &self,
        around: &Surroundings<'_>,
        _: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        let material = Material::read(state)?;
        let Some(verified) = Self::check(DeviceId(0), &material, 0, token, around.now) else {
            return Ok(Enrolled::Refused);
        };
        Ok(Enrolled::Device(NewDevice {
            name: "Authenticator app".to_owned(),
            shown: None,
            material: material.keep(),
            code_secret: Some(material.secret.clone()),
            next_position: verified.position() + 1,
            codes: Vec::new(),
            public_id: None,
        }))
    }

    fn challenge(&self, _: &Surroundings<'_>, _: &StoredDevice, _: i64) -> Result<Option<Step>, KindError> {
        Ok(None)
    }

    fn answer(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        _: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError> {
        let material = Material::read(&device.material)?;
        Ok(otp::answered(Self::check(device.pk, &material, device.next_position, token, around.now)))
    }

    fn tried(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        token: &Token,
    ) -> Option<Result<Answered, KindError>> {
        let material = otp::of_shape(device, token)?;
        Some(Ok(otp::answered(Self::check(device.pk, &material, device.next_position, token, around.now))))
    }
}
