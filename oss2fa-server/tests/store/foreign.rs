//! Every verb and query with the numbers of another tenant, or of another integration: nothing is changed
//! and nothing is seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::config::SeedReads;
use oss2fa_server::policy::{LockPolicy, Policy};
use oss2fa_server::store::audit::{AuditFilter, AuditPage, AuditVerdict, VerifyAudit};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::administrators::{
    CreateAdministrator, ListAdministrators, RemoveAdministrator, Role,
};
use oss2fa_server::store::verbs::apps::{
    AppChange, ChangeApp, FindApp, ListApps, Registered, TakeSeed, TakenSeed, Trusted,
};
use oss2fa_server::store::verbs::attempts::{Verdict, Verify};
use oss2fa_server::store::verbs::challenges::{
    CancelChallenge, DeviceMessages, FindChallenge, KeepStep, Kept, Sending,
};
use oss2fa_server::store::verbs::clients::{
    ChangeClient, ClientChange, ClientStatus, DevicesOf, FindByName, FindClient, ListClients,
};
use oss2fa_server::store::verbs::devices::DevicesOfKinds;
use oss2fa_server::store::verbs::enrollments::{
    Completed, FindEnrollment, KeepEnrollmentStep, RefuseEnrollment,
};
use oss2fa_server::store::verbs::idempotency::Reserve;
use oss2fa_server::store::verbs::integrations::{
    FindIntegration, IntegrationFor, IntegrationKey, ListIntegrations, RemoveIntegration, RotateToken,
    SetPolicy,
};
use oss2fa_server::store::verbs::keys::{
    CountOld, DropKey, KeyUse, ListKeys, RotateTenantKey, SEALED_COLUMNS, SealAnew, StoreResealed, UseOfKey,
};
use oss2fa_server::store::verbs::tenants::{Created, Removed};
use oss2fa_server::store::verbs::trusted::{IsTrusted, RecordPass, Trust};
use oss2fa_server::store::verbs::{Doer, Page};

use crate::enrollments::to_address;
use crate::everything::{app, marked, webhook};
use crate::foreign_outbox;
use crate::raw::{change, dump};
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, asking, codes, complete, counting, enrolled, integration, name, prepared,
    right, tenant,
};
use crate::victim::{Reach, Victim, integration_of};
use crate::world::{World, digests};

clauses!(another_tenants_numbers_do_nothing);

/// What works on no tenant's rows, or is told by its caller in which tenant it may: the reason.
const OTHERS: &[(&str, &str)] = &[
    ("BeginServer", "makes the first tenant"),
    ("IsNew", "asks whether there is anything"),
    ("CreateTenant", "makes a tenant"),
    ("RemoveTenant", "is the server's; tenants.rs tries that nobody else's rows go with it"),
    ("ListTenants", "is the server's"),
    ("FindTenant", "is the server's"),
    ("Authenticate", "finds whose a secret is"),
    ("AuthenticateAdministrator", "finds whose a secret is"),
    ("Nothing", "does nothing"),
    ("KeysOf", "gives keys to the service, which asks for its caller's"),
    ("DescribeStore", "counts, for the command line"),
    ("ReopenStore", "is about the store"),
    ("Sweep", "removes what is too old, whosever it is"),
    ("DueWebhooks", "asks which webhooks of all tenants have something to send"),
    ("RecordHostEvents", "hosts.rs tries it with other tenants"),
    ("CreateOfflineCredential", "offline.rs tries it with other tenants"),
    ("ListOfflineCredentials", "offline.rs tries it with other tenants"),
    ("RevokeOfflineCredential", "offline.rs tries it with other tenants"),
    ("CreateYubicoClient", "yubikeys.rs tries it with other tenants"),
    ("FindYubicoClient", "finds whose an id is"),
    ("FindYubikey", "yubikeys.rs tries it with other tenants"),
    ("ImportYubikey", "yubikeys.rs tries it with other tenants"),
    ("ListYubicoClients", "yubikeys.rs tries it with other tenants"),
    ("RemoveYubicoClient", "yubikeys.rs tries it with other tenants"),
    ("Validate", "yubikeys.rs tries it with other tenants"),
    ("CountWrappedByOlder", "is about the master key"),
    ("PrependMasterKey", "is about the master key"),
    ("RewrapKeys", "is about the master key"),
    ("DropOldMasterKeys", "is about the master key"),
    ("MasterKeyRotated", "is about the master key"),
];

#[test]
fn every_verb_is_tried_with_another_tenants_numbers() {
    let mut written = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut written);
    assert!(written.len() > 40, "{written:?}");
    let tried: BTreeSet<String> = CASES
        .iter()
        .chain(foreign_outbox::CASES)
        .map(|(name, ..)| *name)
        .chain(OTHERS.iter().map(|(name, _)| *name))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = written.difference(&tried).collect();
    assert!(missing.is_empty(), "in src, and neither in CASES nor in OTHERS of {}: {missing:?}", file!());
    let gone: Vec<_> = tried.difference(&written).collect();
    assert!(gone.is_empty(), "not in src any more: {gone:?}");
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            for implements in ["Verb for ", "Query for "] {
                let name = line.split_once(implements).filter(|(before, _)| before.starts_with("impl"));
                let name = name.and_then(|(_, rest)| rest.split([' ', '<', '{']).next());
                // `Waiting` carries a verb through the queue.
                found.extend(name.map(str::to_owned));
            }
        }
    }
}

async fn another_tenants_numbers_do_nothing(world: &World) {
    let store = &world.begun().await;
    let (own, other) = (tenant(world, store, 1).await, tenant(world, store, 2).await);
    let sibling = integration(world, store, own.tenant, 3).await;
    let webhook = webhook(world, store, own).await.pk;
    let (client, device) = enrolled(world, store, own, "ferris", counting(RFC_SECRET)).await;
    enrolled(world, store, own, "ferris", codes()).await;
    let challenge = crate::sow::challenge(world, store, own, client, device).await;
    let enrollment = prepared(world, store, own, "corro").await;
    let create = CreateAdministrator {
        doer: Doer { tenant: own.tenant, ..world.server() },
        tenant: Some(own.tenant),
        name: "ada".to_owned(),
        role: Role::Administrator,
        credentials: digests(9),
    };
    let Created::New(administrator) = store.write(create).await.unwrap() else { panic!("taken") };
    let trust = Trust {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        digest: [7; 32],
        fingerprint: None,
        expires_at: world.now().after(1000),
    };
    store.write(trust).await.unwrap();
    // Admitted from an address, and refused: a known source and locks.
    assert!(crate::sow::is_admitted(
        &store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap()
    ));
    store.write(crate::sow::wrong(world, own, client)).await.unwrap();
    let Registered::New(app) = store.write(app(own.doer(world), 8)).await.unwrap() else {
        panic!("not registered")
    };
    store.write(Reserve(marked(world, own))).await.unwrap();
    // What is sealed by the older key waits to be sealed anew.
    let rotate = RotateTenantKey { doer: Doer { tenant: own.tenant, ..world.server() } };
    assert_eq!(store.write(rotate).await.unwrap(), Some(2));

    let victim = Victim {
        world,
        store,
        own,
        client,
        device,
        challenge,
        enrollment,
        administrator: administrator.pk,
        app: app.appuuid,
        webhook,
    };
    let strangers = [
        ("another tenant with its integration", other),
        ("another tenant with this one's integration", Own { tenant: other.tenant, ..own }),
        ("another integration of the same tenant", sibling),
    ];
    for (name, reach, case) in CASES.iter().chain(foreign_outbox::CASES) {
        for (who, stranger) in &strangers {
            if *reach == Reach::Tenant && stranger.tenant == own.tenant {
                continue;
            }
            let before = dump(store, own.tenant).await;
            case(&victim, stranger.doer(world)).await;
            let mut after = dump(store, own.tenant).await;
            if stranger.tenant == own.tenant {
                // Their own refused tries are written down in the audit that both have.
                after.retain(|row| !row.starts_with("audit"));
                assert_eq!(before.iter().filter(|row| !row.starts_with("audit")).count(), after.len());
                assert!(after.iter().all(|row| before.contains(row)), "{name} by {who} changed {after:#?}");
            } else {
                assert_eq!(before, after, "{name} by {who}");
            }
        }
    }
    // The strangers found what they did in their own audit, and it is whole.
    for of in [own.tenant, other.tenant] {
        let verdict = store.read(VerifyAudit { tenant: of }).await.unwrap();
        assert!(matches!(verdict, AuditVerdict::Whole { .. }), "{verdict:?}");
    }
}

cases! {
    Integration Attempt(victim, doer) {
        let attempt = right(victim.world, victim.own, victim.client, victim.device, RFC_CODES[5]);
        let with = oss2fa_server::store::verbs::attempts::Attempt { doer, challenge: Some(victim.challenge), ..attempt };
        assert_eq!(victim.store.write(with).await.unwrap(), Verdict::Barred);
    }
    Integration Verify(victim, doer) {
        let verify = Verify {
            doer,
            username: name("ferris"),
            judge: Box::new(|_, _| Err(StoreError::Corrupt("a stranger's code was judged"))),
            limits: LockPolicy::default(),
            hidden_as: None,
        };
        assert_eq!(victim.store.write(verify).await.unwrap().1, Verdict::Nobody);
    }
    Integration CreateChallenge(victim, doer) {
        let asking = asking(victim.world, victim.own, victim.client, victim.device);
        let with = oss2fa_server::store::verbs::challenges::CreateChallenge { doer, ..asking };
        assert!(victim.store.write(with).await.unwrap().is_none());
    }
    Integration KeepStep(victim, doer) {
        for sending in [Sending::Nothing, Sending::Message { not_since: victim.world.now() }] {
            let keep = KeepStep {
                tenant: doer.tenant,
                integration: integration_of(&doer),
                challenge: victim.challenge,
                step: SecretBytes::new(b"mine".to_vec()),
                sending,
                device: DeviceMessages { since: victim.world.now().before(300), most: 6, of_challenge: 3 },
                limits: LockPolicy::default(),
                now: doer.now,
            };
            assert_eq!(victim.store.write(keep).await.unwrap(), Kept::NotNow);
        }
    }
    Integration FindChallenge(victim, doer) {
        let find = FindChallenge {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            challenge: victim.challenge,
            now: doer.now,
        };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Integration CancelChallenge(victim, doer) {
        let cancel = CancelChallenge { doer, challenge: victim.challenge };
        assert_eq!(victim.store.write(cancel).await.unwrap(), Removed::NotThere);
    }
    Integration FindByName(victim, doer) {
        let find = FindByName {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            username: name("ferris"),
        };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Integration ListClients(victim, doer) {
        let list = ListClients {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            username: None,
            page: Page { after: 0, limit: 200 },
        };
        assert_eq!(victim.store.read(list).await.unwrap(), []);
    }
    Integration FindClient(victim, doer) {
        let find = FindClient {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            client: victim.client,
        };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Tenant DevicesOf(victim, doer) {
        let devices = DevicesOf { tenant: doer.tenant, client: victim.client };
        assert_eq!(victim.store.read(devices).await.unwrap(), []);
    }
    Integration DevicesOfKinds(victim, doer) {
        let ask = |integration| DevicesOfKinds {
            tenant: doer.tenant, integration, username: name("ferris"), kinds: &["HOTP", "RecoveryCodes"],
        };
        let own = victim.store.read(ask(doer.integration.unwrap())).await.unwrap();
        assert!(own.is_empty());
        if doer.tenant != victim.own.tenant {
            assert!(victim.store.read(ask(victim.own.integration)).await.unwrap().is_empty());
        }
    }
    Integration ChangeClient(victim, doer) {
        for change in [
            ClientChange::Status(ClientStatus::Bypass),
            ClientChange::Unlock,
            ClientChange::Rename(victim.device, "mine".to_owned()),
            ClientChange::RemoveDevice(victim.device),
            ClientChange::DistrustAll,
            ClientChange::Remove,
        ] {
            let change = ChangeClient { doer: doer.clone(), client: victim.client, change };
            assert_eq!(victim.store.write(change).await.unwrap(), Removed::NotThere);
        }
    }
    Integration CreateEnrollment(victim, doer) {
        let mine = crate::sow::enrollment(victim.world, victim.store, Own {
            tenant: doer.tenant,
            integration: integration_of(&doer),
        }, "ferris").await;
        assert_ne!(mine, victim.enrollment);
        // Nothing of it stays behind, so that the next comparison finds the tenant as it was.
        change(victim.store, format!("DELETE FROM enrollment WHERE pk = {mine}")).await;
    }
    Integration FindEnrollment(victim, doer) {
        let find = FindEnrollment {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            enrollment: victim.enrollment,
            now: doer.now,
        };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Integration KeepEnrollmentStep(victim, doer) {
        for message in [None, Some(to_address(victim.world, 1))] {
            let keep = KeepEnrollmentStep {
                doer: doer.clone(),
                enrollment: victim.enrollment,
                kind: "HOTP",
                step: SecretBytes::new(b"mine".to_vec()),
                message,
            };
            assert_eq!(victim.store.write(keep).await.unwrap(), Kept::NotNow);
        }
    }
    Integration RefuseEnrollment(victim, doer) {
        let refuse = RefuseEnrollment { doer, enrollment: victim.enrollment, username: name("corro") };
        assert_eq!(victim.store.write(refuse).await.unwrap(), None);
    }
    Integration CompleteEnrollment(victim, doer) {
        for who in ["corro", "ferris"] {
            let complete = complete(victim.world, victim.own, victim.enrollment, who, counting(b"another secret 12345"));
            let with = oss2fa_server::store::verbs::enrollments::CompleteEnrollment { doer: doer.clone(), ..complete };
            assert_eq!(victim.store.write(with).await.unwrap(), Completed::Over);
        }
    }
    Tenant CreateIntegration(victim, doer) {
        let made = integration(victim.world, victim.store, doer.tenant, 77).await;
        let remove = RemoveIntegration { doer, integration: made.integration };
        assert_eq!(victim.store.write(remove).await.unwrap(), Removed::Done);
    }
    Tenant ListIntegrations(victim, doer) {
        let list = ListIntegrations { tenant: doer.tenant, page: Page { after: 0, limit: 200 } };
        let found = victim.store.read(list).await.unwrap();
        assert!(found.iter().all(|integration| integration.tenant == doer.tenant), "{found:?}");
    }
    Tenant FindIntegration(victim, doer) {
        for by in [IntegrationKey::Pk(victim.own.integration), IntegrationKey::Name("app1".to_owned())] {
            assert!(victim.store.read(FindIntegration { tenant: doer.tenant, by }).await.unwrap().is_none());
        }
    }
    Tenant IntegrationFor(victim, doer) {
        let find = IntegrationFor { tenant: Some(doer.tenant), integration: victim.own.integration };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Tenant RotateToken(victim, doer) {
        let rotate = RotateToken { doer, integration: victim.own.integration, credentials: digests(200) };
        assert_eq!(victim.store.write(rotate).await.unwrap(), Removed::NotThere);
    }
    Tenant SetPolicy(victim, doer) {
        let policy = Policy { attempts: 1, ..Policy::default() };
        let set = SetPolicy { doer, integration: victim.own.integration, policy };
        assert_eq!(victim.store.write(set).await.unwrap(), Removed::NotThere);
    }
    Tenant RemoveIntegration(victim, doer) {
        let remove = RemoveIntegration { doer, integration: victim.own.integration };
        assert_eq!(victim.store.write(remove).await.unwrap(), Removed::NotThere);
    }
    Tenant CreateAdministrator(victim, doer) {
        let create = CreateAdministrator {
            tenant: Some(doer.tenant),
            doer,
            name: "ada".to_owned(),
            role: Role::Administrator,
            credentials: digests(201),
        };
        assert_eq!(victim.store.write(create).await.unwrap(), Created::NameTaken);
    }
    Tenant ListAdministrators(victim, doer) {
        let list = ListAdministrators { tenant: Some(doer.tenant), page: Page { after: 0, limit: 200 } };
        assert_eq!(victim.store.read(list).await.unwrap(), []);
    }
    Tenant RemoveAdministrator(victim, doer) {
        let remove =
            RemoveAdministrator { tenant: Some(doer.tenant), doer, administrator: victim.administrator };
        assert_eq!(victim.store.write(remove).await.unwrap(), oss2fa_server::store::verbs::administrators::RemovedAdministrator::NotThere);
    }
    Tenant Trust(victim, doer) {
        let trust = Trust {
            doer,
            client: victim.client,
            username: name("ferris"),
            digest: [99; 32],
            fingerprint: None,
            expires_at: victim.world.now().after(1000),
        };
        // The second stranger of the same tenant meets its own row.
        let _ = victim.store.write(trust).await;
        let asked = IsTrusted {
            tenant: victim.own.tenant,
            client: victim.client,
            digest: [99; 32],
            fingerprint: None,
            not_before: victim.world.now().before(1000),
            now: victim.world.now(),
        };
        assert!(!victim.store.read(asked).await.unwrap(), "what another tenant trusts");
    }
    Tenant IsTrusted(victim, doer) {
        let asked = |tenant| IsTrusted {
            tenant,
            client: victim.client,
            digest: [7; 32],
            fingerprint: None,
            not_before: victim.world.now().before(1000),
            now: victim.world.now(),
        };
        assert!(victim.store.read(asked(victim.own.tenant)).await.unwrap());
        assert!(!victim.store.read(asked(doer.tenant)).await.unwrap());
    }
    Tenant RecordPass(victim, doer) {
        let record = RecordPass { doer, username: name("ferris"), what: "allowed", why: "bypass" };
        victim.store.write(record).await.unwrap();
    }
    Tenant AuditPage(victim, doer) {
        let page = AuditPage { tenant: doer.tenant, after: 0, limit: 1000, filter: AuditFilter::default() };
        let found = victim.store.read(page).await.unwrap();
        assert!(found.iter().all(|entry| entry.event != "enrolled"), "{found:?}");
    }
    Tenant VerifyAudit(victim, doer) {
        let verdict = victim.store.read(VerifyAudit { tenant: doer.tenant }).await.unwrap();
        let own = victim.store.read(VerifyAudit { tenant: victim.own.tenant }).await.unwrap();
        assert_ne!(verdict, own);
    }
    Tenant ListKeys(victim, doer) {
        let keys = victim.store.read(ListKeys { tenant: Some(doer.tenant) }).await.unwrap();
        assert!(!keys.is_empty() && keys.iter().all(|key| key.tenant == doer.tenant), "{keys:?}");
    }
    Tenant RotateTenantKey(victim, doer) {
        assert!(victim.store.write(RotateTenantKey { doer }).await.unwrap().is_some());
    }
    Tenant CountOld(victim, doer) {
        assert_eq!(victim.store.read(CountOld { tenant: doer.tenant }).await.unwrap(), 0);
    }
    Tenant SealAnew(victim, doer) {
        for column in SEALED_COLUMNS {
            let batch = SealAnew { tenant: doer.tenant, column, after: 0, limit: 100 };
            assert_eq!(victim.store.read(batch).await.unwrap().last, None);
        }
    }
    Tenant UseOfKey(victim, doer) {
        let used = |tenant| UseOfKey { tenant, version: 1 };
        assert_eq!(victim.store.read(used(victim.own.tenant)).await.unwrap(), KeyUse::Used);
        assert_eq!(victim.store.read(used(doer.tenant)).await.unwrap(), KeyUse::Unused);
    }
    Tenant DropKey(victim, doer) {
        let drop = DropKey { superseded_before: victim.world.now(), doer, version: 1 };
        // Their own old key may go; the dump shows that the victim's stays.
        victim.store.write(drop).await.unwrap();
    }
    Tenant StoreResealed(victim, doer) {
        let column = SEALED_COLUMNS[0];
        let read = SealAnew { tenant: victim.own.tenant, column, after: 0, limit: 100 };
        let values = victim.store.read(read).await.unwrap().values;
        assert!(!values.is_empty());
        let write = StoreResealed { tenant: doer.tenant, column, values };
        assert_eq!(victim.store.write(write).await.unwrap(), 0);
    }
    Integration RegisterApp(victim, doer) {
        // Their own, of the same user and UUID in another tenant; in the same tenant the UUID is taken.
        let mut theirs = app(doer.clone(), 9);
        if doer.tenant == victim.own.tenant {
            theirs = app(doer.clone(), 8);
            assert_eq!(victim.store.write(theirs).await.unwrap(), Registered::SeedInUse);
            return;
        }
        theirs.doer.integration = Some(victim.own.integration);
        let refused = victim.store.write(theirs).await;
        assert!(matches!(refused, Err(StoreError::NoKeys(_))), "{refused:?}");
    }
    Integration FindApp(victim, doer) {
        let find = FindApp {
            tenant: doer.tenant,
            integration: integration_of(&doer),
            app: victim.app.clone(),
            source: "192.0.2.1".to_owned(),
            used_since: doer.now,
            known_since: doer.now,
            now: doer.now,
        };
        assert!(victim.store.read(find).await.unwrap().is_none());
    }
    Integration ListApps(victim, doer) {
        for username in [None, Some(name("ferris"))] {
            let list = ListApps {
                tenant: doer.tenant,
                integration: integration_of(&doer),
                username,
                page: Page { after: 0, limit: 200 },
            };
            assert_eq!(victim.store.read(list).await.unwrap(), []);
        }
    }
    Integration TakeSeed(victim, doer) {
        for username in [None, Some(name("ferris"))] {
            let take = TakeSeed {
                doer: doer.clone(),
                app: victim.app.clone(),
                username,
                reads: Some(SeedReads::Always),
            };
            let taken = victim.store.write(take).await.unwrap();
            assert!(matches!(taken, TakenSeed::NotThere), "{taken:?}");
        }
    }
    Integration ChangeApp(victim, doer) {
        let device = Box::new(app(doer.clone(), 10).device);
        for change in [AppChange::Trust(Trusted::Yes), AppChange::Seed(device), AppChange::Remove] {
            let change = ChangeApp { doer: doer.clone(), app: victim.app.clone(), change };
            assert_eq!(victim.store.write(change).await.unwrap(), Removed::NotThere);
        }
    }
}
