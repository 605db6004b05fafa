//! `store copy`: all that is in one store is in the other, both are compared, and nothing is spent on both.

use std::ops::ControlFlow;

use oss2fa_server::store::Store;
use oss2fa_server::store::audit::AuditVerdict;
use oss2fa_server::store::copy::{Copied, Copy, CopyError, Progress};
use oss2fa_server::store::copy_tables::TABLES;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::ready::Nothing;
use oss2fa_server::store::verbs::state::{DescribeStore, ReopenStore};

use crate::cluster::Cluster;
use crate::everything::everything;
use crate::raw::{Dump, change, number};
use crate::sow::{
    RFC_CODES, RFC_SECRET, challenge, counting, enrolled, enrollment, is_admitted, right, tenant,
};
use crate::world::{World, place};

/// A case for each way from one database to another.
#[expect(clippy::print_stderr, reason = "the reader of a failed test wants to know which way")]
pub(crate) fn each_way(case: impl AsyncFn(&World, &World)) {
    let cluster = Cluster::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    for (from, to) in [(false, true), (true, false), (false, false), (true, true)] {
        eprintln!("from {} to {}", name_of(from), name_of(to));
        let source = if from { World::postgres(&cluster) } else { World::sqlite() };
        let target = source.elsewhere(to.then(|| place(&cluster.database())));
        runtime.block_on(case(&source, &target));
    }
}

fn name_of(is_postgres: bool) -> &'static str {
    if is_postgres { "PostgreSQL" } else { "SQLite" }
}

/// Copies; `watch` is told how far it is.
pub(crate) async fn copy(
    from: &World,
    to: &World,
    id: &str,
    watch: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Copied, CopyError> {
    let copy = Copy {
        from: from.place(),
        to: to.place(),
        ring: from.ring(),
        clock: from.clock(),
        doer: from.server(),
        id: id.to_owned(),
    };
    copy.run(watch).await
}

pub(crate) fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) async fn rows(store: &Store) -> Vec<String> {
    store.read(Dump(None)).await.unwrap()
}

#[test]
fn every_row_arrives_and_the_old_store_takes_no_more() {
    each_way(async |from, to| {
        let old = from.begun().await;
        let own = everything(from, &old).await;
        for table in &TABLES {
            let there = number(&old, format!("SELECT count(*) FROM {}", table.name)).await;
            assert!(there > 0, "nothing to copy in {}", table.name);
        }
        let (mut all, mut done, mut checked) = (0, 0, 0);
        let mut watch = |progress| {
            match progress {
                Progress::Rows(rows) => all = rows,
                Progress::Done(rows) => done += rows,
                Progress::Checking => checked += 1,
            }
            ControlFlow::Continue(())
        };
        let copied = copy(from, to, "one", &mut watch).await.unwrap();
        let new = to.node().await;
        let (before, after) = (rows(&old).await, rows(&new).await);
        assert_eq!(before, after);
        assert_eq!((copied.rows, copied.rows * 2), (before.len() as u64, all));
        assert_eq!(
            (done, checked),
            (all, 1),
            "each row is told of when it is written and when it is compared"
        );
        assert!(copied.digest.len() == 64, "{copied:?}");
        let tenants: Vec<i64> = copied.audits.iter().map(|checked| checked.tenant.0).collect();
        assert_eq!(tenants, [0, 1, own.tenant.0], "the server's own, the first tenant's, this one's");
        for checked in &copied.audits {
            assert!(matches!(checked.verdict, AuditVerdict::Whole { .. }), "{checked:?}");
        }
        // The old one can be looked at and not written to, also on a node that starts now.
        for node in [&old, &from.node().await] {
            let refused = node.write(Nothing).await;
            assert!(matches!(&refused, Err(StoreError::Moved(to)) if !to.is_empty()), "{refused:?}");
        }
        let state = old.read(DescribeStore).await.unwrap();
        assert_eq!(state.moved_at, Some(from.now()));
        let again = copy(from, to, "two", &mut go_on).await;
        assert!(matches!(again, Err(CopyError::Moved(_))), "{again:?}");
        new.ready().await.unwrap();
        assert_eq!(new.read(DescribeStore).await.unwrap().moved_to, None);
    });
}

#[test]
fn what_was_spent_stays_spent_and_numbers_go_on() {
    each_way(async |from, to| {
        let old = from.begun().await;
        let own = tenant(from, &old, 1).await;
        let (client, device) = enrolled(from, &old, own, "ferris", counting(RFC_SECRET)).await;
        assert!(is_admitted(&old.write(right(from, own, client, device, RFC_CODES[2])).await.unwrap()));
        let open = challenge(from, &old, own, client, device).await;
        // The highest number was given, and its row is gone.
        let gone = enrollment(from, &old, own, "corro").await;
        change(&old, format!("DELETE FROM enrollment WHERE pk = {gone}")).await;
        copy(from, to, "one", &mut go_on).await.unwrap();
        let new = to.node().await;
        let try_it = async |challenge, code: &str| {
            let attempt = right(to, own, client, device, code);
            let with = oss2fa_server::store::verbs::attempts::Attempt { challenge, ..attempt };
            is_admitted(&new.write(with).await.unwrap())
        };
        assert!(!try_it(None, RFC_CODES[2]).await, "a code that was used on the old store");
        assert!(try_it(Some(open), RFC_CODES[3]).await, "a challenge goes on, and the sealed secret opens");
        let next = enrollment(to, &new, own, "corro").await;
        assert!(next > gone, "{next} after {gone}");
        // Gone back to, the old store writes again, and says so in its audit.
        let reopened = old.write(ReopenStore { doer: from.server() }).await.unwrap();
        assert!(reopened.is_some());
        old.ready().await.unwrap();
        let told =
            "SELECT count(*) FROM audit WHERE tenant = 0 AND event IN ('store_moving', 'store_reopened')";
        assert_eq!(number(&old, told).await, 2);
    });
}

#[test]
fn a_store_with_anything_in_it_is_not_written_over() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        let other = to.begun().await;
        let (before, theirs) = (rows(&old).await, rows(&other).await);
        let refused = copy(from, to, "one", &mut go_on).await;
        assert!(matches!(refused, Err(CopyError::NotEmpty("tenant"))), "{refused:?}");
        assert_eq!((rows(&old).await, rows(&other).await), (before, theirs));
        old.ready().await.unwrap();
        other.ready().await.unwrap();
    });
}

#[test]
fn without_the_master_key_nothing_is_copied() {
    each_way(async |from, to| {
        let old = from.begun().await;
        let before = rows(&old).await;
        let stranger = World::at(tempfile::tempdir().unwrap(), from.place().clone());
        let refused = copy(&stranger, to, "one", &mut go_on).await;
        assert!(matches!(refused, Err(CopyError::Key(StoreError::MasterKey { .. }))), "{refused:?}");
        assert_eq!(rows(&old).await, before);
        old.ready().await.unwrap();
        assert_eq!(rows(&to.node().await).await, Vec::<String>::new());
    });
}
