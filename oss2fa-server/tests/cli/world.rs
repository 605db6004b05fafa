//! A store with sealed values, used by several processes: each has its own keys in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::ids::{EnrollmentId, IntegrationId, SERVER, TenantId, Username};
use oss2fa_server::open::{open, open_existing};
use oss2fa_server::outside::{Clock, System, Timestamp};
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verb::{Query, Verb};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::enrollments::{CreateEnrollment, FindEnrollment, KeepEnrollmentStep};
use oss2fa_server::store::verbs::tenants::{CreateTenant, Created};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    folder: TempDir,
    config: Config,
}

pub(crate) const TENANT: TenantId = TenantId(1);
const INTEGRATION: IntegrationId = IntegrationId(1);

impl World {
    /// After a first start.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let overrides = Overrides { data_dir: Some(folder.path().join("data")), listen: None };
        let config = Config::parse(Path::new("server.toml"), "", overrides).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let world = Self { runtime, folder, config };
        let opened = open(&world.config, None, &System, Arc::new(System));
        let (store, _) = world.runtime.block_on(opened).map_err(|error| error.to_string()).unwrap();
        world.runtime.block_on(store.close());
        world
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("data/master.key")
    }

    /// As one more process would.
    pub(crate) fn open(&self) -> Process<'_> {
        self.try_open().unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_open(&self) -> Result<Process<'_>, StoreError> {
        let store = self.runtime.block_on(open_existing(&self.config, None, Arc::new(System)))?;
        Ok(Process { world: self, store })
    }
}

pub(crate) struct Process<'w> {
    world: &'w World,
    pub(crate) store: Store,
}

pub(crate) fn doer(tenant: TenantId) -> Doer {
    Doer {
        tenant,
        integration: (tenant != SERVER).then_some(INTEGRATION),
        actor: "cli:test".into(),
        source: String::new(),
        now: System.now(),
        whereabouts: Default::default(),
    }
}

/// So many seconds from now.
pub(crate) fn doer_later(tenant: TenantId, seconds: u32) -> Doer {
    let doer = doer(tenant);
    Doer { now: doer.now.after(seconds), ..doer }
}

impl Process<'_> {
    pub(crate) fn run<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> T {
        self.world.runtime.block_on(work).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn write<V: Verb>(&self, verb: V) -> V::Output {
        self.run(self.store.write(verb))
    }

    pub(crate) fn read<Q: Query>(&self, query: Q) -> Q::Output {
        self.run(self.store.read(query))
    }

    /// An enrollment with this text sealed in it.
    pub(crate) fn seal(&self, text: &str) -> EnrollmentId {
        let create = CreateEnrollment {
            doer: doer(TENANT),
            username: Username::parse("ferris").unwrap(),
            attempts: 5,
            sends: 3,
            expires_at: System.now().after(300),
        };
        let pk = self.write(create).pk;
        self.seal_again(pk, text);
        pk
    }

    pub(crate) fn seal_again(&self, enrollment: EnrollmentId, text: &str) {
        self.write(KeepEnrollmentStep {
            doer: doer(TENANT),
            enrollment,
            kind: "TOTP",
            step: SecretBytes::new(text.as_bytes().to_vec()),
            message: None,
        });
    }

    /// What is sealed there.
    pub(crate) fn unseal(&self, enrollment: EnrollmentId) -> Result<String, StoreError> {
        let find = FindEnrollment { tenant: TENANT, integration: INTEGRATION, enrollment, now: Timestamp(0) };
        let found = self.world.runtime.block_on(self.store.read(find))?.unwrap();
        Ok(String::from_utf8(found.step.unwrap().expose().to_vec()).unwrap())
    }

    pub(crate) fn new_tenant(&self, name: &str) -> TenantId {
        let public_id = format!("{name:0>40}");
        match self.write(CreateTenant { doer: doer(SERVER), name: name.to_owned(), public_id }) {
            Created::New(tenant) => tenant.pk,
            Created::NameTaken => panic!("{name} is there"),
        }
    }
}
