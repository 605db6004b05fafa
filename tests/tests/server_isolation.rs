//! A second tenant's tokens at every endpoint of `/openapi.json`, with the numbers of the first one's rows.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

use oss2fa_tests::server::{Caller, DEFAULT_INTEGRATION, DEFAULT_TENANT, Enrolled, Server};
use serde_json::{Value, json};

/// Methods that a path of OpenAPI may have.
const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];

/// A word that stands in all that the first tenant has, and in nothing else.
const MARK: &str = "belongs-to-the-first";

/// What the first tenant has.
struct First {
    enrollment: i64,
    challenge: i64,
    client: Enrolled,
    administrator: i64,
    offline: i64,
    webhook: Option<i64>,
}

impl First {
    fn make(server: &Server, owner: &Caller<'_>) -> Self {
        let vpn = server.integration();
        let client = vpn.enroll(MARK, "HOTP");
        let challenge = vpn.challenge(MARK, client.device);
        let enrollment = vpn.enrollment(MARK);
        let _helpdesk = owner.new_administrator(MARK, "helpdesk", DEFAULT_TENANT);
        let listed = owner.get("/tenants/administrators").expect(200).json();
        let rows = listed["results"].as_array().unwrap();
        let administrator = rows.iter().find(|row| row["name"] == MARK).unwrap()["pk"].as_i64().unwrap();
        let webhook = paths(server).iter().any(|path| path.ends_with("/webhooks")).then(|| {
            let hooks = format!("/tenants/integrations/{DEFAULT_INTEGRATION}/webhooks");
            let url = format!("https://app.example.org/{MARK}");
            owner.post(&hooks, &json!({"url": url})).expect(201).json()["pk"].as_i64().unwrap()
        });
        let offline = json!({"username": MARK, "host": MARK, "name": MARK});
        let offline = vpn.post("/integrations/offline-credentials", &offline).expect(201).json();
        let offline = offline["pk"].as_i64().unwrap();
        Self { enrollment, challenge, client, administrator, offline, webhook }
    }

    /// The path with the first tenant's numbers in it. An endpoint that is not known here fails the test:
    /// whoever adds one says what its numbers are.
    fn fill(&self, path: &str) -> String {
        let mut filled = String::new();
        for segment in path.split('/').skip(1) {
            let number = match (segment, filled.as_str()) {
                ("{pk}", "/integrations/enrollments") => self.enrollment,
                ("{pk}", "/integrations/clients") => self.client.client,
                ("{pk}", "/integrations/challenges") => self.challenge,
                ("{pk}", "/integrations/offline-credentials") => self.offline,
                ("{pk}", "/tenants") => DEFAULT_TENANT,
                ("{pk}", "/tenants/integrations") => DEFAULT_INTEGRATION,
                ("{pk}", "/tenants/administrators") => self.administrator,
                ("{device_pk}", place) if place.ends_with("/devices") => self.client.device,
                ("{webhook_pk}", place) if place.ends_with("/webhooks") => self.webhook.unwrap(),
                (other, place) => {
                    assert!(!other.contains('{'), "{path}: what is {other} below {place:?}?");
                    filled = format!("{filled}/{other}");
                    continue;
                }
            };
            filled = format!("{filled}/{number}");
        }
        if filled == "/integrations/security-keys" {
            filled = format!("{filled}?username={MARK}");
        }
        filled
    }
}

/// The same, as administrators say whom they mean.
fn named(path: &str) -> String {
    if path.contains('?') {
        return format!("{path}&integration={DEFAULT_INTEGRATION}");
    }
    if path.starts_with("/tenants") {
        format!("{path}?tenant={DEFAULT_TENANT}")
    } else {
        format!("{path}?integration={DEFAULT_INTEGRATION}")
    }
}

/// Bodies that would do something to the first tenant's rows.
fn bodies(first: &First, path: &str) -> Value {
    let text = |ending: &str| path.ends_with(ending);
    match () {
        () if text("/prepare-device") => json!({"kind": "TOTP", "options": {}}),
        () if text("/complete") => json!({"token": first.client.token.code_at(first.client.token.position)}),
        () if text("/challenges") => json!({"username": MARK, "device_pk": first.client.device}),
        () if text("/verify") => {
            json!({"username": MARK, "token": first.client.token.code_at(first.client.token.position)})
        }
        () if text("/auth") => json!({"username": MARK}),
        () if text("/offline-credentials") => json!({"username": MARK, "host": MARK, "name": "stolen"}),
        () if path.contains("/devices/") => json!({"name": "stolen"}),
        () if path.contains("/clients/") => json!({"status": "bypass"}),
        () if text("/policy") => json!({"attempts": 20}),
        () if text("/webhooks") => json!({"url": "https://example.net/stolen"}),
        () => Value::Null,
    }
}

fn paths(server: &Server) -> Vec<String> {
    let document = server.anybody().get("/openapi.json").expect(200).json();
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

/// Every method of every path, but the ones without a number in them: those are the caller's own.
fn operations(server: &Server) -> Vec<(String, String)> {
    let document = server.anybody().get("/openapi.json").expect(200).json();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            all.push((method.to_uppercase(), path.clone()));
        }
    }
    assert!(all.len() >= 40, "{all:?}");
    all
}

/// All that somebody sees of the first tenant.
fn picture(vpn: &Caller<'_>, owner: &Caller<'_>, first: &First) -> Vec<String> {
    let mut seen = Vec::new();
    for (method, path) in operations(vpn.server) {
        let streams = path.contains("/audit") || path.starts_with("/metrics") || path.contains("healthz");
        if method == "GET" && !streams {
            let caller = if path.starts_with("/tenants") { owner } else { vpn };
            let reply = caller.get(&first.fill(&path));
            let mut told = reply.text();
            if path.ends_with("/webhooks") {
                // The sender writes here, in its own time, that there is no such receiver.
                let mut list = reply.json();
                list["results"]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .for_each(|hook| hook["failure"] = Value::Null);
                told = list.to_string();
            }
            seen.push(format!("{path}: {} {told}", reply.status));
        }
    }
    seen
}

#[test]
fn row_44_no_token_of_one_tenant_opens_anything_of_another() {
    let server = Server::new().config("[limits]\nrefused_per_minute = 100000\n").start();
    let owner = server.owner("owner");
    let first = First::make(&server, &owner);
    let second = owner.new_tenant("second");
    let strangers = [
        owner.new_integration("web", second),
        owner.new_administrator("second", "administrator", second),
        owner.new_administrator("second-desk", "helpdesk", second),
    ];
    let before = picture(&server.integration(), &owner, &first);
    assert!(before.iter().any(|line| line.contains(MARK)), "there is something to see");
    let mut tried = 0;
    for (method, path) in operations(&server) {
        let filled = first.fill(&path);
        let body = if method == "GET" || method == "DELETE" { Value::Null } else { bodies(&first, &path) };
        for caller in &strangers {
            for target in [filled.clone(), named(&filled)] {
                let reply = caller.send(&method, &target, &body);
                let who = format!("{method} {target} with {}: {reply}", caller.token());
                // A tenant's own audit has the names that it tried itself.
                let mark = if target == "/tenants/audit" { "\"integration\":1," } else { MARK };
                assert!(!reply.text().contains(mark), "the first tenant's: {who}");
                assert!(reply.status < 500, "{who}");
                if path.contains('{') {
                    // 400: an administrator who does not say in whose place they ask.
                    assert!(matches!(reply.status, 400 | 401 | 403 | 404), "{who}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 130, "{tried} requests named the first tenant's rows");
    let after = picture(&server.integration(), &owner, &first);
    assert_eq!(after.len(), before.len(), "as many answers");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(after, before, "nothing has changed");
    }
    let mut client = first.client.clone();
    let _right = server.integration().verify(MARK, &client.token.next_code()).expect(200);
}

#[test]
fn names_of_one_tenant_mean_nothing_to_another() {
    let server = Server::new().start();
    let owner = server.owner("owner");
    let other = owner.new_integration("web", owner.new_tenant("second"));
    let one = server.integration();
    let mut john = one.enroll("john.doe", "HOTP");
    assert_eq!(other.decide("john.doe")["result"], 1, "somebody else of that name, without a device");
    let same = other.enroll("john.doe", "HOTP");
    assert_ne!((same.client, same.device), (john.client, john.device));
    let code = john.token.next_code();
    other.verify("john.doe", &code).refused(403, "wrong_token");
    let _right = one.verify("john.doe", &code).expect(200);
    let refused = other.challenge_reply("john.doe", john.device);
    assert!(matches!(refused.status, 403 | 404), "{refused}");
    for (caller, client) in [(&one, john.client), (&other, same.client)] {
        let list = caller.get("/integrations/clients").expect(200).json();
        let pks: Vec<&Value> = list["results"].as_array().unwrap().iter().map(|row| &row["pk"]).collect();
        assert_eq!(pks, [&json!(client)], "{list}");
    }
}

#[test]
fn row_39_roles_do_what_they_are_for() {
    let server = Server::new().config("[limits]\nrefused_per_minute = 100000\n").start();
    let vpn = server.integration();
    let john = vpn.enroll("john.doe", "HOTP");
    let owner = server.owner("owner");
    let helpdesk = owner.new_administrator("desk", "helpdesk", DEFAULT_TENANT);
    let administrator = owner.new_administrator("chief", "administrator", DEFAULT_TENANT);
    let integration = format!("/tenants/integrations/{DEFAULT_INTEGRATION}");
    for (method, path, body) in [
        ("POST", "/tenants", json!({"name": "third"})),
        ("DELETE", "/tenants/1", Value::Null),
        ("POST", "/tenants/administrators", json!({"name": "me", "role": "owner"})),
    ] {
        for caller in [&helpdesk, &administrator] {
            caller.send(method, path, &body).refused(403, "forbidden");
        }
        vpn.send(method, path, &body).refused(401, "unauthorized");
    }
    for (method, path, body) in [
        ("POST", "/tenants/integrations".to_owned(), json!({"name": "more"})),
        ("POST", format!("{integration}/rotate-token"), Value::Null),
        ("PUT", format!("{integration}/policy"), json!({"attempts": 20})),
        ("DELETE", integration.clone(), Value::Null),
        ("POST", "/tenants/administrators".to_owned(), json!({"name": "me", "role": "administrator"})),
    ] {
        helpdesk.send(method, &path, &body).refused(403, "forbidden");
    }
    let read = helpdesk.get("/tenants/integrations").expect(200).json();
    assert!(!read.to_string().contains(&server.token), "{read}");
    let made = administrator.post("/tenants/integrations", &json!({"name": "more"})).expect(201).json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(server.with_token(token).decide("john.doe")["result"], 1, "clients belong to an integration");
    let rotated = administrator.post(&format!("{integration}/rotate-token"), &Value::Null).expect(200).json();
    let fresh = rotated["token"].as_str().unwrap();
    vpn.get("/devices-kind").refused(401, "unauthorized");
    let kept = server.with_token(fresh).get(&format!("/integrations/clients/{}", john.client)).expect(200);
    assert_eq!(kept.json()["username"], "john.doe");
}
