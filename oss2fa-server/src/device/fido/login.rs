//! Using a credential: WebAuthn section 7.2.

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::factor::fido::{Assertion, Expected, check};
use oss2fa_core::secret::SecretBytes;
use serde_json::json;
use webauthn_rs::prelude::{PublicKeyCredential, SecurityKeyAuthentication};

use super::super::{Answered, KindError, NotOffered, Spend, Step, StoredDevice, Surroundings, Token};
use super::credential::Credential;
use super::relying_party::RelyingParty;
use super::{Kept, given, note};
use crate::store::error::StoreError;

/// Shows the request options, for this credential alone.
pub(super) fn challenge(around: &Surroundings<'_>, device: &StoredDevice) -> Result<Step, KindError> {
    let party = RelyingParty::of(around, around.policy.challenge_expiry)?;
    let credential = Credential::read(&device.material)?;
    if credential.rp_id != party.id {
        return Err(NotOffered::OtherRelyingParty.into());
    }
    let key = credential.for_login(party.wish())?;
    let (mut options, state) = party.webauthn.start_securitykey_authentication(&[key]).map_err(|error| {
        note(&error);
        StoreError::Corrupt("a credential that cannot be asked for")
    })?;
    options.public_key.user_verification = party.wish();
    let kept = Kept::pack(&options.public_key.challenge, state)?;
    Ok(Step { state: kept, shown: Some(json!(options)), send: None })
}

/// Takes the assertion.
pub(super) fn answer(
    around: &Surroundings<'_>,
    device: &StoredDevice,
    state: &SecretBytes,
    token: &Token,
) -> Result<Answered, KindError> {
    let party = RelyingParty::of(around, around.policy.challenge_expiry)?;
    let kept: Kept<SecurityKeyAuthentication> = Kept::unpack(state)?;
    let credential = Credential::read(&device.material)?;
    let Some(given) = given::<PublicKeyCredential>(token) else { return Ok(Answered::Refused) };
    let is_this_one = given.raw_id == credential.id()?
        && given.id == BASE64URL_NOPAD.encode(&given.raw_id)
        && given.type_ == "public-key";
    let handle = party.user_handle(around)?;
    let is_this_user = given
        .response
        .user_handle
        .as_ref()
        .is_none_or(|given| given.is_empty() || given.as_slice() == handle.as_bytes());
    if !is_this_one || !is_this_user || credential.rp_id != party.id {
        note(&"another credential");
        return Ok(Answered::Refused);
    }
    if let Err(why) = party.webauthn.finish_securitykey_authentication(&given, &kept.state) {
        note(&why);
        return Ok(Answered::Refused);
    }
    let challenge = kept.challenge()?;
    let expected = Expected {
        rp_id: party.id,
        origins: &party.policy.origins,
        challenge: &challenge,
        user_verification: party.need(&credential),
    };
    let assertion = Assertion {
        client_data: &given.response.client_data_json,
        authenticator_data: &given.response.authenticator_data,
        signature: &given.response.signature,
    };
    match check(device.pk, &credential.key()?, &expected, &assertion) {
        Ok(verified) => Ok(Answered::Verified(verified, Spend::Counter)),
        Err(why) => {
            note(&why);
            Ok(Answered::Refused)
        }
    }
}
