//! What a security key answers: canonical CBOR, and each message made of it or of U2F's bytes.

use oss2fa_ctap::auth_data::{AuthenticatorData, MAX_AUTH_DATA, MAX_CREDENTIAL_ID};
use oss2fa_ctap::cbor;
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::ctap2::client_pin::Answer;
use oss2fa_ctap::ctap2::get_assertion::FirstAssertion;
use oss2fa_ctap::ctap2::info::Info;
use oss2fa_ctap::ctap2::make_credential::Attestation;
use oss2fa_ctap::u2f::{Authenticated, Registered, response};

/// The first byte chooses what the rest is read as. What was read has one spelling, and no more in it than there was.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [kind, bytes @ ..] = data else { return };
    match kind % 8 {
        0 => {
            if let Ok((value, rest)) = cbor::parse_first(bytes) {
                assert_eq!(cbor::encode(&value), bytes[..bytes.len() - rest.len()]);
            }
        }
        1 => {
            if let Ok(info) = Info::parse(bytes) {
                assert!(info.max_credentials > 0);
            }
        }
        2 => {
            if let Ok(attestation) = Attestation::parse(bytes) {
                assert!(attestation.auth_data.len() < bytes.len());
            }
        }
        3 => {
            if let Ok(first) = FirstAssertion::parse(bytes, &[]) {
                assert!((1..=64).contains(&first.count));
            }
        }
        4 => drop(Answer::parse(bytes)),
        5 => {
            if let Ok(found) = AuthenticatorData::parse(bytes) {
                assert!((37..=MAX_AUTH_DATA).contains(&bytes.len()));
                assert!(found.credential.is_none_or(|new| (1..=MAX_CREDENTIAL_ID).contains(&new.id.len())));
            }
        }
        6 => {
            if let Ok(key) = PublicKey::from_cose(bytes) {
                assert_eq!(key.to_cose(), bytes);
            }
        }
        _ => {
            let Ok((answer, _)) = response(bytes) else { return };
            if let Ok(made) = Registered::parse(answer) {
                let parts = made.key_handle.len() + made.certificate.len() + made.signature.len();
                assert_eq!(parts + 67, answer.len());
            }
            if let Ok(signed) = Authenticated::parse(answer) {
                assert_eq!(signed.auth_data(&[0; 32])[32..], answer[..5]);
            }
        }
    }
}
