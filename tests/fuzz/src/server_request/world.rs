//! The server that is asked: made once, over a store in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use oss2fa_core::factor::yubico_validation::ApiKey;
use oss2fa_core::secret::SecretBytes;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::http::router::router;
use oss2fa_server::ids::{SERVER, TenantId};
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::open::open;
use oss2fa_server::outside::{Clock, System};
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use oss2fa_server::store::verbs::yubico_clients::{CreateYubicoClient, CreatedYubicoClient};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use super::operations;

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

/// Where the browsers are that use security keys.
pub(super) const ORIGIN: &str = "https://oss2fa.test";

/// What a client of the validation protocol signs with.
const API_KEY: [u8; 20] = [3; 20];

pub(super) struct World {
    router: Router,
    runtime: Runtime,
    pub(super) operations: Vec<(Method, String)>,
    pub(super) token: String,
    pub(super) owner: String,
    /// The client of the validation protocol.
    pub(super) api: (i64, ApiKey),
    _folder: TempDir,
}

impl World {
    /// What comes back for a request that a proxy passed on.
    pub(super) fn answer(&self, mut request: Request<Body>) -> (StatusCode, HeaderMap, Bytes) {
        let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
        request.extensions_mut().insert(ClientSocket(peer));
        self.runtime.block_on(async {
            let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
            (parts.status, parts.headers, body.collect().await.unwrap().to_bytes())
        })
    }
}

fn doer(tenant: TenantId) -> Doer {
    Doer {
        tenant,
        integration: None,
        actor: "cli".into(),
        source: String::new(),
        now: System.now(),
        whereabouts: Default::default(),
    }
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        // What is static is never dropped: whoever runs this gives it a TMPDIR to be removed.
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().join("data")), listen: None };
        let config = Config::parse(Path::new("/etc/oss2fa/server.toml"), CONFIG, overrides).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let owner = Credentials::generate(&System).unwrap();
        let (router, first, api) = runtime.block_on(async {
            let (store, first) = open(&config, None, &System, Arc::new(System)).await.unwrap();
            let first = first.unwrap();
            let (name, credentials) = ("owner".to_owned(), owner.digests());
            let create = CreateAdministrator {
                doer: doer(SERVER),
                tenant: None,
                name,
                role: Role::Owner,
                credentials,
            };
            drop(store.write(create).await.unwrap());
            let create = CreateYubicoClient {
                doer: doer(first.tenant.pk),
                integration: first.integration.pk,
                name: "login".to_owned(),
                key: SecretBytes::new(API_KEY.to_vec()),
            };
            let CreatedYubicoClient::New(made) = store.write(create).await.unwrap() else {
                panic!("no client")
            };
            let random = Arc::new(System);
            let app = oss2fa_server::serve::app(&config, Arc::new(store), Arc::new(System), random).unwrap();
            (router(app), first, made.id.0)
        });
        let path = format!("/tenants/integrations/{}/policy", first.integration.pk);
        let policy = json!({"fido": {"rp_id": "oss2fa.test", "origins": [ORIGIN]}});
        let (token, owner) = (first.credentials.token.expose().to_owned(), owner.token.expose().to_owned());
        let api = (api, ApiKey::new(SecretBytes::new(API_KEY.to_vec())).unwrap());
        let world = World { router, runtime, operations: operations(), token, owner, api, _folder: folder };
        let request = Request::put(path).header("X-Admin-Token", &world.owner);
        let (status, ..) = world.answer(request.body(Body::from(policy.to_string())).unwrap());
        assert_eq!(status, StatusCode::OK, "the policy");
        world
    })
}
