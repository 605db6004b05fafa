//! YubiKeys on both databases: taken over, found by their public id, and each password accepted once. The passwords
//! were made by `ykgenerate` of Debian's libyubikey-dev.

use data_encoding::HEXLOWER;
use oss2fa_core::factor::yubico_otp::{PublicId, TypedOtp};
use oss2fa_core::secret::SecretBytes;
use oss2fa_server::device::yubikey::{self, Secrets};
use oss2fa_server::ids::YubicoClientId;
use oss2fa_server::policy::LockPolicy;
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditFilter, AuditPage};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus};
use oss2fa_server::store::verbs::enrollments::Completed;
use oss2fa_server::store::verbs::integrations::RemoveIntegration;
use oss2fa_server::store::verbs::keys::{KeyUse, UseOfKey};
use oss2fa_server::store::verbs::tenants::Removed;
use oss2fa_server::store::verbs::yubico_clients::{
    CreateYubicoClient, CreatedYubicoClient, FindYubicoClient, ListYubicoClients, RemoveYubicoClient,
    YubicoClient,
};
use oss2fa_server::store::verbs::yubikeys::{
    FindYubikey, ImportYubikey, ImportedYubikey, Validate, Validated,
};

use crate::raw::{dump, number};
use crate::sow::{Own, complete, integration, name, prepared, tenant};
use crate::world::World;

clauses!(
    a_password_is_accepted_once_and_none_before_it_again,
    of_many_who_show_one_password_at_once_one_is_accepted,
    a_request_that_is_repeated_is_told_from_a_password_that_is,
    whoever_may_not_pass_is_refused,
    a_key_is_the_device_of_one_client_of_an_integration,
    a_key_that_was_removed_does_not_bring_its_used_passwords_back,
    a_client_of_the_protocol_keeps_its_key_sealed,
    another_tenants_numbers_do_nothing,
);

const PUBLIC: &str = "vvcccccccccb";
/// Passwords of one key: session 0x13 with uses 0x10 and 0x11, session 0x14 with uses 0, 1 and 2.
const BLOCKS: [&str; 5] = [
    "udelvecubhnnrglftvvvvkftcnrjldhf",
    "jhckgcrhneirvhrnriutnvgndjkvduhk",
    "jubueutgikvkhinhbhkrtbbihdrltdgl",
    "kteekffgtjlfkrrfggirbfubibdncukd",
    "gdrifulvdbtgcjefbrtrlrhfdrtrutkg",
];

fn secrets() -> Secrets {
    let hex = |text: &str| SecretBytes::new(HEXLOWER.decode(text.as_bytes()).unwrap());
    Secrets {
        public_id: PublicId::parse(PUBLIC).unwrap(),
        private_id: hex("8792ebfe26cc"),
        key: hex("ecde18dbe76fbd0c33330f1c354871db"),
    }
}

fn importing(doer: Doer) -> ImportYubikey {
    ImportYubikey { doer, username: name(PUBLIC), device: secrets().device(0).unwrap() }
}

pub(crate) async fn imported(world: &World, store: &Store, own: Own) -> oss2fa_server::ids::ClientId {
    match store.write(importing(own.doer(world))).await.unwrap() {
        ImportedYubikey::New(client, _) => client,
        other => panic!("{other:?}"),
    }
}

fn validating(doer: Doer, number: usize, nonce: &str) -> Validate {
    let typed = TypedOtp::read(&format!("{PUBLIC}{}", BLOCKS[number])).unwrap();
    Validate {
        doer,
        public_id: typed.public_id().clone(),
        nonce: nonce.to_owned(),
        judge: Box::new(move |device| yubikey::open(device, &typed)),
        limits: LockPolicy::default(),
    }
}

/// What a password comes to, in a word.
async fn shown(world: &World, store: &Store, own: Own, number: usize, nonce: &str) -> &'static str {
    word(&store.write(validating(own.from(world, ""), number, nonce)).await.unwrap())
}

fn word(validated: &Validated) -> &'static str {
    match validated {
        Validated::Accepted(..) => "accepted",
        Validated::Passed => "passed",
        Validated::SameRequest => "same request",
        Validated::Refused => "refused",
    }
}

async fn a_password_is_accepted_once_and_none_before_it_again(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    assert_eq!(shown(world, store, own, 0, "first").await, "refused", "not of a key that is known");
    imported(world, store, own).await;
    let Validated::Accepted(_, touch) = store.write(validating(own.doer(world), 1, "second")).await.unwrap()
    else {
        panic!("not accepted")
    };
    assert_eq!((touch.session, touch.used, touch.clock), (0x13, 0x11, 0xc9b0));
    for (number, expected) in [(1, "passed"), (0, "passed"), (3, "accepted"), (2, "passed"), (4, "accepted")]
    {
        assert_eq!(shown(world, store, own, number, &format!("nonce{number}")).await, expected, "{number}");
    }
    // On another node, after a restart.
    let again = world.node().await;
    assert_eq!(shown(world, &again, own, 4, "later").await, "passed");
    let page = AuditPage { tenant: own.tenant, after: 0, limit: 1000, filter: AuditFilter::default() };
    let events = store.read(page).await.unwrap();
    let count = |what: &str| events.iter().filter(|event| event.event == what).count();
    assert_eq!((count("accepted"), count("yubikey_imported"), count("refused")), (3, 1, 4));
}

async fn of_many_who_show_one_password_at_once_one_is_accepted(world: &World) {
    let store = std::sync::Arc::new(world.begun().await);
    let own = tenant(world, &store, 1).await;
    imported(world, &store, own).await;
    let mut all = tokio::task::JoinSet::new();
    for nonce in 0..20 {
        let store = std::sync::Arc::clone(&store);
        let validate = validating(own.doer(world), 0, &format!("nonce{nonce}"));
        all.spawn(async move { word(&store.write(validate).await.unwrap()) });
    }
    let words = all.join_all().await;
    assert_eq!(words.iter().filter(|word| **word == "accepted").count(), 1, "{words:?}");
    assert_eq!(words.iter().filter(|word| **word == "passed").count(), 19, "{words:?}");
}

async fn a_request_that_is_repeated_is_told_from_a_password_that_is(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    imported(world, store, own).await;
    for (number, nonce, expected) in [
        (0, "first", "accepted"),
        (0, "first", "same request"),
        (0, "other", "passed"),
        (1, "first", "accepted"),
        (0, "first", "passed"),
        (1, "first", "same request"),
    ] {
        assert_eq!(shown(world, store, own, number, nonce).await, expected, "{number} {nonce}");
    }
}

async fn whoever_may_not_pass_is_refused(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    let client = imported(world, store, own).await;
    let status =
        |status| ChangeClient { doer: own.doer(world), client, change: ClientChange::Status(status) };
    store.write(status(ClientStatus::Inactive)).await.unwrap();
    assert_eq!(shown(world, store, own, 0, "first").await, "refused");
    store.write(status(ClientStatus::Active)).await.unwrap();
    assert_eq!(shown(world, store, own, 0, "first").await, "accepted", "nothing was spent");
}

async fn a_key_is_the_device_of_one_client_of_an_integration(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    imported(world, store, own).await;
    assert_eq!(store.write(importing(own.doer(world))).await.unwrap(), ImportedYubikey::Taken);
    let enrollment = prepared(world, store, own, "ferris").await;
    let other_key = Secrets { key: SecretBytes::new(vec![1; 16]), ..secrets() };
    let device = other_key.device(7).unwrap();
    let taken = store.write(complete(world, own, enrollment, "ferris", device)).await.unwrap();
    assert_eq!(taken, Completed::Taken);
    // The same secrets in another integration of the tenant would be accepted in both.
    let sibling = integration(world, store, own.tenant, 2).await;
    assert_eq!(store.write(importing(sibling.doer(world))).await.unwrap(), ImportedYubikey::SecretInUse);
    // Tenants know nothing of each other.
    let other = tenant(world, store, 3).await;
    imported(world, store, other).await;
    assert_eq!(shown(world, store, other, 0, "first").await, "accepted");
    assert_eq!(shown(world, store, own, 0, "first").await, "accepted");
}

async fn a_key_that_was_removed_does_not_bring_its_used_passwords_back(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    let client = imported(world, store, own).await;
    assert_eq!(shown(world, store, own, 2, "first").await, "accepted");
    let remove = ChangeClient { doer: own.doer(world), client, change: ClientChange::Remove };
    store.write(remove).await.unwrap();
    assert_eq!(shown(world, store, own, 3, "second").await, "refused");
    assert_eq!(number(store, "SELECT count(*) FROM yubikey").await, 0);
    imported(world, store, own).await;
    assert_eq!(shown(world, store, own, 2, "third").await, "passed");
    assert_eq!(shown(world, store, own, 3, "third").await, "accepted");
}

pub(crate) async fn created(world: &World, store: &Store, own: Own) -> YubicoClient {
    match store.write(creating(Doer { integration: None, ..own.doer(world) }, own)).await.unwrap() {
        CreatedYubicoClient::New(client) => client,
        other => panic!("{other:?}"),
    }
}

fn creating(doer: Doer, own: Own) -> CreateYubicoClient {
    let key = SecretBytes::new(b"a key of twenty byte".to_vec());
    CreateYubicoClient { doer, integration: own.integration, name: "login".to_owned(), key }
}

async fn a_client_of_the_protocol_keeps_its_key_sealed(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    let key = || UseOfKey { tenant: own.tenant, version: 1 };
    assert_eq!(store.read(key()).await.unwrap(), KeyUse::Unused);
    let made = created(world, store, own).await;
    // The tenant's key is not to be dropped while it seals this alone.
    assert_eq!(store.read(key()).await.unwrap(), KeyUse::Used);
    let found = store.read(FindYubicoClient(made.id)).await.unwrap().unwrap();
    assert_eq!((found.tenant, found.integration), (own.tenant, own.integration));
    assert_eq!(found.key.expose(), b"a key of twenty byte");
    let rows = dump(store, own.tenant).await;
    assert!(rows.iter().any(|row| row.starts_with("yubico_client")), "{rows:?}");
    assert!(!rows.iter().any(|row| row.contains(&format!("{:?}", b"a key of twenty byte").replace(']', ""))));
    assert!(store.read(FindYubicoClient(YubicoClientId(made.id.0 + 1))).await.unwrap().is_none());
    // It goes with its integration.
    imported(world, store, own).await;
    let doer = Doer { integration: None, ..own.doer(world) };
    store.write(RemoveIntegration { doer, integration: own.integration }).await.unwrap();
    assert!(store.read(FindYubicoClient(made.id)).await.unwrap().is_none());
    assert_eq!(number(store, "SELECT count(*) FROM yubikey").await, 0);
}

/// As in `foreign.rs`, for the verbs of this file.
async fn another_tenants_numbers_do_nothing(world: &World) {
    let store = &world.begun().await;
    let own = tenant(world, store, 1).await;
    imported(world, store, own).await;
    let client = created(world, store, own).await;
    let other = tenant(world, store, 2).await;
    let before = dump(store, own.tenant).await;
    for stranger in [other, Own { tenant: other.tenant, ..own }] {
        let doer = stranger.doer(world);
        assert_eq!(word(&store.write(validating(doer.clone(), 0, "first")).await.unwrap()), "refused");
        let find = FindYubikey {
            tenant: stranger.tenant,
            integration: stranger.integration,
            username: name(PUBLIC),
            public_id: secrets().public_id,
        };
        assert!(store.read(find).await.unwrap().is_none());
        let list = ListYubicoClients { tenant: stranger.tenant, integration: stranger.integration };
        assert_eq!(store.read(list).await.unwrap(), []);
        let (id, integration) = (client.id, stranger.integration);
        let remove = RemoveYubicoClient { doer: doer.clone(), integration, id };
        assert_eq!(store.write(remove).await.unwrap(), Removed::NotThere);
        if stranger.integration == own.integration {
            let made = store.write(creating(doer.clone(), stranger)).await.unwrap();
            assert_eq!(made, CreatedYubicoClient::NotThere);
            assert_eq!(store.write(importing(doer)).await.unwrap(), ImportedYubikey::NotThere);
        }
    }
    assert_eq!(before, dump(store, own.tenant).await);
    // Another integration of the same tenant.
    let sibling = integration(world, store, own.tenant, 3).await;
    assert_eq!(shown(world, store, sibling, 0, "first").await, "refused");
    let list = ListYubicoClients { tenant: own.tenant, integration: sibling.integration };
    assert_eq!(store.read(list).await.unwrap(), []);
    let remove =
        RemoveYubicoClient { doer: sibling.doer(world), integration: sibling.integration, id: client.id };
    assert_eq!(store.write(remove).await.unwrap(), Removed::NotThere);
    assert_eq!(shown(world, store, own, 0, "first").await, "accepted");
}
