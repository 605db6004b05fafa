//! The router over a store of its own, and what every answer must be like.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::http::router::{documentation, router};
use oss2fa_server::ids::SERVER;
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System};
use oss2fa_server::serve::app;
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    Guesser,
    Integration,
    /// The same integration, by its pair.
    Pair,
    Owner,
}

pub(crate) const EVERYBODY: [Who; 4] = [Who::Nobody, Who::Guesser, Who::Integration, Who::Owner];

/// A server without a network.
pub(crate) struct World {
    router: Router,
    runtime: Runtime,
    token: String,
    pair: String,
    owner: String,
    _folder: TempDir,
}

/// What came back; it has been looked at.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl World {
    /// With these lines of `server.toml`.
    pub(crate) fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let none = "[limits]\ntoken_per_second = 1000000\ntoken_burst = 1000000\n\
             address_per_second = 1000000\naddress_burst = 1000000\nrefused_per_minute = 100000\n";
        let text = if lines.contains("[limits]") { lines.to_owned() } else { format!("{lines}\n{none}") };
        let data_dir = Some(folder.path().join("data"));
        let overrides = Overrides { data_dir, listen: None };
        let config = Config::parse(Path::new("/etc/oss2fa/server.toml"), &text, overrides).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let owner = Credentials::generate(&System).unwrap();
        let (router, credentials) = runtime.block_on(async {
            let (store, first) = open(&config, None, &System, Arc::new(System)).await.unwrap();
            let doer = Doer {
                tenant: SERVER,
                integration: None,
                actor: "cli".into(),
                source: String::new(),
                now: System.now(),
                whereabouts: Default::default(),
            };
            let (name, credentials) = ("owner".to_owned(), owner.digests());
            let create = CreateAdministrator { doer, tenant: None, name, role: Role::Owner, credentials };
            drop(store.write(create).await.unwrap());
            let app = app(&config, Arc::new(store), Arc::new(System), Arc::new(System)).unwrap();
            (router(app), first.unwrap().credentials)
        });
        let pair = format!("{}:{}", credentials.access_key, credentials.secret_key.expose());
        let world = Self {
            router,
            runtime,
            token: credentials.token.expose().to_owned(),
            pair: format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())),
            owner: owner.token.expose().to_owned(),
            _folder: folder,
        };
        let second = Request::builder().method("POST").uri("/tenants/integrations");
        let made =
            world.ask_as(Who::Owner, "127.0.0.1:4711", second, br#"{"name":"second","tenant":1}"#.to_vec());
        assert_eq!(made.status, 201, "{made:?}");
        world
    }

    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// Asks as somebody; looks at what every answer must be like.
    #[track_caller]
    pub(crate) fn ask(&self, who: Who, request: axum::http::request::Builder, body: Vec<u8>) -> Answer {
        self.ask_as(who, "192.0.2.1:4711", request, body)
    }

    /// The same from another address.
    #[track_caller]
    pub(crate) fn ask_as(
        &self,
        who: Who,
        peer: &str,
        request: axum::http::request::Builder,
        body: Vec<u8>,
    ) -> Answer {
        let request = match who {
            Who::Nobody => request,
            Who::Guesser => request.header("X-Integration-Token", "0".repeat(40)),
            Who::Integration => request.header("X-Integration-Token", &self.token),
            Who::Pair => request.header("Authorization", &self.pair),
            Who::Owner => request.header("X-Admin-Token", &self.owner),
        };
        self.ask_from(peer, request.body(Body::from(body)).unwrap())
    }

    #[track_caller]
    pub(crate) fn ask_from(&self, peer: &str, mut request: Request) -> Answer {
        let peer: SocketAddr = peer.parse().unwrap();
        request.extensions_mut().insert(ClientSocket(peer));
        self.ask_nowhere(request)
    }

    /// Without the address that the listener knows.
    #[track_caller]
    pub(crate) fn ask_nowhere(&self, request: Request) -> Answer {
        let asked = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        let answer = self.runtime.block_on(async {
            let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer { status: parts.status, headers: parts.headers, body }
        });
        look_at(&answer, &asked);
        answer
    }
}

#[track_caller]
fn look_at(answer: &Answer, asked: &str) {
    let Answer { status, headers, body } = answer;
    // 502: a code could not be sent, for nothing is configured to send it.
    assert!(!status.is_server_error() || *status == StatusCode::BAD_GATEWAY, "{asked}: {answer:?}");
    for header in ["x-request-id", "vary", "x-frame-options", "x-content-type-options", "cache-control"] {
        assert!(headers.contains_key(header), "{asked}: no {header}: {answer:?}");
    }
    // Nobody is sent elsewhere by this server.
    assert!(!status.is_redirection() && !headers.contains_key("location"), "{asked}: {answer:?}");
    if !status.is_client_error() && !status.is_server_error() {
        return;
    }
    let text = String::from_utf8_lossy(body);
    if asked.starts_with("HEAD ") {
        return;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{asked}: {error}: {text}"));
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["error"], "{asked}: {text}");
    let code = body["error"]["code"].as_str().unwrap();
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!code.is_empty() && code.chars().all(is_word), "{asked}: {text}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.len() > 10 && message.len() < 400, "{asked}: {text}");
    assert!(!message.chars().any(char::is_control), "{asked}: {text}");
    let known = ["attempts_left", "code", "message", "retry_after"];
    for field in body["error"].as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "{asked}: {text}");
    }
    assert_eq!(headers["content-type"], "application/json", "{asked}");
    if *status == StatusCode::UNAUTHORIZED {
        assert!(headers.contains_key("www-authenticate"), "{asked}");
    }
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        assert!(headers.contains_key("allow"), "{asked}");
    }
}

/// Every operation, its path as a template.
pub(crate) fn operations() -> Vec<(Method, String)> {
    let mut found = Vec::new();
    for (path, item) in &documentation().paths.paths {
        for (method, there) in [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::PATCH, item.patch.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ] {
            if there {
                found.push((method, path.clone()));
            }
        }
    }
    assert!(found.len() > 30, "the operations were not found");
    found
}

/// A path with its numbers. The owner gets at a policy that nobody works with, and else at nothing: what is
/// there would be gone for the others.
pub(crate) fn numbered(path: &str, who: Who) -> String {
    let pk = match who {
        Who::Owner if path.ends_with("/policy") => "2",
        Who::Owner => "999999",
        Who::Nobody | Who::Guesser | Who::Integration | Who::Pair => "1",
    };
    path.replace("{pk}", pk).replace("{device_pk}", pk)
}
