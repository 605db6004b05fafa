//! Many at once, over several nodes: one code passes once, no try is free that should not be.

use std::sync::Arc;

use oss2fa_server::device::NewDevice;
use oss2fa_server::policy::LockPolicy;
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditFilter, AuditPage, AuditVerdict, VerifyAudit};
use oss2fa_server::store::schema::SQLITE;
use oss2fa_server::store::verbs::attempts::{Attempt, Verdict};
use oss2fa_server::store::verbs::enrollments::{CompleteEnrollment, Completed};
use tokio::task::JoinSet;

use crate::raw::number;
use crate::sow::{
    Own, RFC_CODES, RFC_SECRET, codes, complete, counting, enrolled, integration, is_admitted, prepared,
    right, tenant, wrong,
};
use crate::world::World;

clauses!(
    one_code_passes_once,
    one_challenge_is_completed_once,
    one_recovery_code_passes_once,
    wrong_codes_are_all_counted,
    wrong_codes_from_one_address_are_all_counted,
    a_challenge_takes_no_more_tries_than_it_has,
    a_client_gets_no_more_devices_than_allowed,
    one_enrollment_is_completed_once,
    one_code_enrolls_one_device_of_a_tenant,
    one_name_is_one_client,
    three_nodes_write_one_chain,
    groups_that_wait_for_each_other_all_end,
    nodes_begin_together,
);

const TRIES: usize = 50;

pub(crate) async fn three(world: &World) -> [Arc<Store>; 3] {
    [Arc::new(world.begun().await), Arc::new(world.node().await), Arc::new(world.node().await)]
}

/// All at the same time, spread over the nodes.
async fn at_once(nodes: &[Arc<Store>; 3], attempts: impl Iterator<Item = Attempt>) -> Vec<Verdict> {
    let mut running = JoinSet::new();
    for (at, attempt) in attempts.enumerate() {
        let node = Arc::clone(&nodes[at % 3]);
        running.spawn(async move { node.write(attempt).await.unwrap() });
    }
    running.join_all().await
}

async fn one_code_passes_once(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let (client, device) = enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
    for code in &RFC_CODES[..5] {
        let limits = LockPolicy {
            free_attempts: 10_000,
            free_attempts_per_client: 10_000,
            free_attempts_per_source: 10_000,
            ..LockPolicy::default()
        };
        let verdicts = at_once(
            &nodes,
            (0..TRIES).map(|_| Attempt { limits, ..right(world, own, client, device, code) }),
        )
        .await;
        assert_eq!(verdicts.iter().filter(|verdict| is_admitted(verdict)).count(), 1, "{verdicts:?}");
    }
    // And none of them later.
    for code in &RFC_CODES[..5] {
        let again = nodes[1].write(right(world, own, client, device, code)).await.unwrap();
        assert!(!is_admitted(&again), "{again:?}");
    }
}

async fn one_challenge_is_completed_once(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let (client, device) = enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
    let challenge = crate::sow::challenge(world, &nodes[0], own, client, device).await;
    // Each with a code of its own, which alone would pass.
    let attempts = RFC_CODES.iter().map(|code| Attempt {
        challenge: Some(challenge),
        limits: LockPolicy { free_attempts: 100, ..LockPolicy::default() },
        ..right(world, own, client, device, code)
    });
    let verdicts = at_once(&nodes, attempts).await;
    assert_eq!(verdicts.iter().filter(|verdict| is_admitted(verdict)).count(), 1, "{verdicts:?}");
}

async fn one_recovery_code_passes_once(world: &World) {
    use oss2fa_core::factor::recovery_code::{StoredCode, check};
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let (client, device) = enrolled(world, &nodes[0], own, "ferris", codes()).await;
    let stored = [StoredCode { number: 4, digest: [4; 32] }];
    let attempts = (0..TRIES).map(|_| Attempt {
        kind: "RecoveryCodes",
        verified: Some((check(device, &[4; 32], &stored).unwrap(), oss2fa_server::device::Spend::Code)),
        limits: LockPolicy { free_attempts: 100, ..LockPolicy::default() },
        ..wrong(world, own, client)
    });
    let verdicts = at_once(&nodes, attempts).await;
    assert_eq!(verdicts.iter().filter(|verdict| is_admitted(verdict)).count(), 1, "{verdicts:?}");
    assert_eq!(number(&nodes[2], "SELECT count(*) FROM recovery_code WHERE used_at IS NOT NULL").await, 1);
}

fn locked(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Locked { .. })).count()
}

async fn wrong_codes_are_all_counted(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let (client, _) = enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
    let limits = LockPolicy { free_attempts: 7, ..LockPolicy::default() };
    let attempts = || (0..TRIES).map(|_| Attempt { limits, ..wrong(world, own, client) });
    let verdicts = at_once(&nodes, attempts()).await;
    assert_eq!(TRIES - locked(&verdicts), 7, "{verdicts:?}");
    // After the pause there is one more try, and then a longer one.
    world.pass(31);
    let verdicts = at_once(&nodes, attempts()).await;
    assert_eq!(TRIES - locked(&verdicts), 1, "{verdicts:?}");
    world.pass(31);
    assert_eq!(locked(&at_once(&nodes, attempts()).await), TRIES);
}

async fn wrong_codes_from_one_address_are_all_counted(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut clients = Vec::new();
    for n in 0..10 {
        let device = counting(format!("secret of client {n:04}").as_bytes());
        clients.push(enrolled(world, &nodes[0], own, &format!("client{n}"), device).await.0);
    }
    let limits = LockPolicy { free_attempts: 100, free_attempts_per_source: 1000, ..LockPolicy::default() };
    let attempts = (0..TRIES).map(|n| Attempt { limits, ..wrong(world, own, clients[n % 10]) });
    let verdicts = at_once(&nodes, attempts).await;
    assert_eq!(locked(&verdicts), 0, "{verdicts:?}");
    let counted = number(&nodes[0], "SELECT failures FROM lock WHERE scope = '*|*|192.0.2.1'").await;
    assert_eq!(usize::try_from(counted).unwrap(), TRIES);
}

async fn a_challenge_takes_no_more_tries_than_it_has(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let (client, device) = enrolled(world, &nodes[0], own, "ferris", counting(RFC_SECRET)).await;
    let challenge = crate::sow::challenge(world, &nodes[0], own, client, device).await;
    let limits = LockPolicy {
        free_attempts: 1000,
        free_attempts_per_client: 1000,
        free_attempts_per_source: 1000,
        ..LockPolicy::default()
    };
    let attempts =
        (0..TRIES).map(|_| Attempt { challenge: Some(challenge), limits, ..wrong(world, own, client) });
    let mut left: Vec<Option<u32>> = at_once(&nodes, attempts)
        .await
        .into_iter()
        .filter_map(|verdict| match verdict {
            Verdict::Refused { attempts_left } => Some(attempts_left),
            Verdict::Over => None,
            other => panic!("{other:?}"),
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [Some(0), Some(1), Some(2)], "three tries, as it was made with");
    let late =
        Attempt { challenge: Some(challenge), limits, ..right(world, own, client, device, RFC_CODES[3]) };
    assert_eq!(nodes[0].write(late).await.unwrap(), Verdict::Over);
}

async fn completed(nodes: &[Arc<Store>; 3], all: Vec<CompleteEnrollment>) -> Vec<Completed> {
    let mut running = JoinSet::new();
    for (at, complete) in all.into_iter().enumerate() {
        let node = Arc::clone(&nodes[at % 3]);
        running.spawn(async move { node.write(complete).await.unwrap() });
    }
    running.join_all().await
}

async fn a_client_gets_no_more_devices_than_allowed(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut all = Vec::new();
    for n in 0..12 {
        let enrollment = prepared(world, &nodes[0], own, "ferris").await;
        let device = counting(format!("secret of device {n:04}").as_bytes());
        all.push(CompleteEnrollment { most: 2, ..complete(world, own, enrollment, "ferris", device) });
    }
    let done = completed(&nodes, all).await;
    assert_eq!(done.iter().filter(|done| matches!(done, Completed::Client(..))).count(), 2, "{done:?}");
    assert_eq!(number(&nodes[0], "SELECT count(*) FROM device").await, 2);
}

async fn one_enrollment_is_completed_once(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let enrollment = prepared(world, &nodes[0], own, "ferris").await;
    let all = (0..12)
        .map(|n| {
            let device = counting(format!("secret of device {n:04}").as_bytes());
            complete(world, own, enrollment, "ferris", device)
        })
        .collect();
    let done = completed(&nodes, all).await;
    assert_eq!(done.iter().filter(|done| matches!(done, Completed::Client(..))).count(), 1, "{done:?}");
    assert_eq!(number(&nodes[0], "SELECT count(*) FROM device").await, 1);
}

/// Whoever has a secret in two integrations shows each of its codes to one of them.
async fn one_code_enrolls_one_device_of_a_tenant(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut of = Vec::new();
    for number in 2..8 {
        of.push(integration(world, &nodes[0], own.tenant, number).await);
    }
    for round in 1..10 {
        let mut all = Vec::new();
        for own in &of {
            let enrollment = prepared(world, &nodes[0], *own, "ferris").await;
            let device = NewDevice { next_position: 1, ..counting(format!("secret {round}").as_bytes()) };
            all.push(complete(world, *own, enrollment, "ferris", device));
        }
        let done = completed(&nodes, all).await;
        assert_eq!(done.iter().filter(|done| matches!(done, Completed::Client(..))).count(), 1, "{done:?}");
    }
}

async fn one_name_is_one_client(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut all = Vec::new();
    for n in 0..6 {
        let enrollment = prepared(world, &nodes[0], own, "ferris").await;
        let device = counting(format!("secret of device {n:04}").as_bytes());
        all.push(complete(world, own, enrollment, "ferris", device));
    }
    let done = completed(&nodes, all).await;
    assert!(done.iter().all(|done| matches!(done, Completed::Client(..))), "{done:?}");
    assert_eq!(number(&nodes[0], "SELECT count(*) FROM client").await, 1);
}

async fn three_nodes_write_one_chain(world: &World) {
    let nodes = three(world).await;
    let mut owns: Vec<Own> = Vec::new();
    for n in 1..=3 {
        owns.push(tenant(world, &nodes[0], n).await);
    }
    let mut running = JoinSet::new();
    for at in 0..300 {
        let (node, own) = (Arc::clone(&nodes[at % 3]), owns[at % 7 % 3]);
        let record = oss2fa_server::store::verbs::trusted::RecordPass {
            doer: own.doer(world),
            username: crate::sow::name(&format!("client{at}")),
            what: "allowed",
            why: "bypass",
        };
        running.spawn(async move { node.write(record).await.unwrap() });
    }
    running.join_all().await;
    let mut seen = 0;
    for own in owns {
        let page = AuditPage { tenant: own.tenant, after: 0, limit: 1000, filter: AuditFilter::default() };
        let entries = nodes[1].read(page).await.unwrap();
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.seq).collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "no number is left out");
        seen += entries.iter().filter(|entry| entry.event == "allowed").count();
        let verdict = nodes[2].read(VerifyAudit { tenant: own.tenant }).await.unwrap();
        let AuditVerdict::Whole { events, chain } = verdict else { panic!("{verdict:?}") };
        assert_eq!((events, Some(&chain)), (numbers.len() as i64, entries.last().map(|entry| &entry.chain)));
    }
    assert_eq!(seen, 300);
}

/// Each node's group holds the rows of clients in another order: on PostgreSQL some wait for each other.
async fn groups_that_wait_for_each_other_all_end(world: &World) {
    let nodes = three(world).await;
    let own = tenant(world, &nodes[0], 1).await;
    let mut clients = Vec::new();
    for n in 0..8 {
        let device = counting(format!("secret of client {n:04}").as_bytes());
        clients.push(enrolled(world, &nodes[0], own, &format!("client{n}"), device).await.0);
    }
    let limits = LockPolicy {
        free_attempts: 1000,
        free_attempts_per_client: 1000,
        free_attempts_per_source: 1000,
        ..LockPolicy::default()
    };
    let attempts = (0..240).map(|n: usize| {
        let client = if n.is_multiple_of(2) { clients[n / 2 % 8] } else { clients[7 - n / 2 % 8] };
        Attempt { limits, ..wrong(world, own, client) }
    });
    let verdicts = at_once(&nodes, attempts).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Refused { .. })), "{verdicts:?}");
    let counted =
        "SELECT CAST(sum(failures) AS BIGINT) FROM lock WHERE scope LIKE '%|*' AND client IS NOT NULL";
    assert_eq!(number(&nodes[0], counted).await, 240, "each once, also those that were tried again");
}

async fn nodes_begin_together(world: &World) {
    let starting: Vec<_> = (0..3)
        .map(|_| async {
            let store = world.node().await;
            store.write(world.begin()).await.unwrap()
        })
        .collect();
    let mut begun = Vec::new();
    for started in join(starting).await {
        begun.push(matches!(started, oss2fa_server::store::verbs::tenants::Begun::New(..)));
    }
    begun.sort_unstable();
    assert_eq!(begun, [false, false, true]);
    let store = world.node().await;
    assert_eq!(number(&store, "SELECT count(*) FROM tenant").await, 1);
    let applied = number(&store, "SELECT count(*) FROM migration").await;
    assert_eq!(usize::try_from(applied).unwrap(), SQLITE.len());
}

/// Polls all together on this task.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => *output = Some(done),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
