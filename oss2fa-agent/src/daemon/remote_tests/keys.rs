//! Security keys that the server asks through this host: it makes the challenge, and judges the answer.

use std::sync::Mutex;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::cose::PublicKey;
use p256::ecdsa::signature::Verifier;
use sha2::{Digest, Sha256};

use super::*;
use crate::admin::{KeyEnrollment, KeyKind};
use crate::token::soft::{Protocol, SoftKey};

/// A key that somebody has enrolled at a page of the server's.
pub(super) struct Page {
    pub(super) key: SoftKey,
    pub(super) device: i64,
    id: Vec<u8>,
    point: Vec<u8>,
}

impl Page {
    pub(super) fn new(number: u8, device: i64) -> Arc<Self> {
        Self::of(SoftKey::new(Protocol::Both, number), device)
    }

    pub(super) fn of(key: SoftKey, device: i64) -> Arc<Self> {
        let (id, coordinates) = key.inside().made_for("example.org");
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let point = [&[4], hex(&coordinates).as_slice()].concat();
        Arc::new(Self { key, device, id: hex(&id), point })
    }

    /// As the server lists it.
    pub(super) fn listed(&self, asks: &str) -> Value {
        let public_key = PublicKey::from_point(&self.point).unwrap().to_cose();
        json!({
            "device": self.device, "kind": "FIDO2", "name": "blue key", "rp_id": "example.org",
            "credential_id": BASE64URL_NOPAD.encode(&self.id),
            "public_key": BASE64URL_NOPAD.encode(&public_key), "sign_count": 0, "asks": asks,
        })
    }

    /// Whether the key has signed this: what the server is to find out.
    pub(super) fn signed(&self, client_data: &[u8], auth_data: &[u8], signature: &[u8]) -> bool {
        let message = [auth_data, Sha256::digest(client_data).as_slice()].concat();
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&self.point).unwrap();
        let signature = p256::ecdsa::Signature::from_der(signature).unwrap();
        key.verify(&message, &signature).is_ok()
    }

    fn accepts(&self, token: &Value) -> bool {
        let part = |name: &str| decoded(&token["response"][name]);
        let (said, data) = (part("clientDataJSON"), part("authenticatorData"));
        let words: Value = serde_json::from_slice(&said).unwrap();
        let asked = BASE64URL_NOPAD.encode(&challenge(self.device));
        decoded(&token["rawId"]) == self.id
            && token["type"] == "public-key"
            && words["challenge"] == asked
            && words["origin"] == "oss2fa:host"
            && words["type"] == "webauthn.get"
            && self.signed(&said, &data, &part("signature"))
    }
}

pub(super) fn decoded(text: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
}

/// The one of the challenge `100 + device`.
fn challenge(device: i64) -> Vec<u8> {
    Sha256::digest(device.to_be_bytes()).to_vec()
}

/// A server whose `ferris` has these devices, and the keys of these pages.
pub(super) fn judging(
    pages: &[&Arc<Page>],
    others: Vec<Value>,
    asks: &'static str,
) -> impl Fn(&Asked, usize) -> Reaction + Send + Sync + use<> {
    let pages: Vec<Arc<Page>> = pages.iter().map(|page| Arc::clone(page)).collect();
    let mut devices = others;
    devices.extend(pages.iter().map(|page| device(page.device, "FIDO2", None)));
    move |asked, _| {
        let path = asked.path.split('?').next().unwrap();
        if path == "/integrations/clients/auth" {
            return Reaction::Answer(200, json!({"result": 2, "devices": devices}));
        }
        if path == "/integrations/security-keys" {
            let all: Vec<Value> = pages.iter().map(|page| page.listed(asks)).collect();
            return Reaction::Answer(200, json!(all));
        }
        if path == "/integrations/challenges" {
            let device = asked.body["device_pk"].as_i64().unwrap();
            let options = json!({"publicKey": {
                "challenge": BASE64URL_NOPAD.encode(&challenge(device)), "rpId": "example.org", "timeout": 60000,
            }});
            return opened(100 + device, 300, options);
        }
        for page in &pages {
            if path == format!("/integrations/challenges/{}/complete", 100 + page.device) {
                return match page.accepts(&asked.body["token"]) {
                    true => Reaction::Answer(200, json!({"client": 3, "device": page.device, "status": 3})),
                    false => refused(403, "wrong_token"),
                };
            }
        }
        match path.strip_prefix("/integrations/challenges/") {
            Some(_) if asked.method == "DELETE" => Reaction::Answer(204, Value::Null),
            _ => well(asked),
        }
    }
}

/// A challenge that lives this many seconds, by a clock that is wrong.
fn opened(pk: i64, seconds: u64, options: Value) -> Reaction {
    let until = format!("2019-02-03T04:{:02}:{:02}.000250Z", 5 + seconds / 60, seconds % 60);
    Reaction::Answer(
        201,
        json!({
            "pk": pk, "created_at": "2019-02-03T04:05:00.000250Z", "expires_at": until, "public_details": options,
        }),
    )
}

/// Somebody who sits here.
pub(super) fn here() -> Login {
    Login { service: "sudo".to_owned(), tty: Some("pts/0".to_owned()), rhost: None, ..who() }
}

fn paths(server: &Scripted) -> Vec<String> {
    let asked = server.asked().into_iter();
    asked.map(|asked| format!("{} {}", asked.method, asked.path.split('?').next().unwrap())).collect()
}

/// The server hears of what nobody waits for in its own time.
fn given_up(server: &Scripted, challenge: i64) {
    let path = format!("/integrations/challenges/{challenge}");
    let until = Instant::now() + SOON;
    while server.asked_for(&path).iter().all(|asked| asked.method != "DELETE") {
        assert!(Instant::now() < until, "{:?}", paths(server));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_touch_here_is_judged_by_the_server() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    let ended = host.login_by(here(), &[""]);
    assert_eq!((ended.outcome, ended.prompts.len()), (Outcome::Verified, 1), "{ended:?}");
    assert_eq!(
        paths(&server),
        [
            "POST /integrations/clients/auth",
            "GET /integrations/security-keys",
            "POST /integrations/challenges",
            "POST /integrations/challenges/109/complete",
            // Of a host that does not have the key yet.
            "GET /integrations/security-keys"
        ]
    );
    let asked = &server.asked()[1];
    assert!(asked.path.ends_with("?username=ferris"), "{}", asked.path);
    assert!(server.asked_for("/integrations/challenges/109/complete")[0].key.is_some(), "spent once");
    assert_eq!(host.events(), ["accepted", "key_kept"]);
    assert_eq!(host.live.store.users_with_server_keys().unwrap(), ["ferris"]);
}

#[test]
fn any_of_several_keys_will_do_and_challenges_of_others_are_given_up() {
    let (blue, red) = (Page::new(1, 9), Page::new(2, 10));
    let server = Scripted::start(Identity::Right, judging(&[&blue, &red], Vec::new(), "touch"));
    let host = asking(&server, "");
    host.hub.plug_in("blue", &blue.key);
    host.hub.plug_in("red", &red.key);
    let touching = red.key.clone();
    let toucher = thread::spawn(move || {
        while touching.inside().blinking == 0 {
            thread::sleep(Duration::from_millis(2));
        }
        touching.touch();
    });
    let ended = host.login_by(here(), &[]);
    toucher.join().unwrap();
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    assert_eq!(ended.told[0], "Have your security key plugged in.", "nothing else could be shown");
    assert_eq!(server.asked_for("/integrations/challenges/110/complete").len(), 1);
    given_up(&server, 109);
}

#[test]
fn nothing_is_opened_for_a_foreign_key_and_a_code_is_asked() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "");
    host.hub.plug_in("foreign", &SoftKey::new(Protocol::Both, 5));
    let ended = host.login_by(here(), &["123456"]);
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    assert!(ended.told[0].contains("or type a code"), "{ended:?}");
    assert!(server.asked_for("/integrations/challenges").is_empty());
}

#[test]
fn who_is_elsewhere_is_asked_for_no_key() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    let ended = host.login(&["123456"]);
    assert_eq!((ended.outcome, ended.told.len()), (Outcome::Verified, 0), "{ended:?}");
    assert_eq!(ended.prompts, ["Verification code: "], "the key is no choice of a menu");
    assert_eq!(paths(&server), ["POST /integrations/clients/auth", "POST /integrations/clients/verify"]);
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "and none is kept");
}

#[test]
fn whoever_leaves_gives_the_challenge_up_and_the_next_is_served() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], Vec::new(), "touch"));
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut ours = Connection::new(ours).unwrap();
    let live = Arc::clone(&host.live);
    let serving = thread::spawn(move || {
        let (conversation, echo) = (Conversation::Messages, Echo::Off);
        let start = Start { login: here(), conversation, prompt: None, echo, ssh: None };
        login::authenticate(&live, &mut ours, Caller::Root, start)
    });
    while page.key.inside().blinking == 0 {
        thread::sleep(Duration::from_millis(2));
    }
    drop(theirs);
    serving.join().unwrap().unwrap();
    given_up(&server, 109);
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Verified);
}

#[test]
fn a_challenge_that_is_over_before_the_touch_makes_room_for_a_new_one() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], Vec::new(), "touch");
    let server = Scripted::start(Identity::Right, move |asked, before| {
        if asked.path == "/integrations/challenges" && before == 0 {
            let options = json!({"publicKey": {
                "challenge": BASE64URL_NOPAD.encode(&challenge(77)), "rpId": "example.org", "timeout": 60000,
            }});
            return opened(99, 1, options);
        }
        usual(asked, before)
    });
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    let key = page.key.clone();
    let toucher = thread::spawn(move || {
        while key.inside().blinking < 2 {
            thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(key.inside().cancelled, 1, "it was told to stop");
        key.touch();
    });
    let ended = host.login_by(here(), &[]);
    toucher.join().unwrap();
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    given_up(&server, 99);
    assert_eq!(server.asked_for("/integrations/challenges").len(), 2, "no more than are needed");
    assert_eq!(server.asked_for("/integrations/challenges/109/complete").len(), 1);
}

#[test]
fn no_key_is_asked_for_a_challenge_that_is_over_when_it_comes() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let server = Scripted::start(Identity::Right, move |asked, before| match usual(asked, before) {
        Reaction::Answer(201, Value::Object(mut body)) => {
            body["expires_at"] = body["created_at"].clone();
            Reaction::Answer(201, Value::Object(body))
        }
        other => other,
    });
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    assert_eq!(host.login_by(here(), &["123456"]).outcome, Outcome::Verified, "by the code");
    assert_eq!(page.key.inside().answered_at, None);
}

#[test]
fn a_device_that_poses_as_the_key_of_a_user_of_the_server_keeps_out_no_code() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "");
    let forged = page.key.forged();
    host.hub.plug_in("forged", &forged);
    forged.touch();
    let ended = host.login_by(here(), &["", "123456"]);
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    assert!(ended.told.iter().any(|told| told.contains("calls itself your security key")), "{ended:?}");
    assert_eq!(host.events()[..2], ["refused", "accepted"]);
    assert!(server.asked_for("/integrations/challenges/109/complete").is_empty());
    given_up(&server, 109);
    // Nor the key itself, once it comes.
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    forged.touch();
    assert_eq!(host.login_by(here(), &[""]).outcome, Outcome::Verified);
    assert_eq!(server.asked_for("/integrations/challenges/109/complete").len(), 1);
}

#[test]
fn what_the_server_refuses_is_refused() {
    let page = Page::new(1, 9);
    for (at, answer) in [
        ("/integrations/challenges/109/complete", refused(403, "wrong_token")),
        ("/integrations/challenges/109/complete", refused(409, "challenge_over")),
        ("/integrations/challenges/109/complete", refused(429, "locked")),
        ("/integrations/challenges/109/complete", refused(500, "internal")),
        (
            "/integrations/challenges/109/complete",
            Reaction::Answer(200, json!({"client": 3, "device": 9, "status": 2})),
        ),
        ("/integrations/challenges/109/complete", Reaction::Answer(200, Value::Null)),
    ] {
        let usual = judging(&[&page], Vec::new(), "touch");
        let words = format!("{answer:?}");
        let server = Scripted::start(Identity::Right, move |asked, before| match asked.path == at {
            true => answer.clone(),
            false => usual(asked, before),
        });
        let host = asking(&server, "");
        host.hub.plug_in("blue", &page.key);
        page.key.touch();
        let ended = host.login_by(here(), &[]);
        assert_ne!(ended.outcome, Outcome::Verified, "{words}");
        assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "{words}: nothing is kept");
    }
}

#[test]
fn a_server_that_does_not_say_which_keys_leaves_the_codes() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let server = Scripted::start(Identity::Right, move |asked, before| {
        match asked.path.starts_with("/integrations/security-keys") {
            true => refused(404, "not_found"),
            false => usual(asked, before),
        }
    });
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    assert_eq!(host.login_by(here(), &["123456"]).outcome, Outcome::Verified);
}

#[test]
fn a_service_without_keys_among_its_factors_asks_for_none() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "[policy.service.sudo]\nfactors = [\"totp\"]\n");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    let ended = host.login_by(here(), &["123456"]);
    assert_eq!(
        (ended.outcome, ended.prompts.as_slice()),
        (Outcome::Verified, &["Verification code: ".to_owned()][..])
    );
}

#[test]
fn the_pin_is_asked_where_the_server_or_this_host_wants_it() {
    for (asks, policy) in [("user", ""), ("touch", "[policy]\nuser_verification = \"required\"\n")] {
        let page = Page::of(SoftKey::new(Protocol::Both, 1).with_pin("2580"), 9);
        let server = Scripted::start(Identity::Right, judging(&[&page], Vec::new(), asks));
        let host = asking(&server, policy);
        host.hub.plug_in("blue", &page.key);
        page.key.touch();
        let wrong = host.login_by(here(), &["1111", "2580"]);
        assert_eq!(wrong.outcome, Outcome::Verified, "{wrong:?}");
        assert!(wrong.prompts[0].contains("8 tries left"), "{wrong:?}");
        assert!(wrong.prompts[1].starts_with("Wrong PIN."), "{wrong:?}");
        let token = &server.asked_for("/integrations/challenges/109/complete")[0].body["token"];
        assert_eq!(decoded(&token["response"]["authenticatorData"])[32] & 4, 4, "the user was verified");
    }
}

#[test]
fn a_menu_of_other_devices_stands_beside_the_keys() {
    let page = Page::new(1, 9);
    let others = vec![device(7, "TOTP", None), device(8, "EMAIL", Some("f***@example.org"))];
    let server = Scripted::start(Identity::Right, judging(&[&page], others, "touch"));
    let host = asking(&server, "");
    let ended = host.login_by(here(), &["123456"]);
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    assert_eq!(ended.prompts, ["1. TOTP\n2. e-mail to f***@example.org\nNumber, or code: "]);
    page.key.touch();
    host.hub.plug_in("blue", &page.key);
    assert_eq!(host.login_by(here(), &[""]).outcome, Outcome::Verified);
}

/// Takes enrolments of keys, and remembers the last.
fn enrolling(
    origins: &'static [&'static str],
    made: &Arc<Mutex<Value>>,
) -> impl Fn(&Asked, usize) -> Reaction + use<> {
    let made = Arc::clone(made);
    move |asked, before| match asked.path.split('?').next().unwrap() {
        "/integrations/policy" => Reaction::Answer(200, json!({"fido": {"origins": origins}})),
        "/integrations/enrollments" => Reaction::Answer(201, json!({"pk": 5, "public_details": null})),
        "/integrations/enrollments/5/prepare-device" => {
            let options = json!({"publicKey": {
                "challenge": BASE64URL_NOPAD.encode(&challenge(0)),
                "rp": {"id": "example.org", "name": "Example"},
                "user": {"id": BASE64URL_NOPAD.encode(&[8; 16]), "name": "ferris", "displayName": "ferris"},
                "pubKeyCredParams": [{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}],
                "authenticatorSelection": {"userVerification": "preferred", "requireResidentKey": false},
                "attestation": if asked.body["kind"] == "U2F" { "direct" } else { "none" },
            }});
            Reaction::Answer(200, json!({"pk": 5, "public_details": options}))
        }
        "/integrations/enrollments/5/complete" => {
            *made.lock().unwrap() = asked.body["token"].clone();
            Reaction::WithHead(201, "X-Client-Id: 3", Value::Null)
        }
        "/integrations/security-keys" => Reaction::Answer(200, json!([])),
        "/integrations/clients/3/devices" => Reaction::Answer(200, json!([device(9, "FIDO2", None)])),
        "/integrations/clients/3/devices/9" => Reaction::Answer(200, Value::Null),
        _ => listing("active")(asked, before),
    }
}

fn enroll(host: &Daemon, caller: Caller, kind: KeyKind) -> Response {
    let wanted = KeyEnrollment {
        user: "ferris".to_owned(),
        kind,
        name: Some(DeviceName::new("blue").unwrap()),
        resident: false,
        pin: false,
        proof: None,
    };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
    thread::scope(|scope| {
        let serving = scope.spawn(move || admin::enroll_key(&host.live, &mut ours, caller, wanted));
        loop {
            match theirs.receive(Instant::now() + SOON).unwrap() {
                Response::Step { .. } => {}
                ended => {
                    serving.join().unwrap().unwrap();
                    return ended;
                }
            }
        }
    })
}

#[test]
fn a_key_is_enrolled_at_the_server_which_judges_it() {
    let made = Arc::new(Mutex::new(Value::Null));
    let server = Scripted::start(Identity::Right, enrolling(&["https://example.org", "oss2fa:host"], &made));
    let host = asking(&server, "");
    let key = SoftKey::new(Protocol::Both, 7);
    host.hub.plug_in("blue", &key);
    key.touch();
    let view = match enroll(&host, Caller::Root, KeyKind::Fido2) {
        Response::Device(view) => view,
        other => panic!("{other:?}"),
    };
    assert_eq!((view.device, view.kind, view.name.as_str()), (DeviceId(9), FactorKind::Fido2, "blue"));
    let token = made.lock().unwrap().clone();
    let said: Value = serde_json::from_slice(&decoded(&token["response"]["clientDataJSON"])).unwrap();
    assert_eq!((&said["type"], &said["origin"]), (&json!("webauthn.create"), &json!("oss2fa:host")));
    assert_eq!(said["challenge"], BASE64URL_NOPAD.encode(&challenge(0)));
    let object = decoded(&token["response"]["attestationObject"]);
    assert!(object.starts_with(b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58"), "{object:02x?}");
    let data = &object[30..];
    assert_eq!(data[..32], *Sha256::digest(b"example.org"), "{data:02x?}");
    assert_eq!(data[37..53], [0; 16], "the model was not asked for");
    assert_eq!(decoded(&token["rawId"]), data[55..87]);
}

#[test]
fn who_may_not_enrols_no_key_and_touches_none_in_vain() {
    let made = Arc::new(Mutex::new(Value::Null));
    let server = Scripted::start(Identity::Right, enrolling(&["https://example.org"], &made));
    let host = asking(&server, "");
    let refusal = |caller| match enroll(&host, caller, KeyKind::Fido2) {
        Response::Refused(refused) => refused,
        other => panic!("{other:?}"),
    };
    let why = refusal(Caller::Root);
    assert!(why.message.contains("oss2fa:host"), "{why:?}");
    assert_eq!(refusal(Caller::User(UID)).code, RefusalCode::ProofNeeded, "a code of what is there already");
    assert_eq!(refusal(Caller::User(UID + 1)).code, RefusalCode::NotAllowed);
    assert!(server.asked_for("/integrations/enrollments").is_empty(), "nothing was begun");
}
