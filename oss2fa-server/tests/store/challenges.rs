//! Challenges: opened on a device, kept in steps, answered once, given up.

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::ids::ChallengeId;
use oss2fa_server::policy::LockPolicy;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::attempts::{Attempt, Verdict};
use oss2fa_server::store::verbs::challenges::{
    CancelChallenge, CreateChallenge, DeviceMessages, FindChallenge, Found, KeepStep, Kept, Sending,
};
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus};
use oss2fa_server::store::verbs::tenants::Removed;
use oss2fa_server::whereabouts::{Part, Whereabouts};

use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, asking, challenge, codes, counting, enrolled, is_admitted, right, tenant,
    wrong,
};
use crate::world::World;

clauses!(
    it_says_what_it_was_made_with,
    it_is_completed_once_and_in_time,
    it_is_given_up,
    another_device_does_not_complete_it,
    a_removed_device_ends_it,
    messages_are_counted_and_spaced,
    a_device_gets_no_more_messages_by_more_challenges,
    a_code_that_cannot_pass_is_not_sent,
    nobody_is_asked_who_may_not_pass,
);

async fn find(world: &World, store: &Store, own: Own, challenge: ChallengeId) -> Option<Found> {
    let (tenant, integration) = (own.tenant, own.integration);
    store.read(FindChallenge { tenant, integration, challenge, now: world.now() }).await.unwrap()
}

async fn status(world: &World, store: &Store, own: Own, challenge: ChallengeId) -> i64 {
    find(world, store, own, challenge).await.unwrap().challenge.status
}

fn keep(world: &World, own: Own, challenge: ChallengeId, sending: Sending) -> KeepStep {
    KeepStep {
        tenant: own.tenant,
        integration: own.integration,
        challenge,
        step: SecretBytes::new(b"a code that was sent".to_vec()),
        sending,
        device: DeviceMessages { since: world.now().before(300), most: 4, of_challenge: 2 },
        limits: LockPolicy::default(),
        now: world.now(),
    }
}

async fn it_says_what_it_was_made_with(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let host = Whereabouts::default().with(Part::Host, Some("web1".to_owned().into()));
    let create = asking(world, own, client, device);
    let create = CreateChallenge { doer: create.doer.clone().at(host.clone()), ..create };
    let opened = store.write(create).await.unwrap().unwrap();
    assert_eq!((opened.kind.as_str(), opened.device.pk), ("HOTP", device));
    assert_eq!(opened.device.material.expose(), b"material");
    let Found { challenge, client: may, device: opened } = find(world, &store, own, opened.pk).await.unwrap();
    assert_eq!((challenge.client, challenge.device, may), (client, device, ClientStatus::Active));
    assert_eq!(challenge.whereabouts, host);
    assert_eq!(
        (challenge.reference.as_deref(), challenge.fingerprint.as_deref()),
        (Some("login"), Some("browser"))
    );
    assert_eq!((challenge.status, challenge.attempts_left, challenge.sends_left), (1, 3, 2));
    assert_eq!((challenge.source.as_str(), challenge.username.as_str()), ("192.0.2.1", "ferris"));
    assert_eq!((challenge.created_at, challenge.expires_at), (world.now(), world.now().after(300)));
    assert_eq!(opened.unwrap().material.expose(), b"material");
    assert!(challenge.step.is_none());
    assert_eq!(store.write(keep(world, own, challenge.pk, Sending::Nothing)).await.unwrap(), Kept::Done);
    let kept = find(world, &store, own, challenge.pk).await.unwrap().challenge;
    assert_eq!((kept.status, kept.step.unwrap().expose()), (2, b"a code that was sent".as_slice()));
    // With single-use codes the unused ones come along.
    let (_, list) = enrolled(world, &store, own, "ferris", codes()).await;
    let opened = store.write(asking(world, own, client, list)).await.unwrap().unwrap();
    assert_eq!(opened.device.codes.len(), 10);
    assert!(find(world, &store, own, ChallengeId(i64::MAX)).await.is_none());
}

async fn it_is_completed_once_and_in_time(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let answer =
        |challenge, code| Attempt { challenge: Some(challenge), ..right(world, own, client, device, code) };
    let first = challenge(world, &store, own, client, device).await;
    assert!(is_admitted(&store.write(answer(first, RFC_CODES[0])).await.unwrap()));
    let found = find(world, &store, own, first).await.unwrap().challenge;
    assert_eq!((found.status, found.completed_at), (3, Some(world.now())));
    assert_eq!(store.write(answer(first, RFC_CODES[1])).await.unwrap(), Verdict::Over);
    // The code that was shown is spent all the same.
    let second = challenge(world, &store, own, client, device).await;
    let again = store.write(answer(second, RFC_CODES[1])).await.unwrap();
    assert_eq!(again, Verdict::Refused { attempts_left: Some(2) });
    world.pass(300);
    assert_eq!(status(world, &store, own, second).await, 5);
    assert_eq!(store.write(answer(second, RFC_CODES[2])).await.unwrap(), Verdict::Over);
}

async fn it_is_given_up(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pk = challenge(world, &store, own, client, device).await;
    let cancel = || CancelChallenge { doer: own.doer(world), challenge: pk };
    assert_eq!(store.write(cancel()).await.unwrap(), Removed::Done);
    assert_eq!(status(world, &store, own, pk).await, 4);
    assert_eq!(store.write(cancel()).await.unwrap(), Removed::NotThere);
    let late = Attempt { challenge: Some(pk), ..right(world, own, client, device, RFC_CODES[0]) };
    assert_eq!(store.write(late).await.unwrap(), Verdict::Over);
    assert_eq!(store.write(keep(world, own, pk, Sending::Nothing)).await.unwrap(), Kept::NotNow);
}

async fn another_device_does_not_complete_it(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (_, list) = enrolled(world, &store, own, "ferris", codes()).await;
    let (other, _) = enrolled(world, &store, own, "corro", counting(b"another secret 12345")).await;
    let on_list = challenge(world, &store, own, client, list).await;
    let answer = Attempt { challenge: Some(on_list), ..right(world, own, client, device, RFC_CODES[0]) };
    assert_eq!(store.write(answer).await.unwrap(), Verdict::Over);
    // Nor another client, with their own device or with this one.
    let pk = challenge(world, &store, own, client, device).await;
    let theirs = Attempt { challenge: Some(pk), ..wrong(world, own, other) };
    assert_eq!(store.write(theirs).await.unwrap(), Verdict::Over);
    let stolen =
        Attempt { client: other, challenge: Some(pk), ..right(world, own, client, device, RFC_CODES[1]) };
    assert!(!is_admitted(&store.write(stolen).await.unwrap()));
    assert_eq!(find(world, &store, own, pk).await.unwrap().challenge.attempts_left, 3);
}

async fn a_removed_device_ends_it(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pk = challenge(world, &store, own, client, device).await;
    let change = ClientChange::RemoveDevice(device);
    store.write(ChangeClient { doer: own.doer(world), client, change }).await.unwrap();
    let found = find(world, &store, own, pk).await.unwrap();
    assert_eq!(found.challenge.status, 4);
    assert!(found.device.is_none());
    let late = Attempt { challenge: Some(pk), ..right(world, own, client, device, RFC_CODES[0]) };
    assert!(!is_admitted(&store.write(late).await.unwrap()));
    let bare = store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap();
    assert!(!is_admitted(&bare), "nor without a challenge");
    assert!(store.write(asking(world, own, client, device)).await.unwrap().is_none());
}

async fn messages_are_counted_and_spaced(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pk = challenge(world, &store, own, client, device).await;
    let message = || keep(world, own, pk, Sending::Message { not_since: world.now().before(30) });
    assert_eq!(store.write(message()).await.unwrap(), Kept::Done);
    world.pass(29);
    assert_eq!(store.write(message()).await.unwrap(), Kept::NotNow);
    world.pass(1);
    assert_eq!(store.write(message()).await.unwrap(), Kept::Done);
    world.pass(60);
    assert_eq!(store.write(message()).await.unwrap(), Kept::NotNow);
    // What sends nothing is not counted.
    assert_eq!(store.write(keep(world, own, pk, Sending::Nothing)).await.unwrap(), Kept::Done);
}

async fn a_device_gets_no_more_messages_by_more_challenges(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (other, of_other) = enrolled(world, &store, own, "gopher", counting(b"98765432109876543210")).await;
    let first_message = async |client, device| {
        let pk = challenge(world, &store, own, client, device).await;
        let message = keep(world, own, pk, Sending::Message { not_since: world.now().before(30) });
        store.write(message).await.unwrap()
    };
    for _ in 0..4 {
        assert_eq!(first_message(client, device).await, Kept::Done);
        world.pass(1);
    }
    assert_eq!(first_message(client, device).await, Kept::NotNow);
    assert_eq!(first_message(other, of_other).await, Kept::Done, "somebody else's device");
    world.pass(299);
    assert_eq!(first_message(client, device).await, Kept::Done, "after a while");
}

async fn a_code_that_cannot_pass_is_not_sent(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (other, of_other) = enrolled(world, &store, own, "gopher", counting(b"98765432109876543210")).await;
    let until = loop {
        match store.write(wrong(world, own, client)).await.unwrap() {
            Verdict::Locked { until } => break until,
            verdict => assert_eq!(verdict, Verdict::Refused { attempts_left: None }),
        }
    };
    let message = async |client, device, source| {
        let asking = asking(world, own, client, device);
        let asking = CreateChallenge { doer: own.from(world, source), ..asking };
        let pk = store.write(asking).await.unwrap().unwrap().pk;
        let sending = Sending::Message { not_since: world.now().before(30) };
        let kept = store.write(keep(world, own, pk, sending)).await.unwrap();
        (kept, find(world, &store, own, pk).await.unwrap().challenge.sends_left)
    };
    assert_eq!(message(client, device, "192.0.2.1").await, (Kept::Locked { until }, 2));
    // Where no code is refused, as it is for tries.
    assert_eq!(message(client, device, "192.0.2.2").await, (Kept::Done, 1));
    assert_eq!(message(other, of_other, "192.0.2.1").await, (Kept::Done, 1));
    world.pass(30);
    assert_eq!(message(client, device, "192.0.2.1").await, (Kept::Done, 1), "the pause is over");
}

async fn nobody_is_asked_who_may_not_pass(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pk = challenge(world, &store, own, client, device).await;
    let set = |status| ChangeClient { doer: own.doer(world), client, change: ClientChange::Status(status) };
    store.write(set(ClientStatus::Inactive)).await.unwrap();
    assert!(store.write(asking(world, own, client, device)).await.unwrap().is_none());
    let answer = || Attempt { challenge: Some(pk), ..right(world, own, client, device, RFC_CODES[0]) };
    assert_eq!(store.write(answer()).await.unwrap(), Verdict::Barred);
    let found = find(world, &store, own, pk).await.unwrap();
    assert_eq!(found.client, ClientStatus::Inactive);
    store.write(set(ClientStatus::Active)).await.unwrap();
    assert!(is_admitted(&store.write(answer()).await.unwrap()), "a barred try spends nothing");
    let strange = CreateChallenge {
        device: oss2fa_core::ids::DeviceId(i64::MAX),
        ..asking(world, own, client, device)
    };
    assert!(store.write(strange).await.unwrap().is_none());
}
