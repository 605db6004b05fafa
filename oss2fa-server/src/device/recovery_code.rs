//! Recovery codes: single-use, shown once, kept as keyed digests.

use oss2fa_core::factor::recovery_code::{self, COUNT, ENTROPY, StoredCode};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Answered, Description, Enrolled, Kind, KindError, NewDevice, Spend, Step, StoredDevice, Surroundings,
    Token,
};
use crate::keys::TenantKeys;
use crate::store::error::StoreError;

/// The name of the kind, which the store knows too: it reads the codes with the device.
pub const NAME: &str = "RECOVERY";

/// The kind.
pub struct RecoveryCodes;

/// Each code has 80 random bits: the digest needs no salt beside the tenant's key.
fn digest(keys: &TenantKeys, canonical: &str) -> [u8; 32] {
    keys.digest("recovery code", 0, canonical)
}

fn digest_of(keys: &TenantKeys, token: &Token) -> Option<[u8; 32]> {
    let code = recovery_code::canonical(token.text()?)?;
    Some(digest(keys, code.expose_canonical()))
}

/// What waits in the enrollment: the digests, one behind the other.
fn read(state: &SecretBytes) -> Result<Vec<StoredCode>, StoreError> {
    let (chunks, rest) = state.expose().as_chunks::<32>();
    if !rest.is_empty() || chunks.is_empty() {
        return Err(StoreError::Corrupt("a list of recovery codes that was cut"));
    }
    Ok((0..).zip(chunks).map(|(number, digest)| StoredCode { number, digest: *digest }).collect())
}

impl Kind for RecoveryCodes {
    fn description(&self) -> Description {
        Description {
            pk: 5,
            name: NAME,
            description: "Single-use codes on paper, for the day the phone is lost",
        }
    }

    fn prepare(&self, around: &Surroundings<'_>, _: i64, options: &Value) -> Result<Step, KindError> {
        if !matches!(options, Value::Null) && options.as_object().is_none_or(|fields| !fields.is_empty()) {
            return Err(KindError::Options("recovery codes take no options".to_owned()));
        }
        let (mut shown, mut digests) = (Vec::with_capacity(COUNT), Vec::with_capacity(32 * COUNT));
        for _ in 0..COUNT {
            let mut random = Zeroizing::new([0; ENTROPY]);
            around.random.fill(random.as_mut_slice()).map_err(StoreError::from)?;
            let code = recovery_code::from_random(&random);
            digests.extend(digest(around.keys, code.expose_canonical()));
            shown.push(code.to_display().expose().to_owned());
        }
        Ok(Step { state: SecretBytes::new(digests), shown: Some(json!({ "codes": shown })), send: None })
    }

    /// One of the codes shows that the list was kept; it is spent by that.
    fn enroll(
        &self,
        around: &Surroundings<'_>,
        _: i64,
        state: &SecretBytes,
        token: &Token,
    ) -> Result<Enrolled, KindError> {
        let mut codes = read(state)?;
        let Some(presented) = digest_of(around.keys, token) else { return Ok(Enrolled::Refused) };
        let Some(shown) = recovery_code::check(DeviceId(0), &presented, &codes) else {
            return Ok(Enrolled::Refused);
        };
        codes.retain(|code| code.number != shown.position());
        Ok(Enrolled::Device(NewDevice {
            name: "Recovery codes".to_owned(),
            shown: None,
            material: SecretBytes::new(Vec::new()),
            code_secret: None,
            next_position: 0,
            codes,
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
        let Some(presented) = digest_of(around.keys, token) else { return Ok(Answered::Refused) };
        let found = recovery_code::check(device.pk, &presented, &device.codes);
        Ok(found.map_or(Answered::Refused, |verified| Answered::Verified(verified, Spend::Code)))
    }

    fn tried(
        &self,
        around: &Surroundings<'_>,
        device: &StoredDevice,
        token: &Token,
    ) -> Option<Result<Answered, KindError>> {
        recovery_code::canonical(token.text()?)?;
        Some(self.answer(around, device, None, token))
    }
}
