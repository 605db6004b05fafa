//! Locks: each of the three counters, what clears them, and that they end by themselves.

use oss2fa_server::policy::LockPolicy;
use oss2fa_server::store::verbs::attempts::{Attempt, Verdict};
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange};

use crate::raw::number;
use crate::sow::{RFC_CODES, RFC_SECRET, counting, enrolled, is_admitted, right, tenant, wrong};
use crate::world::World;

clauses!(
    pauses_double_and_end,
    a_stranger_does_not_lock_the_client_out,
    one_address_for_many_clients,
    a_network_of_64_bits_is_one_address,
    a_clock_set_back_does_not_lock_for_ever,
    unlocking,
);

const FEW: LockPolicy = LockPolicy {
    free_attempts: 3,
    free_attempts_per_source: 6,
    free_attempts_per_client: 5,
    first_pause: 30,
    longest_pause: 100,
};

fn is_locked(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Locked { .. })
}

async fn pauses_double_and_end(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let limits = LockPolicy { free_attempts_per_client: 1000, free_attempts_per_source: 1000, ..FEW };
    let fail = async || store.write(Attempt { limits, ..wrong(world, own, client) }).await.unwrap();
    for _ in 0..3 {
        assert!(!is_locked(&fail().await));
    }
    for pause in [30, 60, 100, 100] {
        let locked = fail().await;
        assert_eq!(locked, Verdict::Locked { until: world.now().after(pause) });
        world.pass(i64::from(pause) - 1);
        assert!(is_locked(&fail().await));
        world.pass(1);
        assert!(!is_locked(&fail().await));
    }
    world.pass(100);
    let pass = Attempt { limits, ..right(world, own, client, device, RFC_CODES[0]) };
    assert!(is_admitted(&store.write(pass).await.unwrap()));
    // A success clears the client's own counter.
    for _ in 0..3 {
        assert!(!is_locked(&fail().await));
    }
    assert!(is_locked(&fail().await));
}

async fn a_stranger_does_not_lock_the_client_out(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pass = |code, from: &str| Attempt {
        doer: own.from(world, from),
        limits: FEW,
        ..right(world, own, client, device, code)
    };
    assert!(is_admitted(&store.write(pass(RFC_CODES[0], "198.51.100.7")).await.unwrap()));
    // Many addresses: each has tries of its own, until the client's counter is full.
    let mut refused = 0;
    for n in 0..20 {
        let doer = own.from(world, &format!("203.0.113.{n}"));
        let verdict = store.write(Attempt { doer, limits: FEW, ..wrong(world, own, client) }).await.unwrap();
        refused += usize::from(matches!(verdict, Verdict::Refused { .. }));
    }
    assert_eq!(refused, 5);
    assert!(is_locked(&store.write(pass(RFC_CODES[1], "203.0.113.99")).await.unwrap()));
    // From where the client has come before, they still come in.
    assert!(is_admitted(&store.write(pass(RFC_CODES[1], "198.51.100.7")).await.unwrap()));
}

async fn one_address_for_many_clients(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let mut refused = 0;
    let mut clients = Vec::new();
    for n in 0..10 {
        let device = counting(format!("secret of client {n:04}").as_bytes());
        clients.push(enrolled(world, &store, own, &format!("client{n}"), device).await.0);
    }
    for client in &clients {
        let verdict = store.write(Attempt { limits: FEW, ..wrong(world, own, *client) }).await.unwrap();
        refused += usize::from(matches!(verdict, Verdict::Refused { .. }));
    }
    assert_eq!(refused, 6);
    // Another address is another matter; and an application that names none is never locked by it.
    for from in ["192.0.2.2", ""] {
        let doer = own.from(world, from);
        let verdict =
            store.write(Attempt { doer, limits: FEW, ..wrong(world, own, clients[9]) }).await.unwrap();
        assert!(matches!(verdict, Verdict::Refused { .. }), "{from:?}: {verdict:?}");
    }
}

/// Whoever has one address of such a network has all of them: a stranger has no more tries by that, and a client whose
/// address changes daily is still where it was.
async fn a_network_of_64_bits_is_one_address(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let pass = |code, from: &str| Attempt {
        doer: own.from(world, from),
        limits: FEW,
        ..right(world, own, client, device, code)
    };
    let fail =
        |from: String| Attempt { doer: own.from(world, &from), limits: FEW, ..wrong(world, own, client) };
    assert!(is_admitted(&store.write(pass(RFC_CODES[0], "2001:db8:0:1::a")).await.unwrap()));
    let mut refused = 0;
    for n in 1..10 {
        let verdict = store.write(fail(format!("2001:db8:0:bad::{n:x}"))).await.unwrap();
        refused += usize::from(matches!(verdict, Verdict::Refused { .. }));
    }
    assert_eq!(refused, 3, "one network has the tries of one address");
    for n in 0..10 {
        store.write(fail(format!("2001:db8:1:{n:x}::1"))).await.unwrap();
    }
    assert!(is_locked(&store.write(pass(RFC_CODES[1], "2001:db8:2::1")).await.unwrap()));
    assert!(is_admitted(&store.write(pass(RFC_CODES[1], "2001:db8:0:1:f00d::b")).await.unwrap()));
    assert_eq!(
        number(&store, "SELECT count(*) FROM known_source WHERE source = '2001:db8:0:1::/64'").await,
        1
    );
}

async fn a_clock_set_back_does_not_lock_for_ever(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    world.pass(1_000_000);
    for _ in 0..3 {
        store.write(Attempt { limits: FEW, ..wrong(world, own, client) }).await.unwrap();
    }
    world.pass(-1_000_000);
    let pass = || Attempt { limits: FEW, ..right(world, own, client, device, RFC_CODES[0]) };
    assert!(is_locked(&store.write(pass()).await.unwrap()));
    world.pass(100);
    assert!(is_admitted(&store.write(pass()).await.unwrap()));
}

async fn unlocking(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, device) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    for _ in 0..4 {
        store.write(Attempt { limits: FEW, ..wrong(world, own, client) }).await.unwrap();
    }
    let pass = || Attempt { limits: FEW, ..right(world, own, client, device, RFC_CODES[0]) };
    assert!(is_locked(&store.write(pass()).await.unwrap()));
    let unlock = ChangeClient { doer: own.doer(world), client, change: ClientChange::Unlock };
    store.write(unlock).await.unwrap();
    assert!(is_admitted(&store.write(pass()).await.unwrap()));
    assert_eq!(
        number(&store, "SELECT count(*) FROM lock WHERE client IS NULL").await,
        1,
        "the address's stays"
    );
}
