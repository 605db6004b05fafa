//! Two tenants with everything in them, made once and copied for each world.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use oss2fa_server::outside::Timestamp;
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::world::{BEGIN, Credential, World, folder, hotp};

/// One tenant: all of its names have its word in them, so that a leak can be seen.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) tenant: i64,
    pub(crate) integration: i64,
    pub(crate) token: Credential,
    pub(crate) pair: Credential,
    /// Another integration of the same tenant.
    pub(crate) sibling: Credential,
    pub(crate) admin: Credential,
    pub(crate) admin_pk: i64,
    pub(crate) helpdesk: Credential,
    pub(crate) helpdesk_pk: i64,
    pub(crate) username: String,
    pub(crate) client: i64,
    /// HOTP.
    pub(crate) device: i64,
    pub(crate) secret: String,
    /// E-mail.
    pub(crate) mail_device: i64,
    /// Open, on the first device.
    pub(crate) challenge: i64,
    /// Open, on the second.
    pub(crate) mail_challenge: i64,
    /// Prepared, for HOTP with another secret.
    pub(crate) enrollment: i64,
    pub(crate) webhook: i64,
    /// Noted by the host "WORD.example".
    pub(crate) offline: i64,
    /// Right answers to the challenge and the enrollment.
    pub(crate) answer: String,
    pub(crate) proof: String,
}

/// Both tenants and the owner of the server.
#[derive(Debug, Clone)]
pub(crate) struct Fixture {
    /// "aurora".
    pub(crate) a: Place,
    /// "borealis".
    pub(crate) b: Place,
    pub(crate) owner: Credential,
    pub(crate) owner_pk: i64,
}

/// Stands in every name of the first tenant.
pub(crate) const CANARY: &str = "aurora";

/// Kept as bytes: what a static holds is never dropped, and a folder would stay behind.
struct Template {
    files: [(&'static str, Vec<u8>); 2],
    fixture: Fixture,
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

/// A world with both tenants in it, a minute after they were made.
pub(crate) async fn world() -> (World, Fixture) {
    let template = TEMPLATE.get_or_init(make).await;
    let folder = folder();
    for (name, bytes) in &template.files {
        let file = folder.path().join(name);
        // Both hold secrets, and the server refuses a key that others can read.
        let mut open = OpenOptions::new();
        open.write(true).create_new(true).mode(0o600).open(file).unwrap().write_all(bytes).unwrap();
    }
    (World::on(folder, BEGIN + 60_000_000).await, template.fixture.clone())
}

async fn make() -> Template {
    let world = World::new().await;
    let (owner, owner_pk) = owner(&world, "root").await;
    let a = place(
        &world,
        &owner,
        "aurora",
        ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U"],
    );
    let a = a.await;
    let b = place(
        &world,
        &owner,
        "borealis",
        ["ONSWG4TFOQQGC3TEEBSWYZJAMFXGIIDF", "KRUGKIDROVUWG2ZAMJZG653OEBTG66BA"],
    );
    let b = b.await;
    let copy = world.path().join("copy.db");
    world.store.backup(&copy).unwrap();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let files = [("server.db", read(&copy)), ("master.key", read(&world.path().join("master.key")))];
    Template { files, fixture: Fixture { a, b, owner, owner_pk } }
}

/// An owner of the server, as the command line makes the first.
pub(crate) async fn owner(world: &World, name: &str) -> (Credential, i64) {
    let credentials = Credentials::generate(world.store.ring().random()).unwrap();
    let doer = Doer {
        tenant: oss2fa_server::ids::SERVER,
        integration: None,
        actor: "cli".into(),
        source: String::new(),
        now: Timestamp(BEGIN),
        whereabouts: Default::default(),
    };
    let create = CreateAdministrator {
        doer,
        tenant: None,
        name: name.to_owned(),
        role: Role::Owner,
        credentials: credentials.digests(),
    };
    use oss2fa_server::store::verbs::tenants::Created;
    let Created::New(made) = world.store.write(create).await.unwrap() else { panic!("the name is taken") };
    (Credential::Admin(credentials.token.expose().to_owned()), made.pk.0)
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn place(world: &World, owner: &Credential, word: &str, [secret, other]: [&str; 2]) -> Place {
    let post = async |who: &Credential, path: &str, body: Value| world.ask(who, "POST", path, &body).await;
    let tenant = post(owner, "/tenants", json!({"name": word})).await.pk();
    let make = async |name: String| {
        post(owner, "/tenants/integrations", json!({"name": name, "tenant": tenant})).await.ok()
    };
    let (integration, sibling) = (make(format!("{word} vpn")).await, make(format!("{word} wiki")).await);
    let hire = async |role: &str| {
        let name = format!("{word} {role}");
        let body = json!({"name": name, "role": role, "tenant": tenant});
        post(owner, "/tenants/administrators", body).await.ok()
    };
    let (admin, helpdesk) = (hire("administrator").await, hire("helpdesk").await);
    let token = Credential::Integration(text(&integration["token"]));
    let username = format!("ann.{word}");
    let client = enroll(world, &token, &username, secret).await;
    let mail =
        prepare(world, &token, &username, "EMAIL", json!({"address": format!("ann@{word}.example")})).await;
    let path = format!("/integrations/enrollments/{mail}/complete");
    post(&token, &path, json!({"token": world.mailed_code()})).await.ok();
    let login = post(&token, "/integrations/clients/auth", json!({"username": username})).await.ok();
    let device = |n: usize| login["devices"][n]["pk"].as_i64().expect("a device");
    let challenge = async |device: i64| {
        let body = json!({"username": username, "device_pk": device, "reference": format!("{word} login")});
        post(&token, "/integrations/challenges", body).await.pk()
    };
    let enrollment = prepare(world, &token, &username, "HOTP", json!({"secret": other})).await;
    let webhooks = format!("/tenants/integrations/{}/webhooks", integration["pk"]);
    let webhook = post(owner, &webhooks, json!({"url": format!("https://{word}.example/")})).await.pk();
    let noted =
        json!({"username": username, "host": format!("{word}.example"), "name": format!("{word} phone")});
    let offline = post(&token, "/integrations/offline-credentials", noted).await.pk();
    Place {
        tenant,
        integration: integration["pk"].as_i64().unwrap(),
        pair: Credential::Pair(text(&integration["access_key"]), text(&integration["secret_key"])),
        sibling: Credential::Integration(text(&sibling["token"])),
        admin: Credential::Admin(text(&admin["token"])),
        admin_pk: admin["pk"].as_i64().unwrap(),
        helpdesk: Credential::Admin(text(&helpdesk["token"])),
        helpdesk_pk: helpdesk["pk"].as_i64().unwrap(),
        client,
        device: device(0),
        secret: secret.to_owned(),
        mail_device: device(1),
        challenge: challenge(device(0)).await,
        mail_challenge: challenge(device(1)).await,
        enrollment,
        webhook,
        offline,
        answer: hotp(secret, 1),
        proof: hotp(other, 0),
        username,
        token,
    }
}

/// Begins an enrollment up to the step that waits for its proof.
pub(crate) async fn prepare(
    world: &World,
    token: &Credential,
    username: &str,
    kind: &str,
    options: Value,
) -> i64 {
    let begun = world.ask(token, "POST", "/integrations/enrollments", &json!({"username": username})).await;
    let enrollment = begun.pk();
    let path = format!("/integrations/enrollments/{enrollment}/prepare-device");
    world.ask(token, "POST", &path, &json!({"kind": kind, "options": options})).await.ok();
    enrollment
}

/// Enrolls a HOTP device by the code of counter 0; gives the number of the client.
pub(crate) async fn enroll(world: &World, token: &Credential, username: &str, secret: &str) -> i64 {
    let enrollment = prepare(world, token, username, "HOTP", json!({"secret": secret})).await;
    let path = format!("/integrations/enrollments/{enrollment}/complete");
    let done = world.ask(token, "POST", &path, &json!({"token": hotp(secret, 0)})).await;
    done.ok();
    done.headers["x-client-id"].to_str().unwrap().parse().unwrap()
}
