//! Enrolments of security keys, as a browser completes them. What is not signed is taken here: policy asks for no maker.

use axum::body::Body;
use axum::http::Request;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::world::{ORIGIN, World, world};
use super::{counted, look_at};

/// Stands in a token for what a browser says of the enrolment at hand.
const SAID: &str = "CLIENT_DATA";

/// The first byte chooses: by 1 the kind, by 2 whether the rest is the token or what a key made: the id of a credential,
/// with its length in a byte in front, and the attestation object.
pub(super) fn target(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    let token = if how & 2 == 0 {
        let (id, object) = counted(rest);
        let (id, object) = (BASE64URL_NOPAD.encode(id), BASE64URL_NOPAD.encode(object));
        let response = json!({"clientDataJSON": SAID, "attestationObject": object, "transports": ["usb"]});
        json!({"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}})
            .to_string()
    } else {
        let Ok(text) = std::str::from_utf8(rest) else { return };
        text.to_owned()
    };
    let world = world();
    let kind = if how & 1 == 0 { "FIDO2" } else { "U2F" };
    let pk = done(world, "", &json!({"username": "jane.doe"}))["pk"].clone();
    let begun = done(world, &format!("/{pk}/prepare-device"), &json!({"kind": kind}));
    let challenge = &begun["public_details"]["publicKey"]["challenge"];
    let said = json!({"type": "webauthn.create", "challenge": challenge, "origin": ORIGIN}).to_string();
    let token = token.replace(SAID, &BASE64URL_NOPAD.encode(said.as_bytes()));
    let (status, headers, body) =
        world.answer(post(world, &format!("/{pk}/complete"), format!("{{\"token\": {token}}}")));
    look_at(status, &headers, &body);
}

fn done(world: &World, path: &str, body: &Value) -> Value {
    let (status, _, body) = world.answer(post(world, path, body.to_string()));
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

fn post(world: &World, path: &str, body: String) -> Request<Body> {
    Request::post(format!("/integrations/enrollments{path}"))
        .header("X-Integration-Token", &world.token)
        .body(Body::from(body))
        .unwrap()
}
