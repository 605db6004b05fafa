//! Which models of key are taken: U2F or any, those that a maker vouches for, those on the list.

use serde_json::{Value, json};

use crate::security_key::Keys;
use crate::security_keys::{Desk, Enrolled};

const MODEL: &str = "cb69481e-8ff7-4039-93ec-0a2729a154a8";
const SAME: &str = "cb69481e8ff7403993ec0a2729a154a8";
const OTHER: &str = "fa2b99dc9e3942578f924a30d23c4118";

fn not_allowed() -> (u16, String) {
    (403, "key_not_allowed".to_owned())
}

#[tokio::test]
async fn row_57_only_models_on_the_list_are_enrolled_and_a_maker_says_which_they_are() {
    let desk = Desk::new().await;
    let unproven =
        json!({"rp_id": "example.org", "origins": ["https://www.example.org"], "allowed_aaguids": [MODEL]});
    let refused = desk.whole_policy(&unproven).await;
    assert_eq!(
        refused.refusal(),
        (422, "bad_policy".to_owned()),
        "a model is what a key says, until it is vouched for"
    );
    let before = desk.enroll("before", json!({})).await;
    desk.policy(json!({
        "attestation": "required", "attestation_roots": [desk.keys.root()], "allowed_aaguids": [MODEL],
    }))
    .await;
    for (wrong, passes) in [
        (json!({"format": "packed", "aaguid": SAME}), true),
        (json!({"format": "packed", "aaguid": OTHER}), false),
        (json!({"format": "self", "aaguid": SAME}), false),
        (json!({"format": "none", "aaguid": SAME}), false),
        (json!({"format": "fido-u2f"}), false),
    ] {
        let (answer, _) = desk.show("touch", "FIDO2", &wrong).await;
        match passes {
            true => assert_eq!(answer.status, 201, "{wrong}: {answer:?}"),
            false => assert_eq!(answer.refusal(), not_allowed(), "{wrong}: {answer:?}"),
        }
    }
    let forger = Keys::new();
    let enrollment = desk.begin("touch").await;
    let options = desk.prepare(enrollment, "FIDO2").await.ok()["public_details"].clone();
    assert_eq!(options["publicKey"]["attestation"], "direct");
    let (_, forged) = forger.create(&options, &json!({"format": "packed", "aaguid": SAME}));
    assert_eq!(desk.complete(enrollment, &forged).await.refusal(), not_allowed(), "another maker's word");
    desk.login("before", before, json!({})).await.ok();
}

#[tokio::test]
async fn the_kind_u2f_takes_keys_that_know_nothing_else() {
    let desk = Desk::new().await;
    let enrollment = desk.begin("touch").await;
    let options = desk.prepare(enrollment, "U2F").await.ok()["public_details"]["publicKey"].clone();
    assert_eq!(
        (&options["attestation"], &options["pubKeyCredParams"]),
        (&json!("direct"), &json!([{"type": "public-key", "alg": -7}]))
    );
    for (wrong, passes) in [
        (json!({"format": "fido-u2f"}), true),
        (json!({"format": "none"}), true),
        (json!({"format": "packed", "aaguid": SAME}), false),
        (json!({"format": "none", "aaguid": SAME}), false),
        (json!({"format": "fido-u2f", "verified": true}), false),
    ] {
        let (answer, key) = desk.show("touch", "U2F", &wrong).await;
        if !passes {
            assert_eq!(answer.refusal(), not_allowed(), "{wrong}: {answer:?}");
            continue;
        }
        assert_eq!(answer.status, 201, "{wrong}: {answer:?}");
        let who = Enrolled { device: desk.newest("touch").await, key };
        desk.login("touch", who, json!({})).await.ok();
    }
    let (any, _) = desk.show("touch", "FIDO2", &json!({"format": "fido-u2f"})).await;
    assert_eq!(any.status, 201, "FIDO2 is any key: {any:?}");
    let device = desk.newest("touch").await;
    desk.policy(json!({"user_verification": "required"})).await;
    assert_eq!(desk.prepare(enrollment, "U2F").await.refusal(), (403, "kind_not_allowed".to_owned()));
    let kinds = desk.world.ask(&desk.f.a.token, "GET", "/devices-kind", &Value::Null).await.text;
    assert!(kinds.contains("FIDO2") && !kinds.contains("U2F"), "{kinds} {device}");
}

#[tokio::test]
async fn a_maker_that_is_trusted_vouches_for_u2f_keys_too() {
    let desk = Desk::new().await;
    desk.policy(json!({"attestation": "required", "attestation_roots": [desk.keys.root()]})).await;
    let (answer, _) = desk.show("touch", "U2F", &json!({"format": "fido-u2f"})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let (answer, _) = desk.show("touch", "U2F", &json!({"format": "none"})).await;
    assert_eq!(answer.refusal(), not_allowed(), "{answer:?}");
}
