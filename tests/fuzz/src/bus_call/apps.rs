//! The apps that are asked about: two, over a store of their own, at a time that stands still.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use oss2fa_core::random::Random;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::device::Kinds;
use oss2fa_server::device::app::Seed;
use oss2fa_server::ids::{AppUuid, IntegrationId, TenantId, Username};
use oss2fa_server::message::Delivery;
use oss2fa_server::open::open;
use oss2fa_server::outside::{System, Timestamp};
use oss2fa_server::policy::Policy;
use oss2fa_server::service::Service;
use oss2fa_server::service::apps::own::{AppName, NewApp};
use oss2fa_server::service::apps::{AppClaim, Apps, Door, Verdict, home};
use oss2fa_server::service::credential::Credentials;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::apps::{RegisterApp, Registered, Trusted};
use oss2fa_server::store::verbs::integrations::CreateIntegration;
use oss2fa_server::store::verbs::tenants::Created;
use oss2fa_server::yubico::Nobody;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// An app that may ask about others.
pub(super) const TRUSTED: &str = "9d4f2c1e-7a3b-4c5d-8e6f-0a1b2c3d4e5f";

/// One that may not.
pub(super) const OTHER: &str = "1b3d5f70-2c4e-4a6c-9e8d-f1a3c5e7092b";

/// Steps before and after the time whose tokens are taken.
pub(super) const WINDOW: u8 = 1;

/// A time of RFC 6238, appendix B.
pub(super) const NOW: Timestamp = Timestamp(1_111_111_111_000_000);

/// The seed of that appendix, and the same with another last digit.
const SEEDS: [&str; 2] = ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJR"];

/// The tokens of the step before that time, of its own and of the next, as oathtool has them.
const TOKENS: [[&str; 3]; 2] = [["081804", "050471", "266759"], ["697754", "752384", "287627"]];

pub(super) const TRUSTEDS_TOKEN: &str = TOKENS[0][1];
pub(super) const OTHERS_TOKEN: &str = TOKENS[1][1];

const CONFIG: &str = "[ungleich_otp]\nenabled = true\nwindow = 1\n";

struct World {
    apps: Apps,
    runtime: Runtime,
    _folder: TempDir,
}

/// What the server says: is it OK?
pub(super) fn decide(requester: &AppClaim, about: &AppClaim) -> bool {
    let World { apps, runtime, .. } = world();
    let verdict = runtime.block_on(apps.verify(Door::Bus, requester, about, NOW));
    verdict.expect("the store answers") == Verdict::Ok
}

/// A token that is one of the app, however it was typed.
pub(super) fn is_right(claim: &AppClaim) -> bool {
    let apps = [TRUSTED, OTHER].into_iter().zip(TOKENS);
    let mut own = apps.filter(|(app, _)| claim.appuuid.eq_ignore_ascii_case(app));
    let token: String = claim.token.expose().chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    own.any(|(_, tokens)| tokens.contains(&&*token))
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        // What is static is never dropped: whoever runs this gives it a TMPDIR to be removed.
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().join("data")), listen: None };
        let config = Config::parse(Path::new("/etc/oss2fa/server.toml"), CONFIG, overrides).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let random: Arc<dyn Random> = Arc::new(System);
        let store = runtime.block_on(async {
            let (store, first) = open(&config, None, &System, Arc::clone(&random)).await.unwrap();
            make(&store, first.unwrap().tenant.pk).await;
            store
        });
        let delivery = Delivery::new(None, None, Arc::new(System), Arc::clone(&random)).unwrap();
        let service = Service {
            store: Arc::new(store),
            kinds: Kinds::all(),
            messenger: Arc::new(delivery),
            authority: Arc::new(Nobody),
            clock: Arc::new(System),
            mail_subject: "".into(),
        };
        let apps = Apps::new(service, config.ungleich_otp.as_ref().unwrap());
        World { apps, runtime, _folder: folder }
    })
}

/// The integration of the apps, in which nobody is ever locked: a right token is right however many were wrong.
async fn make(store: &Store, tenant: TenantId) {
    let mut policy = Policy::default();
    policy.locks.free_attempts = u32::MAX;
    policy.locks.free_attempts_per_source = u32::MAX;
    policy.locks.free_attempts_per_client = u32::MAX;
    let create = CreateIntegration {
        doer: doer(tenant, None),
        name: home::NAME.to_owned(),
        credentials: Credentials::generate(&System).unwrap().digests(),
        policy,
    };
    let Created::New(made) = store.write(create).await.unwrap() else { panic!("no integration") };
    for ((app, trusted), seed) in [(TRUSTED, Trusted::Yes), (OTHER, Trusted::No)].into_iter().zip(SEEDS) {
        let (name, username) = (AppName::parse("app").unwrap(), Username::parse("ferris").unwrap());
        let (new, seed) = (NewApp { name, username, trusted }, Seed::parse(seed).unwrap());
        let register = new.register(doer(tenant, Some(made.pk)), &seed, &System).unwrap();
        let register = RegisterApp { app: AppUuid::parse(app).unwrap(), ..register };
        assert!(matches!(store.write(register).await.unwrap(), Registered::New(_)));
    }
}

fn doer(tenant: TenantId, integration: Option<IntegrationId>) -> Doer {
    Doer {
        tenant,
        integration,
        actor: "cli".into(),
        source: String::new(),
        now: NOW,
        whereabouts: Default::default(),
    }
}
