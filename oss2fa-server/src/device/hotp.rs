//! HOTP (RFC 4226): a token that counts.

use oss2fa_core::factor::hotp;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::{FactorKind, Verified};
use serde_json::Value;

use super::otp::{self, Material};
use super::{
    Answered, Description, Enrolled, Kind, KindError, NewDevice, Step, StoredDevice, Surroundings, Token,
};

/// The kind.
pub struct Hotp;

impl Hotp {
    fn check(device: DeviceId, material: &Material, next_counter: u64, token: &Token) -> Option<Verified> {
        let code = token.text()?;
        let device =
            hotp::Hotp { device, secret: &material.secret, parameters: material.parameters, next_counter };
        device.check(code)
    }
}

impl Kind for Hotp {
    fn description(&self) -> Description {
        Description { pk: 2, name: "HOTP", description: "Counter-based codes of a token or an app" }
    }

    fn prepare(&self, around: &Surroundings<'_>, _: i64, options: &Value) -> Result<Step, KindError> {
        otp::prepare(around, FactorKind::Hotp, options)
    }

    fn enroll(
        &self,
        _: &Surroundings<'_>,
        _: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        let material = Material::read(state)?;
        let Some(verified) = Self::check(DeviceId(0), &material, material.counter, token) else {
            return Ok(Enrolled::Refused);
        };
        Ok(Enrolled::Device(NewDevice {
            name: "Token".to_owned(),
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
        _: &Surroundings<'_>,
        device: &StoredDevice,
        _: Option<(i64, &SecretBytes)>,
        token: &Token,
    ) -> Result<Answered, KindError> {
        let material = Material::read(&device.material)?;
        Ok(otp::answered(Self::check(device.pk, &material, device.next_position, token)))
    }

    fn tried(
        &self,
        _: &Surroundings<'_>,
        device: &StoredDevice,
        token: &Token,
    ) -> Option<Result<Answered, KindError>> {
        let material = otp::of_shape(device, token)?;
        Some(Ok(otp::answered(Self::check(device.pk, &material, device.next_position, token))))
    }
}
