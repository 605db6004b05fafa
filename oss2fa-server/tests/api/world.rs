//! A server of its own for each test: the router over a store in a folder, a clock that stands, and a
//! box in which its mails arrive.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use oss2fa_core::random::Random;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::device::Kinds;
use oss2fa_server::http::extract::Recognised;
use oss2fa_server::http::limits::Limiter;
use oss2fa_server::http::log::RequestIds;
use oss2fa_server::http::metrics::Exporter;
use oss2fa_server::http::peer::Proxies;
use oss2fa_server::http::{App, Operations, Parts, router};
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::message::{Mail, Messenger, NotSent, Sms};
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System, Timestamp};
use oss2fa_server::service::Service;
use oss2fa_server::service::apps::Apps;
use oss2fa_server::service::validation::Validation;
use oss2fa_server::store::Store;
use oss2fa_server::yubico::{Nobody, OtpAuthority};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// When the first server of a test stands up: 2026-01-01.
pub(crate) const BEGIN: i64 = 1_767_225_600_000_000;

/// A clock that stands, until it is moved.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(now: i64) -> Self {
        Self(AtomicI64::new(now))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Keeps the mails.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Messenger for Mailbox {
    async fn send_mail(&self, mail: Mail) -> Result<(), NotSent> {
        self.0.lock().unwrap().push(mail.text.expose().to_owned());
        Ok(())
    }

    async fn send_sms(&self, _: Sms) -> Result<(), NotSent> {
        panic!("no test of these sends text messages")
    }
}

/// A folder in memory, where there is one: hundreds of stores are made here, and none has to outlive a power
/// cut.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A server.
pub(crate) struct World {
    router: Router,
    pub(crate) store: Arc<Store>,
    mailbox: Arc<Mailbox>,
    clock: Arc<TestClock>,
    folder: TempDir,
}

const CONFIG: &str = "
[limits]
token_per_second = 1000000
token_burst = 1000000
address_per_second = 1000000
address_burst = 1000000
refused_per_minute = 100000

[metrics]
allowed = [\"192.0.2.0/24\"]
";

impl World {
    /// On the files of this folder, at this time.
    pub(crate) async fn on(folder: TempDir, now: i64) -> Self {
        Self::made_of(folder, now, Arc::new(System), Arc::new(Nobody)).await
    }

    async fn made_of(
        folder: TempDir,
        now: i64,
        random: Arc<dyn Random>,
        authority: Arc<dyn OtpAuthority>,
    ) -> Self {
        let file = folder.path().join("server.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().to_owned()), listen: None };
        let config = Config::load(Some(&file), overrides).unwrap();
        let clock = Arc::new(TestClock::at(now));
        let (store, _) = open(&config, None, &*clock, random).await.unwrap();
        let (store, mailbox) = (Arc::new(store), Arc::new(Mailbox::default()));
        let service = Service {
            store: Arc::clone(&store),
            kinds: Kinds::all(),
            messenger: mailbox.clone(),
            authority,
            clock: clock.clone(),
            mail_subject: "Your code".into(),
        };
        let app = App::new(Parts {
            limiter: Limiter::new(&config.limits),
            proxies: Proxies::new(None),
            recognised: Recognised::default(),
            operations: Operations {
                request_timeout: config.limits.request_timeout,
                largest_body: config.limits.body,
                exporter: Exporter::install().unwrap(),
                metrics_allowed: config.metrics.allowed.clone(),
                webhooks_plain_http: config.webhooks.plain_http,
                ids: Arc::new(RequestIds::new(&System).unwrap()),
            },
            apps: config.ungleich_otp.as_ref().map(|section| Apps::new(service.clone(), section)),
            validation: Validation::new(service.clone()),
            service,
        });
        Self { router: router::router(app), store, mailbox, clock, folder }
    }

    /// The same at another time: closed, and opened again.
    pub(crate) async fn at(self, now: i64) -> Self {
        let Self { router, store, folder, .. } = self;
        drop(router);
        store.close().await;
        Self::on(folder, now).await
    }

    /// The same with random bytes from elsewhere, a minute after it was made.
    pub(crate) async fn drawing(self, random: Arc<dyn Random>) -> Self {
        let Self { router, store, folder, .. } = self;
        drop(router);
        store.close().await;
        Self::made_of(folder, BEGIN + 60_000_000, random, Arc::new(Nobody)).await
    }

    /// The same with somebody who judges what YubiKeys type.
    pub(crate) async fn trusting(self, authority: Arc<dyn OtpAuthority>) -> Self {
        let Self { router, store, folder, .. } = self;
        drop(router);
        store.close().await;
        Self::made_of(folder, BEGIN + 60_000_000, Arc::new(System), authority).await
    }

    /// How many mails have gone out.
    pub(crate) fn mails(&self) -> usize {
        self.mailbox.0.lock().unwrap().len()
    }

    /// A new one.
    pub(crate) async fn new() -> Self {
        Self::on(folder(), BEGIN).await
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The text of the mail that came last.
    pub(crate) fn last_mail(&self) -> String {
        self.mailbox.0.lock().unwrap().last().cloned().expect("a mail")
    }

    /// The six digits of the mail that came last.
    pub(crate) fn mailed_code(&self) -> String {
        let text = self.last_mail();
        let line = text.lines().map(str::trim).find(|line| line.len() == 6 && line.parse::<u32>().is_ok());
        line.expect("a code in the mail").to_owned()
    }

    /// Asks as somebody.
    pub(crate) async fn ask(&self, who: &Credential, method: &str, path: &str, body: &Value) -> Answer {
        self.ask_with(&[who], method, path, body).await
    }

    /// Asks with several credentials at once.
    pub(crate) async fn ask_with(
        &self,
        who: &[&Credential],
        method: &str,
        path: &str,
        body: &Value,
    ) -> Answer {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .extension(ClientSocket(SocketAddr::from(([192, 0, 2, 7], 4711))));
        for credential in who {
            request = match credential {
                Credential::Nothing => request,
                Credential::SentBefore(key) => request.header("Idempotency-Key", key),
                Credential::Integration(token) => request.header("X-Integration-Token", token),
                Credential::Admin(token) => request.header("X-Admin-Token", token),
                Credential::Pair(access, secret) => {
                    let pair = data_encoding::BASE64.encode(format!("{access}:{secret}").as_bytes());
                    request.header(header::AUTHORIZATION, format!("Basic {pair}"))
                }
            };
        }
        let body = match body {
            Value::Null => Body::empty(),
            Value::String(raw) => Body::from(raw.clone()),
            other => Body::from(other.to_string()),
        };
        self.answer(request, body).await
    }

    /// Asks as an integration, with a body that takes so many seconds to arrive behind its head.
    pub(crate) async fn ask_slowly(
        &self,
        token: &Credential,
        path: &str,
        body: &Value,
        seconds: i64,
    ) -> Answer {
        let Credential::Integration(token) = token else { panic!("the token of an integration") };
        let (clock, body) = (Arc::clone(&self.clock), body.to_string());
        let arriving = futures_util::stream::once(async move {
            clock.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(body)
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .extension(ClientSocket(SocketAddr::from(([192, 0, 2, 7], 4711))))
            .header("X-Integration-Token", token);
        self.answer(request, Body::from_stream(arriving)).await
    }

    async fn answer(&self, request: Builder, body: Body) -> Answer {
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// All rows of all tables but the audit, as text.
    pub(crate) fn rows(&self) -> String {
        let store = rusqlite::Connection::open(self.path().join("server.db")).unwrap();
        let of = |sql: &str| -> Vec<String> {
            let mut statement = store.prepare(sql).unwrap();
            let width = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                let cells: Vec<_> = (0..width).map(|n| row.get::<_, rusqlite::types::Value>(n)).collect();
                Ok(format!("{cells:?}"))
            };
            statement.query_map([], row).unwrap().map(Result::unwrap).collect()
        };
        let names = store
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'audit%' AND name NOT IN ('webhook_delivery', 'sqlite_sequence') ORDER BY name")
            .unwrap()
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>();
        names.iter().map(|name| format!("{name}: {:#?}\n", of(&format!("SELECT * FROM {name}")))).collect()
    }

    /// The audit of a tenant: event, username, actor, source, detail.
    pub(crate) fn audit(&self, tenant: i64) -> Vec<[String; 5]> {
        let store = rusqlite::Connection::open(self.path().join("server.db")).unwrap();
        let sql = "SELECT event, username, actor, source, detail FROM audit WHERE tenant = ?1 ORDER BY seq";
        let mut statement = store.prepare(sql).unwrap();
        let entry =
            |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?]);
        statement.query_map([tenant], entry).unwrap().map(Result::unwrap).collect()
    }
}

/// What a request proves its sender with.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    Nothing,
    /// None, but the mark of a request that is sent again.
    SentBefore(String),
    Integration(String),
    Admin(String),
    Pair(String, String),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The stable word of an error; empty for a success.
    pub(crate) fn code(&self) -> String {
        if self.status.is_success() {
            return String::new();
        }
        self.json()["error"]["code"].as_str().expect("an error in the one shape").to_owned()
    }

    /// Its body, where it succeeded.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    pub(crate) fn pk(&self) -> i64 {
        self.ok()["pk"].as_i64().expect("a number")
    }

    /// Status and stable word.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }
}

/// A code of six digits, made by OATH Toolkit.
pub(crate) fn hotp(secret: &str, counter: u64) -> String {
    code(secret, counter, 6)
}

/// The same with so many digits.
pub(crate) fn code(secret: &str, counter: u64, digits: usize) -> String {
    let output = Command::new("oathtool")
        .args(["-d", &digits.to_string(), "-c", &counter.to_string(), "-b", secret])
        .output()
        .expect("oathtool is needed (apt-get install oathtool)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
