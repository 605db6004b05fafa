//! Clients: found, listed, changed, removed with all that is theirs.

use oss2fa_server::ids::ClientId;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Page;
use oss2fa_server::store::verbs::clients::{
    ChangeClient, ClientChange, ClientStatus, DevicesOf, FindByName, FindClient, ListClients,
};
use oss2fa_server::store::verbs::tenants::Removed;
use oss2fa_server::store::verbs::trusted::{IsTrusted, Trust};

use crate::raw::number;
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, challenge, codes, counting, enrolled, is_admitted, name, right, tenant, wrong,
};
use crate::world::World;

clauses!(found_by_name_and_number, pages_follow_each_other, changed, removed_with_all_that_is_theirs);

async fn found_by_name_and_number(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (_, list) = enrolled(world, &store, own, "ferris", codes()).await;
    let (tenant, integration) = (own.tenant, own.integration);
    let by_name = |who| FindByName { tenant, integration, username: name(who) };
    let (found, devices) = store.read(by_name("FERRIS")).await.unwrap().unwrap();
    assert_eq!((found.pk, found.integration, found.status), (client, integration, ClientStatus::Active));
    assert_eq!((found.username.as_str(), found.created_at), ("ferris", world.now()));
    assert_eq!(devices.iter().map(|device| device.pk).collect::<Vec<_>>(), [device, list]);
    assert_eq!(store.read(by_name("corro")).await.unwrap(), None);
    let by_number = store.read(FindClient { tenant, integration, client }).await.unwrap();
    assert_eq!(by_number, Some(found));
    let nobody = FindClient { tenant, integration, client: ClientId(i64::MAX) };
    assert_eq!(store.read(nobody).await.unwrap(), None);
    // A client whose devices are all gone is still there.
    for device in [device, list] {
        let change = ClientChange::RemoveDevice(device);
        let change = ChangeClient { doer: own.doer(world), client, change };
        assert_eq!(store.write(change).await.unwrap(), Removed::Done);
    }
    let (_, devices) = store.read(by_name("ferris")).await.unwrap().unwrap();
    assert_eq!(devices, []);
}

async fn pages_follow_each_other(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let mut all = Vec::new();
    for n in 0..7 {
        let device = counting(format!("secret of client {n:04}").as_bytes());
        all.push(enrolled(world, &store, own, &format!("client{n}"), device).await.0);
    }
    let (tenant, integration) = (own.tenant, own.integration);
    let mut seen: Vec<ClientId> = Vec::new();
    loop {
        let page = Page { after: seen.last().map_or(0, |client| client.0), limit: 3 };
        let found = store.read(ListClients { tenant, integration, username: None, page }).await.unwrap();
        seen.extend(found.iter().map(|client| client.pk));
        if found.len() < 3 {
            break;
        }
    }
    assert_eq!(seen, all);
    let page = Page { after: 0, limit: 10 };
    let one = ListClients { tenant, integration, username: Some(name("client4")), page };
    assert_eq!(store.read(one).await.unwrap()[0].pk, all[4]);
}

async fn changed(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (other, theirs) = enrolled(world, &store, own, "corro", counting(b"another secret 12345")).await;
    let change =
        async |change| store.write(ChangeClient { doer: own.doer(world), client, change }).await.unwrap();
    assert_eq!(change(ClientChange::Status(ClientStatus::Bypass)).await, Removed::Done);
    assert_eq!(change(ClientChange::Rename(device, "Key ring".to_owned())).await, Removed::Done);
    let (tenant, integration) = (own.tenant, own.integration);
    let found = store.read(FindClient { tenant, integration, client }).await.unwrap().unwrap();
    assert_eq!(found.status, ClientStatus::Bypass);
    assert_eq!(store.read(DevicesOf { tenant, client }).await.unwrap()[0].name, "Key ring");
    // Another client's device by this client's number.
    assert_eq!(change(ClientChange::Rename(theirs, "mine".to_owned())).await, Removed::NotThere);
    assert_eq!(change(ClientChange::RemoveDevice(theirs)).await, Removed::NotThere);
    assert_eq!(store.read(DevicesOf { tenant, client: other }).await.unwrap()[0].name, "Token");
    let trust = Trust {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        digest: [7; 32],
        fingerprint: None,
        expires_at: world.now().after(100),
    };
    store.write(trust).await.unwrap();
    assert_eq!(change(ClientChange::DistrustAll).await, Removed::Done);
    let asked = IsTrusted {
        tenant,
        client,
        digest: [7; 32],
        fingerprint: None,
        not_before: world.now().before(100),
        now: world.now(),
    };
    assert!(!store.read(asked).await.unwrap());
}

async fn rows_of(store: &Store, own: Own, client: ClientId) -> i64 {
    let mut all = 0;
    for table in ["trusted_device", "known_source", "lock", "challenge"] {
        all += number(store, format!("SELECT count(*) FROM {table} WHERE client = {client}")).await;
    }
    all += number(store, format!("SELECT count(*) FROM recovery_code WHERE tenant = {}", own.tenant)).await;
    all + number(store, format!("SELECT count(*) FROM device WHERE client = {client} AND sealed IS NOT NULL"))
        .await
}

async fn removed_with_all_that_is_theirs(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    enrolled(world, &store, own, "ferris", codes()).await;
    challenge(world, &store, own, client, device).await;
    assert!(is_admitted(&store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap()));
    store.write(wrong(world, own, client)).await.unwrap();
    let trust = Trust {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        digest: [7; 32],
        fingerprint: None,
        expires_at: world.now().after(100),
    };
    store.write(trust).await.unwrap();
    assert!(rows_of(&store, own, client).await > 15);
    let remove = || ChangeClient { doer: own.doer(world), client, change: ClientChange::Remove };
    assert_eq!(store.write(remove()).await.unwrap(), Removed::Done);
    assert_eq!(rows_of(&store, own, client).await, 0);
    assert_eq!(store.write(remove()).await.unwrap(), Removed::NotThere);
    // The same name is somebody new; nothing of the old one is theirs.
    let (new, _) = enrolled(world, &store, own, "ferris", counting(b"another secret 12345")).await;
    assert_ne!(new, client);
}
