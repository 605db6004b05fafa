//! Making a credential: WebAuthn section 7.1.

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::factor::fido::{Ceremony, browsers_words};
use oss2fa_core::secret::SecretBytes;
use serde_json::json;
use webauthn_rs::prelude::{RegisterPublicKeyCredential, SecurityKeyRegistration, Uuid, WebauthnError};
use webauthn_rs_core::proto::{AttestationConveyancePreference, COSEAlgorithm};

use super::super::{Enrolled, KindError, NewDevice, Step, Surroundings, Token};
use super::attested::Attested;
use super::credential::{CoseKey, Credential, Parts};
use super::relying_party::RelyingParty;
use super::{Kept, Model, given, note};
use crate::policy::fido::{Attestation, UserVerification};
use crate::store::error::StoreError;

/// The answer to a policy that asks makers to vouch.
const NOT_VOUCHED_FOR: &str = "policy takes keys alone that a trusted maker vouches for: use another key, and let the browser show its model";
const NOT_VERIFIED: &str =
    "policy takes keys alone that verify their user: set a PIN on this key or use another, and try again";
const NO_SUCH_MODEL: &str = "policy does not take this model of key: use another";
const NOT_U2F: &str = "this key knows more than U2F: enroll it as FIDO2";

/// Shows the creation options.
pub(super) fn prepare(around: &Surroundings<'_>, model: Model) -> Result<Step, KindError> {
    let party = RelyingParty::of(around, around.policy.enrollment_expiry)?;
    let exclude = around
        .registered
        .iter()
        .map(|material| Credential::read(material)?.id())
        .collect::<Result<Vec<_>, StoreError>>()?;
    let roots = party.policy.roots().map_err(|_| StoreError::Corrupt("a policy with an impossible root"))?;
    let roots = (party.policy.attestation == Attestation::Required).then_some(roots);
    let (user, name) = (party.user_handle(around)?, around.username.as_str());
    let (mut options, state) = party
        .webauthn
        .start_securitykey_registration(user, name, name, Some(exclude), roots, None)
        .map_err(|error| {
            note(&error);
            StoreError::Corrupt("a policy that no key can follow")
        })?;
    let asked = &mut options.public_key;
    // None is needed, and one that protects the credential would keep hosts from using it without a PIN.
    asked.extensions = None;
    if let Some(selection) = &mut asked.authenticator_selection {
        selection.user_verification = party.wish();
    }
    if model == Model::U2f {
        // The format tells these keys from others. They know one algorithm.
        asked.attestation = Some(AttestationConveyancePreference::Direct);
        asked.pub_key_cred_params.retain(|known| known.alg == COSEAlgorithm::ES256 as i64);
    }
    let kept = Kept::pack(&asked.challenge, state)?;
    Ok(Step { state: kept, shown: Some(json!(options)), send: None })
}

/// Takes the attestation.
pub(super) fn enroll(
    around: &Surroundings<'_>,
    model: Model,
    state: &SecretBytes,
    token: &Token,
) -> Result<Enrolled, KindError> {
    let party = RelyingParty::of(around, around.policy.enrollment_expiry)?;
    let kept: Kept<SecurityKeyRegistration> = Kept::unpack(state)?;
    let Some(given) = given::<RegisterPublicKeyCredential>(token) else { return Ok(Enrolled::Refused) };
    let said = &given.response.client_data_json;
    if let Err(why) = browsers_words(Ceremony::Create, &kept.challenge()?, &party.policy.origins, said) {
        note(&why);
        return Ok(Enrolled::Refused);
    }
    let key = match party.webauthn.finish_securitykey_registration(&given, &kept.state) {
        Ok(key) => key,
        Err(why) => return Ok(refused(&why)),
    };
    let Some(made) = Attested::read(&given.response.attestation_object) else { return Ok(Enrolled::Refused) };
    let same_key = CoseKey::read(&made.public_key)
        .is_some_and(|read| *read.key() == webauthn_rs::prelude::Credential::from(key.clone()).cred);
    let same_id = made.id == *key.cred_id()
        && made.id == given.raw_id
        && BASE64URL_NOPAD.encode(&made.id) == given.id
        && given.type_ == "public-key";
    if !same_key || !same_id {
        return Ok(Enrolled::Refused);
    }
    if let Some(why) = unfit(&party, model, &made) {
        return Ok(Enrolled::Unfit(why));
    }
    let parts =
        Parts { rp_id: party.id.to_owned(), id: made.id.clone(), public_key: made.public_key.clone() };
    let transports = given.response.transports.unwrap_or_default();
    let credential = Credential {
        sign_count: made.counter,
        aaguid: Uuid::from_bytes(made.aaguid).to_string(),
        attestation_format: made.format.clone(),
        attested: party.policy.attestation == Attestation::Required,
        user_verified: made.user_verified(),
        backup_eligible: made.backup_eligible(),
        backup_state: made.backup_state(),
        transports: transports.iter().map(ToString::to_string).collect(),
        ..Credential::new(&parts)
    };
    Ok(Enrolled::Device(NewDevice {
        name: "Security key".to_owned(),
        shown: None,
        material: credential.keep()?,
        code_secret: Some(credential.identity()),
        next_position: match made.counter {
            0 => 0,
            counted => u64::from(counted) + 1,
        },
        codes: Vec::new(),
        public_id: None,
    }))
}

/// What policy has against this key, where it has anything.
fn unfit(party: &RelyingParty<'_>, model: Model, made: &Attested) -> Option<&'static str> {
    let policy = party.policy;
    if policy.user_verification == UserVerification::Required && !made.user_verified() {
        return Some(NOT_VERIFIED);
    }
    if policy.attestation == Attestation::Required && made.format == "none" {
        return Some(NOT_VOUCHED_FOR);
    }
    if !policy.allows_model(&made.aaguid) {
        return Some(NO_SUCH_MODEL);
    }
    // Where the browser keeps the format for itself, the key must at least not show that it knows more.
    let is_u2f = made.format == "fido-u2f" || made.format == "none";
    if model == Model::U2f && !(is_u2f && made.aaguid == [0; 16] && !made.user_verified()) {
        return Some(NOT_U2F);
    }
    None
}

fn refused(why: &WebauthnError) -> Enrolled {
    note(why);
    match why {
        WebauthnError::UserNotVerified => Enrolled::Unfit(NOT_VERIFIED),
        WebauthnError::AttestationNotVerifiable
        | WebauthnError::AttestationChainNotTrusted(_)
        | WebauthnError::AttestationTrustFailure
        | WebauthnError::AttestationNotSupported => Enrolled::Unfit(NOT_VOUCHED_FOR),
        _ => Enrolled::Refused,
    }
}
