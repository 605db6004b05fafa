//! A server without a socket: its router over a store in a folder of its own, with a clock to be moved.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::http::router::router;
use oss2fa_server::ids::{IntegrationId, TenantId};
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, SECOND, System, Timestamp};
use oss2fa_server::serve::app;
use oss2fa_server::service::credential::{Credentials, hex};
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use oss2fa_server::store::verbs::integrations::CreateIntegration;
use oss2fa_server::store::verbs::tenants::{CreateTenant, Created};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// The secret of the HOTP device, and what `oathtool` makes of it.
pub(crate) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A clock that stands still until it is moved.
pub(crate) struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl Moved {
    /// Moves it; the new time in microseconds.
    pub(crate) fn by(&self, seconds: i64) -> i64 {
        self.0.fetch_add(seconds * SECOND, Ordering::SeqCst) + seconds * SECOND
    }
}

/// The server.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) clock: Arc<Moved>,
    pub(crate) store: Arc<Store>,
    pub(crate) router: Router,
    /// Token of the first integration.
    pub(crate) token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    pub(crate) async fn with(settings: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let text = format!(
            "{settings}\n[limits]\ntoken_per_second = 100000\ntoken_burst = 100000\n\
             address_per_second = 100000\naddress_burst = 100000\n"
        );
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), listen: None };
        let config = Config::parse(Path::new("/server.toml"), &text, overrides).unwrap();
        let clock = Arc::new(Moved(AtomicI64::new(System.now().0)));
        let (store, router, token) = start(&config, &clock).await;
        Self { folder, config, clock, store, router, token: token.unwrap() }
    }

    /// Closes the store and opens it anew, as another process would.
    pub(crate) async fn restarted(mut self) -> Self {
        self.store.close().await;
        (self.store, self.router, _) = start(&self.config, &self.clock).await;
        self
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        answer(&self.router, request).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(post(&self.token, path, body, None)).await
    }

    pub(crate) async fn keyed(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.send(post(&self.token, path, body, Some(key))).await
    }

    /// Enrols an HOTP device for a client of the first integration; its next code is number 1.
    pub(crate) async fn hotp(&self, username: &str) {
        let made = self.post("/integrations/enrollments", &json!({ "username": username })).await;
        let at = format!("/integrations/enrollments/{}", made.json()["pk"]);
        let options = json!({ "kind": "HOTP", "options": { "secret": SECRET } });
        let prepared = self.post(&format!("{at}/prepare-device"), &options).await;
        assert_eq!(prepared.status, StatusCode::OK, "{prepared:?}");
        let done = self.post(&format!("{at}/complete"), &json!({ "token": code(0) })).await;
        assert_eq!(done.status, StatusCode::CREATED, "{done:?}");
    }

    pub(crate) fn doer(&self, tenant: TenantId) -> Doer {
        let (actor, source) = ("cli".to_owned(), String::new());
        Doer {
            tenant,
            integration: None,
            actor: actor.into(),
            source,
            now: self.clock.now(),
            whereabouts: Default::default(),
        }
    }

    /// Another tenant with an integration, and the token of that.
    pub(crate) async fn tenant(&self, name: &str) -> (TenantId, IntegrationId, String) {
        let (doer, public_id) = (self.doer(TenantId(0)), hex(&System).unwrap());
        let create = CreateTenant { doer, name: name.to_owned(), public_id };
        let Created::New(tenant) = self.store.write(create).await.unwrap() else { panic!("{name} is there") };
        let (pk, token) = self.integration(tenant.pk, name).await;
        (tenant.pk, pk, token)
    }

    /// One more integration of a tenant.
    pub(crate) async fn integration(&self, tenant: TenantId, name: &str) -> (IntegrationId, String) {
        let credentials = Credentials::generate(&System).unwrap();
        let create = CreateIntegration {
            doer: self.doer(tenant),
            name: name.to_owned(),
            credentials: credentials.digests(),
            policy: Default::default(),
        };
        let Created::New(made) = self.store.write(create).await.unwrap() else { panic!("{name} is there") };
        (made.pk, credentials.token.expose().to_owned())
    }

    /// An administrator; their token.
    pub(crate) async fn admin(&self, tenant: Option<TenantId>, role: Role, name: &str) -> String {
        let credentials = Credentials::generate(&System).unwrap();
        let create = CreateAdministrator {
            doer: self.doer(tenant.unwrap_or(TenantId(0))),
            tenant,
            name: name.to_owned(),
            role,
            credentials: credentials.digests(),
        };
        assert!(matches!(self.store.write(create).await.unwrap(), Created::New(_)));
        credentials.token.expose().to_owned()
    }

    /// Asks as an administrator.
    pub(crate) async fn look(&self, admin: &str, path: &str) -> Reply {
        self.send(Request::get(path).header("X-Admin-Token", admin).body(Body::empty()).unwrap()).await
    }

    /// A whole number from the database, read by a connection of the test's own.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("server.db")).unwrap()
    }
}

async fn start(config: &Config, clock: &Arc<Moved>) -> (Arc<Store>, Router, Option<String>) {
    let (store, first) = open(config, None, &**clock, Arc::new(System)).await.unwrap();
    let store = Arc::new(store);
    let app = app(config, Arc::clone(&store), Arc::clone(clock) as Arc<dyn Clock>, Arc::new(System)).unwrap();
    let token = first.map(|first| first.credentials.token.expose().to_owned());
    (store, router(app), token)
}

pub(crate) fn post(token: &str, path: &str, body: &Value, key: Option<&str>) -> Request<Body> {
    let name = if path.starts_with("/tenants") { "X-Admin-Token" } else { "X-Integration-Token" };
    let mut request = Request::post(path).header(name, token).header("Content-Type", "application/json");
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    request.body(Body::from(body.to_string())).unwrap()
}

pub(crate) async fn answer(router: &Router, mut request: Request<Body>) -> Reply {
    request.extensions_mut().insert(ClientSocket("192.0.2.7:40000".parse().unwrap()));
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Reply { status: parts.status, headers: parts.headers, body }
}

/// The code at a position, by `oathtool`.
pub(crate) fn code(position: u64) -> String {
    let mut oathtool = Command::new("oathtool");
    oathtool.args(["--hotp", "--base32", "--counter", &position.to_string(), SECRET]);
    let output = oathtool.output().expect("oathtool: install oathtool");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
