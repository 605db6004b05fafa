//! Offline credentials: listed, revoked, and gone with whom they are of.

use std::sync::Arc;

use oss2fa_server::ids::{ClientId, CredentialId, HostName};
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditFilter, AuditPage};
use oss2fa_server::store::verbs::Page;
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus};
use oss2fa_server::store::verbs::integrations::RemoveIntegration;
use oss2fa_server::store::verbs::offline::{
    CreateOfflineCredential, CredentialStatus, ListOfflineCredentials, Noted, OfflineCredential,
    RevokeOfflineCredential,
};
use oss2fa_server::store::verbs::tenants::{RemoveTenant, Removed};
use tokio::task::JoinSet;

use crate::raw::{dump, number};
use crate::sow::{Own, RFC_SECRET, codes, counting, enrolled, integration, name, tenant};
use crate::world::World;

clauses!(
    noted_listed_and_revoked,
    a_client_has_five_on_a_host_and_one_of_a_name,
    no_more_than_five_at_the_same_moment_on_three_nodes,
    a_client_who_may_not_pass_has_none,
    revoked_with_their_client,
    strangers_see_and_revoke_nothing,
    they_go_with_their_integration,
);

fn noting(world: &World, own: Own, who: &str, host: &str, what: &str) -> CreateOfflineCredential {
    CreateOfflineCredential {
        doer: own.doer(world),
        username: name(who),
        host: HostName::parse(host).unwrap(),
        name: what.to_owned(),
    }
}

pub(crate) async fn noted(world: &World, store: &Store, own: Own, host: &str, what: &str) -> CredentialId {
    match store.write(noting(world, own, "ferris", host, what)).await.unwrap() {
        Noted::New(credential) => credential.pk,
        other => panic!("{other:?}"),
    }
}

async fn listed(store: &Store, own: Own, host: Option<&str>, who: Option<&str>) -> Vec<OfflineCredential> {
    let list = ListOfflineCredentials {
        tenant: own.tenant,
        integration: own.integration,
        host: host.map(|host| HostName::parse(host).unwrap()),
        username: who.map(name),
        page: Page { after: 0, limit: 200 },
    };
    store.read(list).await.unwrap()
}

fn pks(credentials: &[OfflineCredential]) -> Vec<CredentialId> {
    credentials.iter().map(|credential| credential.pk).collect()
}

async fn revoke(world: &World, store: &Store, own: Own, credential: CredentialId) -> Removed {
    store.write(RevokeOfflineCredential { doer: own.doer(world), credential, username: None }).await.unwrap()
}

async fn events(store: &Store, own: Own, event: &str) -> Vec<String> {
    let filter = AuditFilter { event: Some(event.to_owned()), ..AuditFilter::default() };
    let page = AuditPage { tenant: own.tenant, after: 0, limit: 1000, filter };
    store
        .read(page)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| format!("{} {}", entry.username, entry.detail))
        .collect()
}

async fn change(world: &World, store: &Store, own: Own, client: ClientId, change: ClientChange) {
    let change = ChangeClient { doer: own.doer(world), client, change };
    assert_eq!(store.write(change).await.unwrap(), Removed::Done);
}

async fn noted_listed_and_revoked(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    enrolled(world, &store, own, "corro", counting(b"another secret 12345")).await;
    let first = noted(world, &store, own, "web1", "phone").await;
    let second = noted(world, &store, own, "web2", "phone").await;
    let Noted::New(third) = store.write(noting(world, own, "CORRO", "web1", "key")).await.unwrap() else {
        panic!("not noted")
    };
    assert_eq!(pks(&listed(&store, own, None, None).await), [first, second, third.pk]);
    assert_eq!(pks(&listed(&store, own, Some("web1"), None).await), [first, third.pk]);
    assert_eq!(pks(&listed(&store, own, None, Some("ferris")).await), [first, second]);
    assert_eq!(listed(&store, own, Some("web1"), Some("corro")).await, [(*third).clone()]);
    assert_eq!(pks(&listed(&store, own, Some("WEB1"), None).await), []);
    world.pass(1);
    let at = world.now();
    assert_eq!(revoke(world, &store, own, first).await, Removed::Done);
    world.pass(1);
    assert_eq!(revoke(world, &store, own, first).await, Removed::Done, "again");
    let found = &listed(&store, own, Some("web1"), Some("ferris")).await[0];
    assert_eq!(
        (found.status, found.revoked_at),
        (CredentialStatus::Revoked, Some(at)),
        "when it was, at first"
    );
    assert_eq!(revoke(world, &store, own, CredentialId(i64::MAX)).await, Removed::NotThere);
    // Only of this client.
    let of_another = RevokeOfflineCredential {
        doer: own.doer(world),
        credential: third.pk,
        username: Some(name("ferris")),
    };
    assert_eq!(store.write(of_another).await.unwrap(), Removed::NotThere);
    assert_eq!(
        events(&store, own, "offline_credential_revoked").await,
        [format!("ferris credential={first} host=\"web1\" name=\"phone\"")]
    );
    assert_eq!(events(&store, own, "offline_credential_created").await.len(), 3);
}

async fn a_client_has_five_on_a_host_and_one_of_a_name(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let mut first = None;
    for n in 0..5 {
        first = first.or(Some(noted(world, &store, own, "web1", &format!("phone {n}")).await));
        let again = store.write(noting(world, own, "ferris", "web1", &format!("phone {n}"))).await.unwrap();
        assert!(matches!(again, Noted::NameTaken | Noted::TooMany), "{again:?}");
    }
    let more = || noting(world, own, "ferris", "web1", "one more");
    assert_eq!(store.write(more()).await.unwrap(), Noted::TooMany);
    noted(world, &store, own, "web2", "phone 0").await;
    assert_eq!(revoke(world, &store, own, first.unwrap()).await, Removed::Done);
    // The name of one that was revoked is free, and so is its place.
    noted(world, &store, own, "web1", "phone 0").await;
    assert_eq!(store.write(more()).await.unwrap(), Noted::TooMany);
}

async fn no_more_than_five_at_the_same_moment_on_three_nodes(world: &World) {
    let nodes = [Arc::new(world.begun().await), Arc::new(world.node().await), Arc::new(world.node().await)];
    let own = tenant(world, &nodes[0], 1).await;
    enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
    let mut running = JoinSet::new();
    for at in 0..24_usize {
        let node = Arc::clone(&nodes[at % 3]);
        let note = noting(world, own, "ferris", "web1", &format!("phone {}", at % 8));
        running.spawn(async move { matches!(node.write(note).await.unwrap(), Noted::New(_)) });
    }
    assert_eq!(running.join_all().await.into_iter().filter(|new| *new).count(), 5);
    let names = "SELECT count(DISTINCT name) FROM offline_credential WHERE status = 'active'";
    assert_eq!(number(&nodes[0], names).await, 5);
    assert_eq!(number(&nodes[0], "SELECT count(*) FROM offline_credential").await, 5);
}

async fn a_client_who_may_not_pass_has_none(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let nobody = store.write(noting(world, own, "ferris", "web1", "phone")).await.unwrap();
    assert_eq!(nobody, Noted::Nobody);
    let (client, _) = enrolled(world, &store, own, "ferris", codes()).await;
    noted(world, &store, own, "web1", "phone").await;
    change(world, &store, own, client, ClientChange::Status(ClientStatus::Inactive)).await;
    assert_eq!(store.write(noting(world, own, "ferris", "web1", "key")).await.unwrap(), Noted::Barred);
    let found = &listed(&store, own, Some("web1"), None).await[0];
    assert_eq!((found.status, found.revoked_at), (CredentialStatus::Revoked, None));
    // The row stays as it is: who comes back has it again.
    change(world, &store, own, client, ClientChange::Status(ClientStatus::Active)).await;
    assert_eq!(listed(&store, own, Some("web1"), None).await[0].status, CredentialStatus::Active);
    assert_eq!(events(&store, own, "offline_credential_revoked").await, Vec::<String>::new());
}

async fn revoked_with_their_client(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, _) = enrolled(world, &store, own, "ferris", codes()).await;
    let first = noted(world, &store, own, "web1", "phone").await;
    let second = noted(world, &store, own, "web2", "phone").await;
    let before = noted(world, &store, own, "web3", "phone").await;
    assert_eq!(revoke(world, &store, own, before).await, Removed::Done);
    change(world, &store, own, client, ClientChange::Remove).await;
    let found = listed(&store, own, None, Some("ferris")).await;
    assert_eq!(pks(&found), [first, second, before]);
    assert!(found.iter().all(|one| one.status == CredentialStatus::Revoked && one.revoked_at.is_some()));
    assert_eq!(events(&store, own, "offline_credential_revoked").await.len(), 3);
    // Somebody new of the same name does not get them back.
    enrolled(world, &store, own, "ferris", codes()).await;
    assert!(listed(&store, own, None, None).await.iter().all(|one| one.status == CredentialStatus::Revoked));
    noted(world, &store, own, "web1", "phone").await;
    // Whatever the row says: without a client it is worth nothing.
    crate::raw::change(&store, "DELETE FROM client").await;
    assert!(listed(&store, own, None, None).await.iter().all(|one| one.status == CredentialStatus::Revoked));
}

async fn strangers_see_and_revoke_nothing(world: &World) {
    let store = world.begun().await;
    let (own, other) = (tenant(world, &store, 1).await, tenant(world, &store, 2).await);
    let sibling = integration(world, &store, own.tenant, 3).await;
    enrolled(world, &store, own, "ferris", codes()).await;
    let credential = noted(world, &store, own, "web1", "phone").await;
    let before = dump(&store, own.tenant).await;
    for stranger in
        [other, sibling, Own { tenant: other.tenant, ..own }, Own { integration: other.integration, ..own }]
    {
        assert_eq!(listed(&store, stranger, None, None).await, []);
        assert_eq!(listed(&store, stranger, Some("web1"), Some("ferris")).await, []);
        assert_eq!(revoke(world, &store, stranger, credential).await, Removed::NotThere);
        let note = store.write(noting(world, stranger, "ferris", "web1", "mine")).await.unwrap();
        assert_eq!(note, Noted::Nobody);
    }
    assert_eq!(dump(&store, own.tenant).await, before);
}

async fn they_go_with_their_integration(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let sibling = integration(world, &store, own.tenant, 2).await;
    let other = tenant(world, &store, 3).await;
    for of in [own, sibling, other] {
        enrolled(world, &store, of, "ferris", codes()).await;
        noted(world, &store, of, "web1", "phone").await;
    }
    let remove = RemoveIntegration { doer: own.doer(world), integration: own.integration };
    assert_eq!(store.write(remove).await.unwrap(), Removed::Done);
    assert_eq!(number(&store, "SELECT count(*) FROM offline_credential").await, 2);
    let remove = RemoveTenant { doer: world.server(), tenant: own.tenant };
    assert_eq!(store.write(remove).await.unwrap(), Removed::Done);
    assert_eq!(pks(&listed(&store, other, None, None).await).len(), 1);
    assert_eq!(number(&store, "SELECT count(*) FROM offline_credential").await, 1);
}
