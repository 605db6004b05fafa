//! Integrations: known by their token or their pair, with rules, removed with their clients.

use oss2fa_server::policy::Policy;
use oss2fa_server::store::verbs::integrations::{
    Authenticate, CreateIntegration, FindIntegration, IntegrationFor, IntegrationKey, ListIntegrations,
    RemoveIntegration, RotateToken, SetPolicy,
};
use oss2fa_server::store::verbs::tenants::{Created, Removed};
use oss2fa_server::store::verbs::{Doer, Page};

use crate::raw::{change, number};
use crate::sow::{RFC_SECRET, counting, enrolled, integration, tenant};
use crate::world::{World, digests};

clauses!(known_by_what_proves_it, rules_are_kept, removed_with_its_clients, names_are_for_one_tenant);

fn pair(number: u8, secret: [u8; 32]) -> Authenticate {
    Authenticate::Pair { access_key: format!("key{number}"), secret }
}

async fn known_by_what_proves_it(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let found = async |by: Authenticate| store.read(by).await.unwrap().map(|found| (found.tenant, found.pk));
    let own_ids = Some((own.tenant, own.integration));
    assert_eq!(found(Authenticate::Token([1; 32])).await, own_ids);
    assert_eq!(found(pair(1, digests(1).secret)).await, own_ids);
    assert_eq!(found(pair(1, digests(2).secret)).await, None);
    assert_eq!(found(pair(2, digests(1).secret)).await, None);
    assert_eq!(found(Authenticate::Token([2; 32])).await, None);
    let doer = Doer { tenant: own.tenant, ..world.server() };
    let rotate = RotateToken { doer, integration: own.integration, credentials: digests(2) };
    assert_eq!(store.write(rotate).await.unwrap(), Removed::Done);
    assert_eq!(found(Authenticate::Token([1; 32])).await, None, "the old one is worth nothing");
    assert_eq!(found(pair(1, digests(1).secret)).await, None);
    assert_eq!(found(Authenticate::Token([2; 32])).await, own_ids);
}

async fn rules_are_kept(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let policy = Policy {
        attempts: 2,
        email_domains: vec!["example.org".to_owned()],
        client_networks: vec!["192.0.2.0/24".parse().unwrap()],
        ..Policy::default()
    };
    let doer = Doer { tenant: own.tenant, ..world.server() };
    let set = SetPolicy { doer, integration: own.integration, policy: policy.clone() };
    assert_eq!(store.write(set).await.unwrap(), Removed::Done);
    let by = || IntegrationKey::Pk(own.integration);
    let found = store.read(FindIntegration { tenant: own.tenant, by: by() }).await.unwrap().unwrap();
    assert_eq!(found.policy, policy);
    let of_any = IntegrationFor { tenant: None, integration: own.integration };
    assert_eq!(store.read(of_any).await.unwrap(), Some(found));
    // What cannot be read is no default.
    change(&store, "UPDATE integration SET policy = '{\"attempts\": 2, \"attemps\": 3}'").await;
    let refused = store.read(FindIntegration { tenant: own.tenant, by: by() }).await;
    assert!(refused.is_err(), "{refused:?}");
}

async fn removed_with_its_clients(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let sibling = integration(world, &store, own.tenant, 2).await;
    enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    enrolled(world, &store, sibling, "ferris", counting(b"another secret 12345")).await;
    let remove = || RemoveIntegration {
        doer: Doer { tenant: own.tenant, ..world.server() },
        integration: own.integration,
    };
    assert_eq!(store.write(remove()).await.unwrap(), Removed::Done);
    assert_eq!(store.write(remove()).await.unwrap(), Removed::NotThere);
    assert!(store.read(Authenticate::Token([1; 32])).await.unwrap().is_none());
    assert_eq!(number(&store, "SELECT count(*) FROM client").await, 1, "the sibling's stays");
    assert_eq!(number(&store, "SELECT count(*) FROM device WHERE sealed IS NOT NULL").await, 1);
    let gone = integration(world, &store, own.tenant, 1).await;
    assert_ne!(gone.integration, own.integration);
}

async fn names_are_for_one_tenant(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    let create = |tenant, number| CreateIntegration {
        doer: Doer { tenant, ..world.server() },
        name: "vpn".to_owned(),
        credentials: digests(number),
        policy: Policy::default(),
    };
    assert!(matches!(store.write(create(own.tenant, 10)).await.unwrap(), Created::New(_)));
    assert_eq!(store.write(create(own.tenant, 11)).await.unwrap(), Created::NameTaken);
    assert!(matches!(store.write(create(other.tenant, 12)).await.unwrap(), Created::New(_)));
    let page = |after| Page { after, limit: 1 };
    let first = store.read(ListIntegrations { tenant: own.tenant, page: page(0) }).await.unwrap();
    let second =
        store.read(ListIntegrations { tenant: own.tenant, page: page(first[0].pk.0) }).await.unwrap();
    assert_eq!((first[0].pk, second[0].name.as_str()), (own.integration, "vpn"));
    assert_eq!(
        store.read(ListIntegrations { tenant: own.tenant, page: page(second[0].pk.0) }).await.unwrap(),
        []
    );
    assert!(store.write(create(oss2fa_server::ids::TenantId(i64::MAX), 13)).await.is_err());
}
