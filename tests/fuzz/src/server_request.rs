//! Requests to the server: its router over a store of its own, asked as anybody.
//!
//! The first byte chooses the operation, the second who asks, the third a header. Then come the value of that
//! header and the query, each with its length in a byte in front; the rest is the body.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::http::router::{documentation, router};
use oss2fa_server::ids::SERVER;
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System};
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const CONFIG: &str = "
[proxy]
trusted = ['10.0.0.0/8']
[limits]
token_per_second = 1000000
token_burst = 1000000
address_per_second = 1000000
address_burst = 1000000
refused_per_minute = 100000
";

const HEADERS: [&str; 8] = [
    "accept",
    "authorization",
    "x-integration-token",
    "x-admin-token",
    "x-forwarded-for",
    "idempotency-key",
    "content-type",
    "x-nothing",
];

struct World {
    router: Router,
    runtime: Runtime,
    operations: Vec<(Method, String)>,
    token: String,
    owner: String,
    _folder: TempDir,
}

/// Whatever is asked, the server has no fault, and a refusal has the one shape of errors.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [operation, who, header, rest @ ..] = data else { return };
    let (value, rest) = counted(rest);
    let (query, body) = counted(rest);
    let world = world();
    let (method, path) = &world.operations[usize::from(*operation) % world.operations.len()];
    let is_owner = who % 4 == 3;
    // The owner would remove what the others are asked about.
    let path = path.replace("{pk}", if is_owner { "999999" } else { "1" }).replace("{device_pk}", "1");
    let query = String::from_utf8_lossy(query);
    let Ok(uri) = format!("{path}?{query}").parse::<axum::http::Uri>() else { return };
    let mut request = Request::builder().method(method).uri(uri);
    request = match who % 4 {
        0 => request,
        1 => request.header("X-Integration-Token", "0".repeat(40)),
        2 => request.header("X-Integration-Token", &world.token),
        _ => request.header("X-Admin-Token", &world.owner),
    };
    if let Ok(value) = HeaderValue::from_bytes(value) {
        request = request.header(HEADERS[usize::from(*header) % HEADERS.len()], value);
    }
    let mut request = request.body(Body::from(Bytes::copy_from_slice(body))).unwrap();
    let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
    request.extensions_mut().insert(ClientSocket(peer));
    let (status, headers, body) = world.runtime.block_on(async {
        let (parts, body) = world.router.clone().oneshot(request).await.unwrap().into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
    });
    look_at(status, &headers, &body);
}

fn counted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let [length, rest @ ..] = bytes else { return (&[], &[]) };
    rest.split_at(usize::from(*length).min(rest.len()))
}

fn look_at(status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    // 502: a code could not be sent, for nothing is configured to send it.
    assert!(!status.is_server_error() || status == StatusCode::BAD_GATEWAY, "{status}");
    assert!(headers.contains_key("x-request-id") && headers.contains_key("cache-control"));
    if status.is_client_error() || status.is_server_error() {
        let body: Value = serde_json::from_slice(body).expect("an error is JSON");
        let code = body["error"]["code"].as_str().unwrap();
        assert!(!code.is_empty() && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'), "{code}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.len() < 400 && !message.chars().any(char::is_control), "{message:?}");
    }
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        // What is static is never dropped: whoever runs this gives it a TMPDIR to be removed.
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().join("data")), listen: None };
        let config = Config::parse(Path::new("/etc/oss2fa/server.toml"), CONFIG, overrides).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let owner = Credentials::generate(&System).unwrap();
        let (router, token) = runtime.block_on(async {
            let (store, first) = open(&config, None, &System, Arc::new(System)).await.unwrap();
            let doer = Doer {
                tenant: SERVER,
                integration: None,
                actor: "cli".to_owned(),
                source: String::new(),
                now: System.now(),
                whereabouts: Default::default(),
            };
            let (name, credentials) = ("owner".to_owned(), owner.digests());
            let create = CreateAdministrator { doer, tenant: None, name, role: Role::Owner, credentials };
            drop(store.write(create).await.unwrap());
            let random = Arc::new(System);
            let app = oss2fa_server::serve::app(&config, Arc::new(store), Arc::new(System), random).unwrap();
            (router(app), first.unwrap().credentials.token.expose().to_owned())
        });
        let owner = owner.token.expose().to_owned();
        World { router, runtime, operations: operations(), token, owner, _folder: folder }
    })
}

fn operations() -> Vec<(Method, String)> {
    let mut found = Vec::new();
    for (path, item) in documentation().paths.paths {
        let there = [
            (Method::GET, item.get.is_some()),
            (Method::POST, item.post.is_some()),
            (Method::PUT, item.put.is_some()),
            (Method::PATCH, item.patch.is_some()),
            (Method::DELETE, item.delete.is_some()),
        ];
        found.extend(there.into_iter().filter(|(_, is)| *is).map(|(method, _)| (method, path.clone())));
    }
    found
}
