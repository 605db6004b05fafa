//! Enrollments: once, in time, and only by a code that was not used before.

use oss2fa_core::secret::SecretBytes;
use oss2fa_server::ids::EnrollmentId;
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::challenges::Kept;
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus, DevicesOf};
use oss2fa_server::store::verbs::enrollments::{
    CompleteEnrollment, Completed, Enrollment, EnrollmentMessage, FindEnrollment, KeepEnrollmentStep,
    RefuseEnrollment,
};

use crate::raw::number;
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, codes, complete, counting, enrolled, enrollment, is_admitted, name, prepared,
    right, tenant,
};
use crate::world::World;

clauses!(
    it_goes_from_new_to_complete,
    it_ends_with_its_last_try,
    it_expires,
    messages_are_counted_and_spaced,
    an_address_gets_no_more_messages_by_more_enrollments,
    a_client_that_may_not_pass_gets_no_device,
    new_codes_replace_the_old_ones,
    a_used_code_does_not_come_back_with_its_secret,
    one_secret_is_not_two_devices_of_a_client,
    the_same_name_is_another_client_elsewhere,
);

async fn find(world: &World, store: &Store, own: Own, enrollment: EnrollmentId) -> Enrollment {
    let find =
        FindEnrollment { tenant: own.tenant, integration: own.integration, enrollment, now: world.now() };
    store.read(find).await.unwrap().unwrap()
}

/// A message to an address; another number, another address.
pub(crate) fn to_address(world: &World, number: u8) -> EnrollmentMessage {
    let now = world.now();
    EnrollmentMessage { not_since: now.before(30), address: [number; 32], since: now.before(300), most: 3 }
}

/// Begins an enrollment that sends a message.
pub(crate) async fn mailed(
    world: &World,
    store: &Store,
    own: Own,
    who: &str,
    number: u8,
) -> (EnrollmentId, Kept) {
    let pk = enrollment(world, store, own, who).await;
    let message = keep(world, own, pk, Some(to_address(world, number)));
    (pk, store.write(message).await.unwrap())
}

fn keep(
    world: &World,
    own: Own,
    enrollment: EnrollmentId,
    message: Option<EnrollmentMessage>,
) -> KeepEnrollmentStep {
    KeepEnrollmentStep {
        doer: own.doer(world),
        enrollment,
        kind: "EMAIL",
        step: SecretBytes::new(b"second step".to_vec()),
        message,
    }
}

async fn it_goes_from_new_to_complete(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let pk = enrollment(world, &store, own, "ferris").await;
    let new = find(world, &store, own, pk).await;
    assert_eq!((new.status, new.kind, new.attempts_left, new.sends_left), (1, None, 3, 2));
    assert!(new.step.is_none());
    // Not before there is something to answer.
    let early = store.write(complete(world, own, pk, "ferris", counting(RFC_SECRET))).await.unwrap();
    assert_eq!(early, Completed::Over);
    assert_eq!(store.write(keep(world, own, pk, None)).await.unwrap(), Kept::Done);
    let waits = find(world, &store, own, pk).await;
    assert_eq!((waits.status, waits.kind.as_deref()), (2, Some("EMAIL")));
    assert_eq!(waits.step.unwrap().expose(), b"second step");
    let done = store.write(complete(world, own, pk, "ferris", counting(RFC_SECRET))).await.unwrap();
    let Completed::Client(client, device) = done else { panic!("{done:?}") };
    let ended = find(world, &store, own, pk).await;
    assert_eq!(ended.status, 3);
    assert!(ended.step.is_none(), "the step holds the secret: it is gone");
    let devices = store.read(DevicesOf { tenant: own.tenant, client }).await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!(
        (devices[0].pk, devices[0].kind.as_str(), devices[0].name.as_str()),
        (device, "HOTP", "Token")
    );
    assert_eq!((devices[0].shown.as_deref(), devices[0].last_used_at), (Some("t***"), None));
    // Once.
    let again =
        store.write(complete(world, own, pk, "ferris", counting(b"another secret 12345"))).await.unwrap();
    assert_eq!(again, Completed::Over);
    assert_eq!(store.write(keep(world, own, pk, None)).await.unwrap(), Kept::NotNow);
}

async fn it_ends_with_its_last_try(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let pk = prepared(world, &store, own, "ferris").await;
    for left in [Some(2), Some(1), Some(0), None] {
        let refuse = RefuseEnrollment { doer: own.doer(world), enrollment: pk, username: name("ferris") };
        assert_eq!(store.write(refuse).await.unwrap(), left);
    }
    let failed = find(world, &store, own, pk).await;
    assert_eq!(failed.status, 4);
    assert!(failed.step.is_none());
    let late = store.write(complete(world, own, pk, "ferris", counting(RFC_SECRET))).await.unwrap();
    assert_eq!(late, Completed::Over);
    assert_eq!(number(&store, "SELECT count(*) FROM client").await, 0, "nobody came about");
}

async fn it_expires(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let pk = prepared(world, &store, own, "ferris").await;
    world.pass(299);
    assert_eq!(find(world, &store, own, pk).await.status, 2);
    world.pass(1);
    assert_eq!(find(world, &store, own, pk).await.status, 5);
    let late = store.write(complete(world, own, pk, "ferris", counting(RFC_SECRET))).await.unwrap();
    assert_eq!(late, Completed::Over);
    assert_eq!(store.write(keep(world, own, pk, None)).await.unwrap(), Kept::NotNow);
    let refuse = RefuseEnrollment { doer: own.doer(world), enrollment: pk, username: name("ferris") };
    assert_eq!(store.write(refuse).await.unwrap(), None);
}

async fn messages_are_counted_and_spaced(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let pk = enrollment(world, &store, own, "ferris").await;
    let message = || keep(world, own, pk, Some(to_address(world, 1)));
    assert_eq!(store.write(message()).await.unwrap(), Kept::Done);
    assert_eq!(store.write(message()).await.unwrap(), Kept::NotNow, "too soon");
    world.pass(30);
    assert_eq!(store.write(message()).await.unwrap(), Kept::Done);
    world.pass(30);
    assert_eq!(store.write(message()).await.unwrap(), Kept::NotNow, "that were two");
    let found = find(world, &store, own, pk).await;
    assert_eq!((found.sends_left, found.sent_at), (0, Some(world.now().before(30))));
}

async fn an_address_gets_no_more_messages_by_more_enrollments(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let sibling = crate::sow::integration(world, &store, own.tenant, 2).await;
    let (first, kept) = mailed(world, &store, own, "ferris", 1).await;
    assert_eq!(kept, Kept::Done);
    world.pass(30);
    // One that turns to another address has sent what it has sent.
    assert_eq!(store.write(keep(world, own, first, Some(to_address(world, 2)))).await.unwrap(), Kept::Done);
    for who in ["corro", "gopher"] {
        assert_eq!(mailed(world, &store, own, who, 1).await.1, Kept::Done);
    }
    let (pk, kept) = mailed(world, &store, own, "tux", 1).await;
    let refused = find(world, &store, own, pk).await;
    assert_eq!((kept, refused.status, refused.sends_left), (Kept::NotNow, 1, 2));
    assert_eq!(mailed(world, &store, own, "tux", 2).await.1, Kept::Done, "another address");
    assert_eq!(mailed(world, &store, sibling, "tux", 1).await.1, Kept::Done, "of another integration");
    world.pass(269);
    assert_eq!(mailed(world, &store, own, "tux", 1).await.1, Kept::NotNow);
    world.pass(1);
    assert_eq!(mailed(world, &store, own, "tux", 1).await.1, Kept::Done, "after a while");
}

async fn a_client_that_may_not_pass_gets_no_device(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, _) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let change =
        ChangeClient { doer: own.doer(world), client, change: ClientChange::Status(ClientStatus::Inactive) };
    store.write(change).await.unwrap();
    let pk = prepared(world, &store, own, "ferris").await;
    let done =
        store.write(complete(world, own, pk, "ferris", counting(b"another secret 12345"))).await.unwrap();
    assert_eq!(done, Completed::Barred);
    assert_eq!(number(&store, "SELECT count(*) FROM device").await, 1);
}

async fn new_codes_replace_the_old_ones(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, old) = enrolled(world, &store, own, "ferris", codes()).await;
    let (same, new) = enrolled(world, &store, own, "ferris", codes()).await;
    assert_eq!(client, same);
    let devices = store.read(DevicesOf { tenant: own.tenant, client }).await.unwrap();
    assert_eq!(devices.iter().map(|device| device.pk).collect::<Vec<_>>(), [new]);
    assert_eq!(number(&store, format!("SELECT count(*) FROM recovery_code WHERE device = {old}")).await, 0);
    assert_eq!(number(&store, format!("SELECT count(*) FROM recovery_code WHERE device = {new}")).await, 10);
}

async fn a_used_code_does_not_come_back_with_its_secret(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    assert!(is_admitted(&store.write(right(world, own, client, device, RFC_CODES[4])).await.unwrap()));
    let remove = |change| ChangeClient { doer: own.doer(world), client, change };
    store.write(remove(ClientChange::RemoveDevice(device))).await.unwrap();
    // The same secret, proved by a code that was shown before.
    let pk = prepared(world, &store, own, "ferris").await;
    let proved = |next_position| oss2fa_server::device::NewDevice { next_position, ..counting(RFC_SECRET) };
    let done = store.write(complete(world, own, pk, "ferris", proved(5))).await.unwrap();
    assert_eq!(done, Completed::Used);
    // Also by somebody else of the tenant, and after the client is gone.
    store.write(remove(ClientChange::Remove)).await.unwrap();
    let pk = prepared(world, &store, own, "corro").await;
    assert_eq!(store.write(complete(world, own, pk, "corro", proved(5))).await.unwrap(), Completed::Used);
    // By a later one it may.
    let done = store.write(complete(world, own, pk, "corro", proved(6))).await.unwrap();
    assert!(matches!(done, Completed::Client(..)), "{done:?}");
}

async fn one_secret_is_not_two_devices_of_a_client(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pk = prepared(world, &store, own, "ferris").await;
    let again = oss2fa_server::device::NewDevice { next_position: 2, ..counting(RFC_SECRET) };
    let done = store.write(complete(world, own, pk, "ferris", again)).await.unwrap();
    assert_eq!(done, Completed::Used, "each of its codes would pass twice");
    assert!(is_admitted(&store.write(right(world, own, client, device, RFC_CODES[3])).await.unwrap()));
}

async fn the_same_name_is_another_client_elsewhere(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let sibling = crate::sow::integration(world, &store, own.tenant, 2).await;
    let (a, _) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (b, _) = enrolled(world, &store, sibling, "Ferris", counting(b"another secret 12345")).await;
    assert_ne!(a, b);
    let pk = prepared(world, &store, own, "FERRIS").await;
    let limited = CompleteEnrollment {
        most: 1,
        ..complete(world, own, pk, "ferris", counting(b"a third secret 12345"))
    };
    assert_eq!(store.write(limited).await.unwrap(), Completed::TooMany);
}
