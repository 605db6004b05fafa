//! A tenant with a row of its own in every table.

use oss2fa_core::secret::SecretText;
use oss2fa_server::device::app::Seed;
use oss2fa_server::ids::AppUuid;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::{CreateAdministrator, Role};
use oss2fa_server::store::verbs::apps::{RegisterApp, Registered, Trusted};
use oss2fa_server::store::verbs::challenges::Kept;
use oss2fa_server::store::verbs::idempotency::{Marked, Principal, Reserve};
use oss2fa_server::store::verbs::tenants::Created;
use oss2fa_server::store::verbs::trusted::Trust;
use oss2fa_server::store::verbs::webhooks::{CreateWebhook, CreatedWebhook, Webhook};

use crate::enrollments::mailed;
use crate::hosts::report;
use crate::offline::noted;
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, challenge, codes, counting, enrolled, is_admitted, name, prepared, right,
    tenant, wrong,
};
use crate::world::{World, digests};
use crate::yubikeys::{created, imported};

/// A new tenant and all that it can have.
pub(crate) async fn everything(world: &World, store: &Store) -> Own {
    let own = tenant(world, store, 1).await;
    webhook(world, store, own).await;
    let (client, device) = enrolled(world, store, own, "ferris", counting(RFC_SECRET)).await;
    enrolled(world, store, own, "ferris", codes()).await;
    challenge(world, store, own, client, device).await;
    prepared(world, store, own, "corro").await;
    assert_eq!(mailed(world, store, own, "corro", 1).await.1, Kept::Done);
    // Admitted from an address, and refused: a known source and locks.
    assert!(is_admitted(&store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap()));
    store.write(wrong(world, own, client)).await.unwrap();
    let trust = Trust {
        doer: own.doer(world),
        client,
        username: name("ferris"),
        digest: [7; 32],
        fingerprint: None,
        expires_at: world.now().after(1000),
    };
    store.write(trust).await.unwrap();
    let create = CreateAdministrator {
        doer: Doer { tenant: own.tenant, ..world.server() },
        tenant: Some(own.tenant),
        name: "ada".to_owned(),
        role: Role::Administrator,
        credentials: digests(9),
    };
    assert!(matches!(store.write(create).await.unwrap(), Created::New(_)));
    let registered = store.write(app(own.doer(world), 8)).await.unwrap();
    assert!(matches!(registered, Registered::New(_)), "{registered:?}");
    store.write(Reserve(marked(world, own))).await.unwrap();
    imported(world, store, own).await;
    created(world, store, own).await;
    noted(world, store, own, "web1", "phone").await;
    assert_eq!(report(store, own.doer(world), &[1]).await, 1);
    own
}

/// Where the events of the tenant's integration go; what happens from then on waits for it.
pub(crate) async fn webhook(world: &World, store: &Store, own: Own) -> Webhook {
    let create = CreateWebhook {
        doer: own.doer(world),
        integration: own.integration,
        url: "https://app.example.org/hook".to_owned(),
        origin: "https://app.example.org".to_owned(),
        secret: SecretText::new("f".repeat(40)),
    };
    let CreatedWebhook::New(made) = store.write(create).await.unwrap() else { panic!("not made") };
    made
}

/// A request of the tenant's integration that may be sent again.
pub(crate) fn marked(world: &World, own: Own) -> Marked {
    Marked {
        tenant: own.tenant,
        principal: Principal::Integration(own.integration),
        key: "once".to_owned(),
        request: [1; 32],
        now: world.now(),
    }
}

/// An app of ferris, whose UUID and seed have this number in them.
pub(crate) fn app(doer: Doer, number: u8) -> RegisterApp {
    RegisterApp {
        doer,
        app: AppUuid::parse(&format!("00000000-0000-4000-8000-0000000000{number:02x}")).unwrap(),
        name: "web".to_owned(),
        username: name("ferris"),
        trusted: Trusted::No,
        device: Seed::parse(&data_encoding::BASE32_NOPAD.encode(&[number; 20])).unwrap().device(),
        seed_reads: 0,
        most: 10,
    }
}
