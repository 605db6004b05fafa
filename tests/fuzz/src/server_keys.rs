//! What a server says of security keys, as a host reads it: the keys of a user, and what is put to one of them.
//!
//! The first byte chooses which.

use std::time::Instant;

use oss2fa_agent::server::security_keys::{KeyList, Opened, Prepared, assertion_token};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::verify::UserVerification;

/// What is read is bounded, and could be put to a key.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [which, body @ ..] = data else { return };
    match which % 4 {
        0 => list(body),
        1 => challenge(body),
        2 => enrolment(body, UserVerification::NotAsked),
        _ => enrolment(body, UserVerification::Required),
    }
}

fn list(body: &[u8]) {
    let Ok(KeyList(keys)) = serde_json::from_slice(body) else { return };
    assert!(keys.len() <= 64);
    for key in keys {
        assert!(matches!(key.kind, FactorKind::Fido2 | FactorKind::U2f));
        assert!(!key.credential.id.is_empty() && !key.credential.rp.as_str().is_empty());
    }
}

fn challenge(body: &[u8]) {
    let Ok(opened) = serde_json::from_slice::<Opened>(body) else { return };
    let asked = Instant::now();
    let Some(challenge) = opened.challenge(asked) else { return };
    assert!(challenge.until > asked, "over before it began");
    let (rp, client_data) = (challenge.login.rp(), challenge.login.client_data());
    assert!(!rp.as_str().is_empty());
    said(client_data.json(), "webauthn.get");
    let assertion =
        Assertion { credential_id: vec![1], auth_data: vec![2], signature: vec![3], user_id: None };
    assert!(assertion_token(client_data, &assertion).is_object());
}

fn enrolment(body: &[u8], wish: UserVerification) {
    let Ok(prepared) = serde_json::from_slice::<Prepared>(body) else { return };
    let Some(waiting) = prepared.waiting(wish) else { return };
    let registration = &waiting.registration;
    assert!(!registration.algorithms().is_empty() && (1..=64).contains(&waiting.owner.len()));
    // What the host itself asks for, no server takes back.
    assert!(wish == UserVerification::NotAsked || registration.verification() == UserVerification::Required);
    said(registration.client_data().json(), "webauthn.create");
}

/// A key signs JSON: one text for one challenge, whatever the server put into it.
fn said(json: &str, about: &str) {
    let said: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((&said["type"], &said["origin"]), (&about.into(), &"oss2fa:host".into()));
}
