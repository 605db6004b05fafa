//! Tries: what is right is admitted once, and what it spends never comes back.

use oss2fa_core::factor::recovery_code::{StoredCode, check};
use oss2fa_core::ids::DeviceId;
use oss2fa_server::device::Spend;
use oss2fa_server::ids::ClientId;
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::attempts::{Attempt, Judged, Verdict, Verify};
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus, DevicesOf};

use crate::raw::{change, number};
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, challenge, codes, counting, enrolled, evidence, is_admitted, name, right,
    tenant, wrong,
};
use crate::world::World;

clauses!(
    a_position_only_grows,
    a_single_use_code_passes_once,
    a_challenge_is_spent_by_what_was_sent,
    a_signature_counter_rises_or_the_key_was_copied,
    one_signature_counter_passes_once,
    a_code_alone_is_read_judged_and_spent,
    who_is_inactive_or_unknown_is_barred,
    a_device_without_its_use_keeps_no_other_out,
);

async fn a_position_only_grows(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let try_it =
        async |code: &str| is_admitted(&store.write(right(world, own, client, device, code)).await.unwrap());
    for (counter, passes) in [(3, true), (3, false), (2, false), (0, false), (4, true), (9, true), (8, false)]
    {
        assert_eq!(try_it(RFC_CODES[counter]).await, passes, "counter {counter}");
    }
    let position =
        number(&store, format!("SELECT next_position FROM device_use WHERE device = {device}")).await;
    assert_eq!(position, 10);
    let devices = store.read(DevicesOf { tenant: own.tenant, client }).await.unwrap();
    assert_eq!(devices[0].last_used_at, Some(world.now()));
}

fn recovery(world: &World, own: Own, client: ClientId, device: DeviceId, code: u8) -> Attempt {
    let stored = [StoredCode { number: u64::from(code), digest: [code; 32] }];
    Attempt {
        kind: "RecoveryCodes",
        verified: Some((check(device, &[code; 32], &stored).unwrap(), Spend::Code)),
        ..wrong(world, own, client)
    }
}

async fn a_single_use_code_passes_once(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", codes()).await;
    for (code, passes) in [(3, true), (3, false), (7, true), (10, true), (11, false)] {
        let verdict = store.write(recovery(world, own, client, device, code)).await.unwrap();
        assert_eq!(is_admitted(&verdict), passes, "{code}");
    }
    assert_eq!(number(&store, "SELECT count(*) FROM recovery_code WHERE used_at IS NULL").await, 7);
}

async fn a_challenge_is_spent_by_what_was_sent(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let sent = |challenge| Attempt {
        kind: "EMAIL",
        challenge,
        verified: Some((evidence(device, RFC_CODES[0]), Spend::Challenge)),
        ..wrong(world, own, client)
    };
    assert!(!is_admitted(&store.write(sent(None)).await.unwrap()), "there is nothing to spend");
    let pk = challenge(world, &store, own, client, device).await;
    let verdict = store.write(sent(Some(pk))).await.unwrap();
    let Verdict::Admitted(admitted) = verdict else { panic!("{verdict:?}") };
    assert_eq!((admitted.client(), admitted.device()), (client, device));
    assert!(!is_admitted(&store.write(sent(Some(pk))).await.unwrap()));
    assert_eq!(number(&store, "SELECT next_position FROM device_use").await, 0, "no counter has moved");
}

/// An assertion with this counter, on a challenge of its own or on none. The evidence is that of a code: the position
/// is what counts here.
fn signed(world: &World, own: Own, client: ClientId, device: DeviceId, counter: usize) -> Attempt {
    Attempt {
        kind: "FIDO2",
        verified: Some((evidence(device, RFC_CODES[counter]), Spend::Counter)),
        limits: oss2fa_server::policy::LockPolicy { free_attempts: 100, ..Default::default() },
        ..wrong(world, own, client)
    }
}

const COPIED: &str = "SELECT count(*) FROM audit WHERE event = 'key_copied'";

async fn a_signature_counter_rises_or_the_key_was_copied(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let nothing_to_sign = store.write(signed(world, own, client, device, 1)).await.unwrap();
    assert!(!is_admitted(&nothing_to_sign), "without a challenge");
    assert_eq!(number(&store, COPIED).await, 0);
    let tries = [(0, true), (0, true), (3, true), (3, false), (2, false), (0, false), (4, true), (9, true)];
    for (counter, passes) in tries {
        let pk = challenge(world, &store, own, client, device).await;
        let attempt = Attempt { challenge: Some(pk), ..signed(world, own, client, device, counter) };
        assert_eq!(is_admitted(&store.write(attempt).await.unwrap()), passes, "counter {counter}");
        // The same answer once more is not a second key.
        let again = Attempt { challenge: Some(pk), ..signed(world, own, client, device, 0) };
        if passes {
            assert_eq!(store.write(again).await.unwrap(), Verdict::Over);
        }
    }
    assert_eq!(number(&store, COPIED).await, 3);
    assert_eq!(
        number(&store, format!("SELECT next_position FROM device_use WHERE device = {device}")).await,
        10
    );
}

async fn one_signature_counter_passes_once(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (one, other) = (
        challenge(world, &store, own, client, device).await,
        challenge(world, &store, own, client, device).await,
    );
    let at = |pk| Attempt { challenge: Some(pk), ..signed(world, own, client, device, 5) };
    let (one, other) = tokio::join!(store.write(at(one)), store.write(at(other)));
    let admitted = [one.unwrap(), other.unwrap()].iter().filter(|verdict| is_admitted(verdict)).count();
    assert_eq!((admitted, number(&store, COPIED).await), (1, 1));
}

/// The judge of these tests: what the kinds do, with a code of RFC 4226.
fn verify(world: &World, own: Own, who: &str, code: Option<&'static str>) -> Verify {
    Verify {
        doer: own.doer(world),
        username: name(who),
        judge: Box::new(move |found, _| {
            let Some((_, device)) = found.devices.first() else {
                return Err(StoreError::Corrupt("judged without a device"));
            };
            let verified = code.map(|code| (evidence(device.pk, code), Spend::Position));
            Ok(Judged { kind: "HOTP", verified })
        }),
        limits: oss2fa_server::policy::LockPolicy { free_attempts: 2, ..Default::default() },
        hidden_as: None,
    }
}

async fn a_code_alone_is_read_judged_and_spent(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let ask = async |who: &str, code| store.write(verify(world, own, who, code)).await.unwrap().1;
    let verdict = ask("ferris", Some(RFC_CODES[0])).await;
    let Verdict::Admitted(admitted) = verdict else { panic!("{verdict:?}") };
    assert_eq!((admitted.client(), admitted.device()), (client, device));
    assert_eq!(ask("ferris", Some(RFC_CODES[0])).await, Verdict::Refused { attempts_left: None });
    assert_eq!(ask("ferris", None).await, Verdict::Refused { attempts_left: None });
    let Verdict::Locked { until } = ask("ferris", Some(RFC_CODES[1])).await else { panic!("not locked") };
    assert_eq!(until, world.now().after(30));
    world.pass(30);
    assert!(is_admitted(&ask("ferris", Some(RFC_CODES[1])).await), "a locked try spends nothing");
    assert_eq!(ask("nobody", Some(RFC_CODES[2])).await, Verdict::Nobody);
    let set =
        ChangeClient { doer: own.doer(world), client, change: ClientChange::Status(ClientStatus::Inactive) };
    store.write(set).await.unwrap();
    assert_eq!(ask("ferris", Some(RFC_CODES[2])).await, Verdict::Barred);
}

async fn who_is_inactive_or_unknown_is_barred(world: &World) {
    let store: Store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let set = |status| ChangeClient { doer: own.doer(world), client, change: ClientChange::Status(status) };
    let try_it = async |client| store.write(right(world, own, client, device, RFC_CODES[0])).await.unwrap();
    store.write(set(ClientStatus::Inactive)).await.unwrap();
    assert_eq!(try_it(client).await, Verdict::Barred);
    assert_eq!(try_it(ClientId(i64::MAX)).await, Verdict::Barred);
    store.write(set(ClientStatus::Bypass)).await.unwrap();
    assert!(is_admitted(&try_it(client).await));
}

async fn a_device_without_its_use_keeps_no_other_out(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, broken) = enrolled(world, &store, own, "ferris", counting(b"another secret 12345")).await;
    change(&store, format!("DELETE FROM device_use WHERE device = {broken}")).await;
    let ask = async |code| store.write(verify(world, own, "ferris", Some(code))).await.unwrap().1;
    assert_eq!(ask(RFC_CODES[0]).await, Verdict::Nobody, "it is as none");
    let (_, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let verdict = ask(RFC_CODES[0]).await;
    let Verdict::Admitted(admitted) = verdict else { panic!("{verdict:?}") };
    assert_eq!((admitted.client(), admitted.device()), (client, device));
}
