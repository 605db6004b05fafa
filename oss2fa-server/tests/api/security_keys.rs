//! Security keys: who gets in with one, and who does not. The keys are the `fido2` library's.

use serde_json::{Value, json};

use crate::fixture::{Fixture, world};
use crate::security_key::Keys;
use crate::world::{Answer, World};

/// An integration whose policy names a relying party, and keys to enroll there.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) f: Fixture,
    pub(crate) keys: Keys,
}

/// What a client has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enrolled {
    pub(crate) device: i64,
    pub(crate) key: u64,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        let (world, f) = world().await;
        let desk = Self { world, f, keys: Keys::new() };
        desk.policy(json!({})).await;
        desk
    }

    /// Sets what `fido` says beside the relying party.
    pub(crate) async fn policy(&self, fido: Value) {
        let mut all = json!({"rp_id": "example.org", "origins": ["https://www.example.org"]});
        all.as_object_mut().unwrap().extend(fido.as_object().unwrap().clone());
        self.whole_policy(&all).await.ok();
    }

    pub(crate) async fn whole_policy(&self, fido: &Value) -> Answer {
        let path = format!("/tenants/integrations/{}/policy", self.f.a.integration);
        // So many, that it is never the count which refuses.
        let policy = json!({"locks": {"free_attempts": 100}, "attempts": 20, "fido": fido});
        self.world.ask(&self.f.a.admin, "PUT", &path, &policy).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.ask(&self.f.a.token, "POST", path, &body).await
    }

    pub(crate) async fn begin(&self, username: &str) -> i64 {
        self.post("/integrations/enrollments", json!({"username": username})).await.pk()
    }

    pub(crate) async fn prepare(&self, enrollment: i64, kind: &str) -> Answer {
        let path = format!("/integrations/enrollments/{enrollment}/prepare-device");
        self.post(&path, json!({"kind": kind})).await
    }

    pub(crate) async fn complete(&self, enrollment: i64, token: &Value) -> Answer {
        let path = format!("/integrations/enrollments/{enrollment}/complete");
        self.post(&path, json!({"token": token})).await
    }

    /// Shows a new key, with something wrong about it or not.
    pub(crate) async fn show(&self, username: &str, kind: &str, wrong: &Value) -> (Answer, u64) {
        let enrollment = self.begin(username).await;
        let options = self.prepare(enrollment, kind).await.ok()["public_details"].clone();
        let (key, token) = self.keys.create(&options, wrong);
        (self.complete(enrollment, &token).await, key)
    }

    pub(crate) async fn enroll(&self, username: &str, wrong: Value) -> Enrolled {
        let (done, key) = self.show(username, "FIDO2", &wrong).await;
        assert_eq!(done.status, 201, "{done:?}");
        Enrolled { device: self.newest(username).await, key }
    }

    pub(crate) async fn newest(&self, username: &str) -> i64 {
        let login = self.post("/integrations/clients/auth", json!({"username": username})).await.ok();
        login["devices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|device| device["pk"].as_i64().unwrap())
            .max()
            .unwrap()
    }

    /// A challenge and its request options.
    pub(crate) async fn challenge(&self, username: &str, device: i64) -> (i64, Value) {
        let asked = json!({"username": username, "device_pk": device});
        let made = self.post("/integrations/challenges", asked).await.ok();
        (made["pk"].as_i64().unwrap(), made["public_details"].clone())
    }

    pub(crate) async fn answer(&self, challenge: i64, token: &Value) -> Answer {
        self.post(&format!("/integrations/challenges/{challenge}/complete"), json!({"token": token})).await
    }

    /// A login, with something wrong about it or not.
    pub(crate) async fn login(&self, username: &str, who: Enrolled, wrong: Value) -> Answer {
        let (challenge, options) = self.challenge(username, who.device).await;
        self.answer(challenge, &self.keys.get(who.key, &options, &wrong)).await
    }

    pub(crate) fn events(&self, what: &str) -> Vec<String> {
        let audit = self.world.audit(self.f.a.tenant);
        audit.into_iter().filter(|event| event[0] == what).map(|[.., detail]| detail).collect()
    }
}

fn wrong_token() -> (u16, String) {
    (403, "wrong_token".to_owned())
}

#[tokio::test]
async fn a_key_is_enrolled_and_lets_its_owner_in() {
    let desk = Desk::new().await;
    let enrollment = desk.begin("touch").await;
    let prepared = desk.prepare(enrollment, "FIDO2").await.ok();
    let asked = &prepared["public_details"]["publicKey"];
    assert_eq!(prepared["device_selection"], 7);
    assert_eq!((&asked["rp"]["id"], &asked["rp"]["name"]), (&json!("example.org"), &json!("aurora vpn")));
    assert_eq!((&asked["attestation"], &asked["user"]["name"]), (&json!("none"), &json!("touch")));
    assert_eq!(asked["authenticatorSelection"]["userVerification"], "preferred", "{asked}");
    assert!(!asked["user"]["id"].as_str().unwrap().is_empty() && asked["extensions"].is_null(), "{asked}");
    let (key, token) = desk.keys.create(&prepared["public_details"], &json!({}));
    let done = desk.complete(enrollment, &token).await;
    assert_eq!((done.status.as_u16(), done.text.as_str()), (201, ""), "{done:?}");
    let who = Enrolled { device: desk.newest("touch").await, key };
    let (challenge, options) = desk.challenge("touch", who.device).await;
    let request = &options["publicKey"];
    assert_eq!(
        (&request["rpId"], request["allowCredentials"].as_array().unwrap().len()),
        (&json!("example.org"), 1)
    );
    assert_eq!(request["allowCredentials"][0]["transports"], json!(["usb"]), "{request}");
    assert_ne!(request["challenge"], asked["challenge"]);
    let right = desk.keys.get(key, &options, &json!({}));
    assert_eq!(desk.answer(challenge, &right).await.ok()["device"], who.device);
    desk.login("touch", who, json!({})).await.ok();
    assert_eq!(desk.events("accepted").len(), 2);
    let kept = desk.world.rows();
    assert!(!kept.contains(request["challenge"].as_str().unwrap()), "the challenge is still there");
}

#[tokio::test]
async fn without_a_relying_party_the_kinds_are_not_offered() {
    let desk = Desk::new().await;
    let kinds = async || {
        let all = desk.world.ask(&desk.f.a.token, "GET", "/devices-kind", &Value::Null).await.ok();
        let names = all.as_array().unwrap().iter().map(|kind| kind["name"].as_str().unwrap().to_owned());
        names.filter(|name| name == "FIDO2" || name == "U2F").collect::<Vec<_>>()
    };
    assert_eq!(kinds().await, ["U2F", "FIDO2"]);
    let who = desk.enroll("touch", json!({})).await;
    desk.whole_policy(&json!({})).await.ok();
    assert!(kinds().await.is_empty());
    let begun = desk.begin("touch").await;
    for kind in ["FIDO2", "U2F"] {
        let refused = desk.prepare(begun, kind).await;
        assert_eq!(refused.refusal(), (403, "no_relying_party".to_owned()), "{refused:?}");
        assert!(refused.text.contains("fido.rp_id"), "{refused:?}");
    }
    let asked = json!({"username": "touch", "device_pk": who.device});
    let refused = desk.post("/integrations/challenges", asked.clone()).await;
    assert_eq!(refused.refusal(), (403, "no_relying_party".to_owned()));
    let login = desk.post("/integrations/clients/auth", json!({"username": "touch"})).await.ok();
    assert_eq!(login["result"], 2, "nobody may enroll anew because policy lost a line: {login}");
    desk.policy(json!({"rp_id": "www.example.org"})).await;
    let refused = desk.post("/integrations/challenges", asked).await;
    assert_eq!(refused.refusal(), (409, "other_relying_party".to_owned()));
    let half = desk.whole_policy(&json!({"rp_id": "example.org"})).await;
    assert_eq!(half.refusal(), (422, "bad_policy".to_owned()), "{half:?}");
}

/// Each is right but for one thing.
fn wrong_answers() -> Vec<Value> {
    vec![
        // Row 40: the origin is compared whole.
        json!({"origin": "https://badexample.org"}),
        json!({"origin": "https://example.org"}),
        json!({"origin": "https://evil.www.example.org"}),
        json!({"origin": "https://www.example.org.evil.test"}),
        json!({"origin": "https://www.example.org:8443"}),
        json!({"origin": "https://www.example.org/"}),
        json!({"origin": "https://WWW.example.org"}),
        json!({"origin": "http://www.example.org"}),
        json!({"origin": "null"}),
        json!({"cross_origin": true}),
        json!({"rp_id": "www.example.org"}),
        json!({"rp_id": "evil.test"}),
        json!({"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
        json!({"challenge": ""}),
        json!({"present": false}),
        json!({"present": false, "verified": true}),
        json!({"cut": 1}),
        json!({"cut": 37}),
        json!({"behind": "00"}),
        json!({"behind": "a0"}),
        json!({"behind_client_data": "x"}),
    ]
}

#[tokio::test]
async fn row_40_and_49_an_assertion_with_one_thing_wrong_lets_nobody_in() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({})).await;
    let mut wrong = wrong_answers();
    wrong.extend([
        json!({"type": "webauthn.create"}),
        json!({"credential_type": "password"}),
        json!({"id": "AAAA"}),
        json!({"handle": "AAAA"}),
        json!({"signature": "another"}),
        json!({"signature": "cut"}),
        json!({"signature": "behind"}),
        json!({"signature": "none"}),
    ]);
    for wrong in wrong {
        let answer = desk.login("touch", who, wrong.clone()).await;
        assert_eq!(answer.refusal(), wrong_token(), "{wrong}: {answer:?}");
        desk.login("touch", who, json!({})).await.ok();
    }
}

/// What is neither text nor an object is no try.
fn refusal_of(token: &Value) -> (u16, String) {
    if token.is_array() || token.is_null() { (422, "bad_options".to_owned()) } else { wrong_token() }
}

#[tokio::test]
async fn row_48_the_answer_of_a_key_is_what_it_signed_and_nothing_less() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({})).await;
    for missing in ["id", "rawId", "type", "authenticatorData", "clientDataJSON", "signature", "response"] {
        let (challenge, options) = desk.challenge("touch", who.device).await;
        let mut token = desk.keys.get(who.key, &options, &json!({}));
        let removed = token.as_object_mut().unwrap().remove(missing);
        let within = token["response"].as_object_mut().and_then(|response| response.remove(missing));
        assert!(removed.is_some() || within.is_some(), "{missing}: {token}");
        let answer = desk.answer(challenge, &token).await;
        assert_eq!(answer.refusal(), wrong_token(), "{missing}: {answer:?}");
    }
    for token in [json!(""), json!("000000"), json!({}), json!([]), json!(null), json!({"status": 3})] {
        let (challenge, _) = desk.challenge("touch", who.device).await;
        let answer = desk.answer(challenge, &token).await;
        assert_eq!(answer.refusal(), refusal_of(&token), "{token}: {answer:?}");
    }
}

#[tokio::test]
async fn an_attestation_with_one_thing_wrong_enrolls_nobody() {
    let desk = Desk::new().await;
    let mut wrong = wrong_answers();
    wrong.push(json!({"type": "webauthn.get"}));
    for wrong in wrong {
        let (answer, _) = desk.show("touch", "FIDO2", &wrong).await;
        assert_eq!(answer.refusal(), wrong_token(), "{wrong}: {answer:?}");
    }
    for token in [json!("123456"), json!({}), json!([]), json!(null), json!({"response": {}})] {
        let enrollment = desk.begin("touch").await;
        desk.prepare(enrollment, "FIDO2").await.ok();
        let answer = desk.complete(enrollment, &token).await;
        assert_eq!(answer.refusal(), refusal_of(&token), "{token}: {answer:?}");
    }
    let login = desk.post("/integrations/clients/auth", json!({"username": "touch"})).await.ok();
    assert_eq!(login["result"], 1, "nobody was enrolled");
}

#[tokio::test]
async fn row_49_a_challenge_takes_one_answer_of_one_client() {
    let desk = Desk::new().await;
    let (ann, bob) = (desk.enroll("ann", json!({})).await, desk.enroll("bob", json!({})).await);
    let (first, options) = desk.challenge("ann", ann.device).await;
    let (second, _) = desk.challenge("ann", ann.device).await;
    let right = desk.keys.get(ann.key, &options, &json!({}));
    let refused = desk.answer(second, &right).await;
    assert_eq!(refused.refusal(), wrong_token(), "what answers one login, at another");
    assert_eq!(refused.json()["error"]["attempts_left"], 0);
    let (_, others) = desk.challenge("ann", ann.device).await;
    assert_eq!(
        desk.answer(second, &desk.keys.get(ann.key, &others, &json!({}))).await.code(),
        "challenge_over"
    );
    let (bobs, of_bob) = desk.challenge("bob", bob.device).await;
    let stolen = desk.keys.get(ann.key, &of_bob, &json!({}));
    assert_eq!(desk.answer(bobs, &stolen).await.refusal(), wrong_token(), "another client's key");
    desk.answer(first, &right).await.ok();
    assert_eq!(desk.answer(first, &right).await.code(), "challenge_over", "the same once more");
    let (third, _) = desk.challenge("ann", ann.device).await;
    assert_eq!(desk.answer(third, &right).await.refusal(), wrong_token(), "an answer from before");
    // What is signed to enroll is not what is signed to log in.
    let (fourth, options) = desk.challenge("ann", ann.device).await;
    let (_, made) = desk.keys.create(
        &json!({"publicKey": {"rp": {"id": "example.org"}, "challenge": options["publicKey"]["challenge"]}}),
        &json!({"like": ann.key}),
    );
    assert_eq!(desk.answer(fourth, &made).await.refusal(), wrong_token(), "an attestation");
    let verified =
        desk.post("/integrations/clients/verify", json!({"username": "ann", "token": right})).await;
    assert!(verified.status.is_client_error(), "without a challenge there is nothing to sign: {verified:?}");
    desk.login("ann", ann, json!({"counter": 50})).await.ok();
    assert!(desk.events("key_copied").is_empty(), "none of this is a copied key");
}

#[tokio::test]
async fn what_was_to_be_signed_at_an_enrollment_is_worth_nothing_once_it_was_answered() {
    let desk = Desk::new().await;
    let enrollment = desk.begin("touch").await;
    let options = desk.prepare(enrollment, "FIDO2").await.ok()["public_details"].clone();
    let (_, wrong) = desk.keys.create(&options, &json!({"origin": "https://evil.test"}));
    assert_eq!(desk.complete(enrollment, &wrong).await.refusal(), wrong_token());
    let (_, right) = desk.keys.create(&options, &json!({}));
    assert_eq!(desk.complete(enrollment, &right).await.code(), "not_prepared");
    let options = desk.prepare(enrollment, "FIDO2").await.ok()["public_details"].clone();
    assert_eq!(desk.complete(enrollment, &right).await.refusal(), wrong_token(), "for the challenge before");
    desk.prepare(enrollment, "FIDO2").await.ok();
    let (_, late) = desk.keys.create(&options, &json!({}));
    assert_eq!(desk.complete(enrollment, &late).await.refusal(), wrong_token(), "for the challenge before");
}

#[tokio::test]
async fn a_counter_that_goes_back_is_a_copied_key() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({"counter": 40})).await;
    for (counter, passes) in
        [(40, false), (41, true), (41, false), (7, false), (0, false), (42, true), (900, true)]
    {
        let before = desk.events("key_copied").len();
        let answer = desk.login("touch", who, json!({"counter": counter})).await;
        assert_eq!(answer.status.is_success(), passes, "{counter}: {answer:?}");
        assert_eq!(desk.events("key_copied").len() - before, usize::from(!passes), "{counter}");
    }
    let last = desk.events("key_copied").pop().unwrap();
    assert!(last.starts_with(&format!("FIDO2 device={} counter=0 last=41 challenge=", who.device)), "{last}");
    // It was right for all we know, but for the counter: who has the key now is told no more than that it is wrong.
    assert_eq!(desk.login("touch", who, json!({"counter": 1})).await.refusal(), wrong_token());
    let forged = desk.login("touch", who, json!({"counter": 1, "signature": "another"})).await;
    assert_eq!(
        (forged.refusal(), desk.events("key_copied").len()),
        (wrong_token(), 5),
        "anybody can write a number"
    );
}

#[tokio::test]
async fn a_key_that_does_not_count_stays_at_zero() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({"counter": 0})).await;
    for _ in 0..3 {
        desk.login("touch", who, json!({"counter": 0})).await.ok();
    }
    desk.login("touch", who, json!({"counter": 1})).await.ok();
    let refused = desk.login("touch", who, json!({"counter": 0})).await;
    assert_eq!(refused.refusal(), wrong_token(), "it has counted once");
    assert_eq!(desk.events("key_copied").len(), 1);
}

#[tokio::test]
async fn row_43_the_users_verification_is_looked_at_in_every_login() {
    let desk = Desk::new().await;
    for (policy, at_enrollment, at_login, passes) in [
        ("required", true, true, true),
        ("required", true, false, false),
        ("preferred", false, false, true),
        ("preferred", false, true, true),
        ("preferred", true, true, true),
        ("preferred", true, false, false),
        ("discouraged", false, false, true),
        ("discouraged", true, false, true),
        ("discouraged", true, true, true),
    ] {
        desk.policy(json!({"user_verification": policy})).await;
        let who = desk.enroll("touch", json!({"verified": at_enrollment})).await;
        let (challenge, options) = desk.challenge("touch", who.device).await;
        assert_eq!(options["publicKey"]["userVerification"], policy);
        let token = desk.keys.get(who.key, &options, &json!({"verified": at_login}));
        let answer = desk.answer(challenge, &token).await;
        let case = format!("{policy}, verified {at_enrollment} and then {at_login}");
        assert_eq!(answer.status.is_success(), passes, "{case}: {answer:?}");
    }
    desk.policy(json!({"user_verification": "required"})).await;
    let (refused, _) = desk.show("touch", "FIDO2", &json!({})).await;
    assert_eq!(refused.refusal(), (403, "key_not_allowed".to_owned()), "{refused:?}");
}

#[tokio::test]
async fn row_43_a_policy_that_was_made_stricter_holds_for_keys_from_before_it() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({})).await;
    let (open, options) = desk.challenge("touch", who.device).await;
    desk.policy(json!({"user_verification": "required"})).await;
    let answer = desk.answer(open, &desk.keys.get(who.key, &options, &json!({}))).await;
    assert_eq!(answer.refusal(), wrong_token(), "a challenge that was open already");
    assert_eq!(desk.login("touch", who, json!({})).await.refusal(), wrong_token());
    desk.login("touch", who, json!({"verified": true})).await.ok();
    desk.policy(json!({"origins": ["https://login.example.org"]})).await;
    assert_eq!(desk.login("touch", who, json!({"verified": true})).await.refusal(), wrong_token());
    desk.login("touch", who, json!({"origin": "https://login.example.org"})).await.ok();
}

#[tokio::test]
async fn row_43_a_removed_key_and_an_inactive_owner_pass_nowhere() {
    let desk = Desk::new().await;
    let who = desk.enroll("touch", json!({})).await;
    let path = "/integrations/clients?username=touch";
    let found = desk.world.ask(&desk.f.a.token, "GET", path, &Value::Null).await.ok();
    let client = format!("/integrations/clients/{}", found["results"][0]["pk"]);
    let set = async |status: &str| {
        desk.world.ask(&desk.f.a.token, "PATCH", &client, &json!({"status": status})).await.ok()
    };
    let (open, options) = desk.challenge("touch", who.device).await;
    let right = desk.keys.get(who.key, &options, &json!({}));
    set("inactive").await;
    assert_eq!(desk.answer(open, &right).await.code(), "client_inactive");
    set("active").await;
    let device = format!("{client}/devices/{}", who.device);
    desk.world.ask(&desk.f.a.token, "DELETE", &device, &Value::Null).await.ok();
    assert_eq!(desk.answer(open, &right).await.code(), "challenge_over");
    let again = json!({"username": "touch", "device_pk": who.device});
    assert_eq!(desk.post("/integrations/challenges", again).await.code(), "not_found");
}

#[tokio::test]
async fn a_credential_is_enrolled_once_in_an_integration() {
    let desk = Desk::new().await;
    let ann = desk.enroll("ann", json!({})).await;
    let begun = desk.begin("ann").await;
    let options = desk.prepare(begun, "U2F").await.ok()["public_details"]["publicKey"].clone();
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1, "{options}");
    let begun = desk.begin("bob").await;
    let options = desk.prepare(begun, "FIDO2").await.ok()["public_details"].clone();
    assert_eq!(options["publicKey"]["excludeCredentials"], json!([]), "nobody is told of others' keys");
    let (_, same) = desk.keys.create(&options, &json!({"like": ann.key}));
    let refused = desk.complete(begun, &same).await;
    assert_eq!(refused.refusal(), (409, "registered_key".to_owned()), "{refused:?}");
    let (own, _) = desk.show("ann", "FIDO2", &json!({"like": ann.key})).await;
    assert!(!own.status.is_success(), "a second time: {own:?}");
    desk.login("ann", ann, json!({})).await.ok();
    // Another integration is another matter.
    let sibling = &desk.f.a.sibling;
    let list = desk.world.ask(&desk.f.a.admin, "GET", "/tenants/integrations", &Value::Null).await.ok();
    let pk =
        list["results"].as_array().unwrap().iter().find(|one| one["name"] == "aurora wiki").unwrap()["pk"]
            .clone();
    let fido = json!({"fido": {"rp_id": "example.org", "origins": ["https://www.example.org"]}});
    let path = format!("/tenants/integrations/{pk}/policy");
    desk.world.ask(&desk.f.a.admin, "PUT", &path, &fido).await.ok();
    let at = async |path: String, body: Value| desk.world.ask(sibling, "POST", &path, &body).await;
    let begun = at("/integrations/enrollments".to_owned(), json!({"username": "ann"})).await.pk();
    let path = format!("/integrations/enrollments/{begun}");
    let options = at(format!("{path}/prepare-device"), json!({"kind": "FIDO2"})).await.ok();
    let (_, same) = desk.keys.create(&options["public_details"], &json!({"like": ann.key}));
    assert_eq!(at(format!("{path}/complete"), json!({"token": same})).await.status, 201);
    // Nor does its token open a challenge here.
    let (open, _) = desk.challenge("ann", ann.device).await;
    let foreign = at(format!("/integrations/challenges/{open}/complete"), json!({"token": {}})).await;
    assert_eq!(foreign.code(), "not_found");
}
