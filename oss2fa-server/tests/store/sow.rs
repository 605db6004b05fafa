//! Tenants, clients and devices to try the verbs on.

use oss2fa_core::factor::hotp::Hotp;
use oss2fa_core::factor::otp::{Digits, OtpParameters};
use oss2fa_core::factor::recovery_code::StoredCode;
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::Verified;
use oss2fa_server::device::{NewDevice, Spend};
use oss2fa_server::ids::{ChallengeId, ClientId, EnrollmentId, IntegrationId, TenantId, Username};
use oss2fa_server::policy::{LockPolicy, Policy};
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::attempts::{Attempt, Verdict};
use oss2fa_server::store::verbs::challenges::CreateChallenge;
use oss2fa_server::store::verbs::enrollments::{
    CompleteEnrollment, Completed, CreateEnrollment, KeepEnrollmentStep,
};
use oss2fa_server::store::verbs::integrations::CreateIntegration;
use oss2fa_server::store::verbs::tenants::{CreateTenant, Created};

use crate::world::{World, digests};

/// The secret and the codes of RFC 4226, appendix D, for the counters 0 to 9.
pub(crate) const RFC_SECRET: &[u8] = b"12345678901234567890";
pub(crate) const RFC_CODES: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

/// A tenant with an integration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) tenant: TenantId,
    pub(crate) integration: IntegrationId,
}

impl Own {
    /// Its integration, asking for a client at an address.
    pub(crate) fn from(self, world: &World, source: &str) -> Doer {
        Doer {
            tenant: self.tenant,
            integration: Some(self.integration),
            actor: "integration".into(),
            source: source.to_owned(),
            now: world.now(),
            whereabouts: Default::default(),
        }
    }

    pub(crate) fn doer(self, world: &World) -> Doer {
        self.from(world, "192.0.2.1")
    }
}

pub(crate) fn name(name: &str) -> Username {
    Username::parse(name).unwrap()
}

/// A new tenant.
pub(crate) async fn tenant(world: &World, store: &Store, number: u8) -> Own {
    let create = CreateTenant {
        doer: world.server(),
        name: format!("tenant{number}"),
        public_id: format!("{number:040x}"),
    };
    let Created::New(tenant) = store.write(create).await.unwrap() else { panic!("taken") };
    integration(world, store, tenant.pk, number).await
}

/// A new integration of a tenant.
pub(crate) async fn integration(world: &World, store: &Store, tenant: TenantId, number: u8) -> Own {
    let create = CreateIntegration {
        doer: Doer { tenant, ..world.server() },
        name: format!("app{number}"),
        credentials: digests(number),
        policy: Policy::default(),
    };
    let Created::New(integration) = store.write(create).await.unwrap() else { panic!("taken") };
    Own { tenant, integration: integration.pk }
}

/// A device that counts, with the secret of RFC 4226 or another.
pub(crate) fn counting(secret: &[u8]) -> NewDevice {
    NewDevice {
        name: "Token".to_owned(),
        shown: Some("t***".to_owned()),
        material: SecretBytes::new(b"material".to_vec()),
        code_secret: Some(SecretBytes::new(secret.to_vec())),
        next_position: 0,
        codes: Vec::new(),
        public_id: None,
    }
}

/// Ten single-use codes; the digest of the code `n` is `n` 32 times.
pub(crate) fn codes() -> NewDevice {
    NewDevice {
        name: "Codes".to_owned(),
        shown: None,
        material: SecretBytes::new(Vec::new()),
        code_secret: None,
        next_position: 0,
        codes: (1..=10)
            .map(|number| StoredCode { number, digest: [u8::try_from(number).unwrap(); 32] })
            .collect(),
        public_id: None,
    }
}

pub(crate) async fn enrollment(world: &World, store: &Store, own: Own, who: &str) -> EnrollmentId {
    let create = CreateEnrollment {
        doer: own.doer(world),
        username: name(who),
        attempts: 3,
        sends: 2,
        expires_at: world.now().after(300),
    };
    store.write(create).await.unwrap().pk
}

/// An enrollment that waits for its answer.
pub(crate) async fn prepared(world: &World, store: &Store, own: Own, who: &str) -> EnrollmentId {
    let enrollment = enrollment(world, store, own, who).await;
    let keep = KeepEnrollmentStep {
        doer: own.doer(world),
        enrollment,
        kind: "HOTP",
        step: SecretBytes::new(b"step".to_vec()),
        message: None,
    };
    store.write(keep).await.unwrap();
    enrollment
}

pub(crate) fn complete(
    world: &World,
    own: Own,
    enrollment: EnrollmentId,
    who: &str,
    device: NewDevice,
) -> CompleteEnrollment {
    let kind = if device.codes.is_empty() { "HOTP" } else { "RecoveryCodes" };
    CompleteEnrollment { doer: own.doer(world), enrollment, username: name(who), kind, device, most: 10 }
}

/// A client with this device.
pub(crate) async fn enrolled(
    world: &World,
    store: &Store,
    own: Own,
    who: &str,
    device: NewDevice,
) -> (ClientId, DeviceId) {
    let enrollment = prepared(world, store, own, who).await;
    match store.write(complete(world, own, enrollment, who, device)).await.unwrap() {
        Completed::Client(client, device) => (client, device),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn challenge(
    world: &World,
    store: &Store,
    own: Own,
    client: ClientId,
    device: DeviceId,
) -> ChallengeId {
    store.write(asking(world, own, client, device)).await.unwrap().unwrap().pk
}

pub(crate) fn asking(world: &World, own: Own, client: ClientId, device: DeviceId) -> CreateChallenge {
    CreateChallenge {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        device,
        reference: Some("login".to_owned()),
        fingerprint: Some("browser".to_owned()),
        attempts: 3,
        sends: 2,
        expires_at: world.now().after(300),
    }
}

/// The evidence for a code of RFC 4226.
pub(crate) fn evidence(device: DeviceId, code: &str) -> Verified {
    let secret = SecretBytes::new(RFC_SECRET.to_vec());
    let parameters = OtpParameters { digits: Digits::new(6).unwrap(), ..OtpParameters::default() };
    let hotp = Hotp { device, secret: &secret, parameters, next_counter: 0 };
    hotp.check(code).expect("a code of the appendix")
}

/// A try with a right code.
pub(crate) fn right(world: &World, own: Own, client: ClientId, device: DeviceId, code: &str) -> Attempt {
    Attempt { verified: Some((evidence(device, code), Spend::Position)), ..wrong(world, own, client) }
}

/// A try with a wrong code.
pub(crate) fn wrong(world: &World, own: Own, client: ClientId) -> Attempt {
    Attempt {
        doer: own.doer(world),
        client,
        username: "ferris".to_owned(),
        kind: "HOTP",
        challenge: None,
        verified: None,
        limits: LockPolicy::default(),
    }
}

pub(crate) fn is_admitted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Admitted(_))
}
