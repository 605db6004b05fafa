//! Tenants: the first start, and that with a tenant all of it goes, and nothing of another.

use oss2fa_server::ids::{SERVER, TenantId};
use oss2fa_server::store::audit::{AuditVerdict, VerifyAudit};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::Page;
use oss2fa_server::store::verbs::ready::Nothing;
use oss2fa_server::store::verbs::tenants::{
    Age, Begun, CreateTenant, Created, FindTenant, IsNew, ListTenants, RemoveTenant, Removed,
};

use crate::raw::{change, dump, number};
use crate::sow::{
    RFC_CODES, RFC_SECRET, asking, challenge, codes, counting, enrolled, prepared, right, tenant, wrong,
};
use crate::world::World;

clauses!(the_first_start, made_found_and_listed, removed_with_all_that_is_theirs, ready);

async fn the_first_start(world: &World) {
    let store = world.node().await;
    assert_eq!(store.read(IsNew).await.unwrap(), Age::New);
    let Begun::New(made) = store.write(world.begin()).await.unwrap() else { panic!("not new") };
    let (made, integration) = *made;
    assert_eq!((made.name.as_str(), integration.name.as_str()), ("default", "oss2fa"));
    assert_eq!(integration.tenant, made.pk);
    assert_eq!(store.read(IsNew).await.unwrap(), Age::Old);
    assert_eq!(store.write(world.begin()).await.unwrap(), Begun::Before);
    for of in [SERVER, made.pk] {
        let verdict = store.read(VerifyAudit { tenant: of }).await.unwrap();
        assert!(matches!(verdict, AuditVerdict::Whole { events: 1.., .. }), "{verdict:?}");
    }
    // With another master key nothing begins again.
    let stranger = World::at(tempfile::tempdir().unwrap(), world.place().clone());
    let refused = stranger.node().await.write(stranger.begin()).await;
    assert!(matches!(refused, Err(StoreError::MasterKey { tenant: 0, .. })), "{refused:?}");
}

async fn made_found_and_listed(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let create = CreateTenant { doer: world.server(), name: "tenant1".to_owned(), public_id: "c".repeat(40) };
    assert_eq!(store.write(create).await.unwrap(), Created::NameTaken);
    let by_name = store.read(FindTenant::Name("tenant1".to_owned())).await.unwrap().unwrap();
    assert_eq!((by_name.pk, by_name.created_at), (own.tenant, world.now()));
    assert_eq!(store.read(FindTenant::Pk(own.tenant)).await.unwrap(), Some(by_name));
    assert_eq!(store.read(FindTenant::Pk(TenantId(i64::MAX))).await.unwrap(), None);
    let list = ListTenants { page: Page { after: 0, limit: 10 } };
    let names: Vec<_> = store.read(list).await.unwrap().into_iter().map(|tenant| tenant.name).collect();
    assert_eq!(names, ["default", "tenant1"]);
}

async fn removed_with_all_that_is_theirs(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    for of in [own, other] {
        let (client, device) = enrolled(world, &store, of, "ferris", counting(RFC_SECRET)).await;
        enrolled(world, &store, of, "ferris", codes()).await;
        challenge(world, &store, of, client, device).await;
        prepared(world, &store, of, "corro").await;
        store.write(right(world, of, client, device, RFC_CODES[0])).await.unwrap();
        store.write(wrong(world, of, client)).await.unwrap();
    }
    let kept = dump(&store, other.tenant).await;
    // On a second node, whose memory has the keys.
    let node = world.node().await;
    node.write(prepared_by(world, own)).await.unwrap();
    let remove = || RemoveTenant { doer: world.server(), tenant: own.tenant };
    assert_eq!(store.write(remove()).await.unwrap(), Removed::Done);
    assert_eq!(dump(&store, own.tenant).await, Vec::<String>::new(), "no table has a row of it");
    assert_eq!(dump(&store, other.tenant).await, kept);
    assert_eq!(store.write(remove()).await.unwrap(), Removed::NotThere);
    // Neither node takes anything more for it.
    for node in [&store, &node] {
        let late = node.write(prepared_by(world, own)).await;
        assert!(late.is_err(), "{late:?}");
    }
    assert_eq!(dump(&store, own.tenant).await, Vec::<String>::new());
    // A new tenant has another number and other keys.
    let new = tenant(world, &store, 1).await;
    assert_ne!(new.tenant, own.tenant);
    let (client, device) = enrolled(world, &store, new, "ferris", counting(RFC_SECRET)).await;
    assert!(node.write(asking(world, new, client, device)).await.unwrap().is_some());
}

fn prepared_by(
    world: &World,
    own: crate::sow::Own,
) -> oss2fa_server::store::verbs::enrollments::CreateEnrollment {
    oss2fa_server::store::verbs::enrollments::CreateEnrollment {
        doer: own.doer(world),
        username: crate::sow::name("late"),
        attempts: 3,
        sends: 2,
        expires_at: world.now().after(300),
    }
}

async fn ready(world: &World) {
    let store = world.begun().await;
    store.ready().await.unwrap();
    store.read(Nothing).await.unwrap();
    change(&store, "UPDATE store_state SET moved_to = 'elsewhere', moved_at = 1").await;
    assert!(matches!(store.ready().await, Err(StoreError::Moved(_))));
    // What only reads still does.
    assert_eq!(number(&store, "SELECT count(*) FROM tenant").await, 1);
}
