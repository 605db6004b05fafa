//! Devices that an application remembers: for one client, one browser, and a time.

use oss2fa_server::store::audit::{AuditFilter, AuditPage};
use oss2fa_server::store::verbs::trusted::{IsTrusted, RecordPass, Trust};

use crate::sow::{RFC_SECRET, counting, enrolled, name, tenant};
use crate::world::World;

clauses!(remembered_for_one_browser_and_a_time, a_pass_is_written_down);

async fn remembered_for_one_browser_and_a_time(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let (client, _) = enrolled(world, &store, own, "ferris", counting(RFC_SECRET)).await;
    let (other, _) = enrolled(world, &store, own, "corro", counting(b"another secret 12345")).await;
    let begun = world.now();
    for (digest, fingerprint) in [([1; 32], Some("firefox")), ([2; 32], None)] {
        let trust = Trust {
            doer: own.doer(world),
            client,
            username: name("ferris"),
            digest,
            fingerprint: fingerprint.map(str::to_owned),
            expires_at: begun.after(100),
        };
        store.write(trust).await.unwrap();
    }
    world.pass(10);
    let asked = |client, digest, fingerprint: Option<&str>| IsTrusted {
        tenant: own.tenant,
        client,
        digest,
        fingerprint: fingerprint.map(str::to_owned),
        not_before: begun.before(1),
        now: world.now(),
    };
    let is = async |asked| store.read(asked).await.unwrap();
    assert!(is(asked(client, [1; 32], Some("firefox"))).await);
    assert!(!is(asked(client, [1; 32], Some("chromium"))).await);
    assert!(!is(asked(client, [1; 32], None)).await);
    assert!(is(asked(client, [2; 32], Some("chromium"))).await);
    assert!(is(asked(client, [2; 32], None)).await);
    assert!(!is(asked(client, [3; 32], None)).await);
    assert!(!is(asked(other, [2; 32], None)).await);
    // Policy has since become shorter than what was remembered.
    assert!(!is(IsTrusted { not_before: begun, ..asked(client, [2; 32], None) }).await);
    world.pass(90);
    assert!(!is(asked(client, [2; 32], None)).await);
}

async fn a_pass_is_written_down(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let record =
        RecordPass { doer: own.doer(world), username: name("ferris"), what: "allowed", why: "bypass" };
    store.write(record).await.unwrap();
    let filter = AuditFilter { event: Some("allowed".to_owned()), ..AuditFilter::default() };
    let page = AuditPage { tenant: own.tenant, after: 0, limit: 10, filter };
    let entries = store.read(page).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].username.as_str(), entries[0].detail.as_str()), ("ferris", "bypass"));
    assert_eq!(entries[0].source, "192.0.2.1");
}
