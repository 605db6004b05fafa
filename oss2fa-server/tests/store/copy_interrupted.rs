//! `store copy` that does not get to its end: the new store is empty or whole, and the old one says which.

use std::ops::ControlFlow;

use oss2fa_server::store::Store;
use oss2fa_server::store::copy::{CopyError, Progress};
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Access, Tx, Verb};
use oss2fa_server::store::verbs::ready::Nothing;
use oss2fa_server::store::verbs::state::ReopenStore;
use oss2fa_server::values;

use crate::copy::{copy, each_way, go_on, rows};
use crate::everything::everything;
use crate::raw::change;
use crate::sow::{RFC_CODES, RFC_SECRET, counting, enrolled, is_admitted, right, tenant};
use crate::world::World;

#[test]
fn stopped_at_any_moment_it_leaves_the_old_store_open_and_the_new_one_empty() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        for last in 0.. {
            let mut left = last;
            let mut watch = |_| {
                left -= 1;
                if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match copy(from, to, "one", &mut watch).await {
                Ok(_) => {
                    assert!(last > 30, "it was stopped {last} times");
                    break;
                }
                Err(CopyError::Stopped) => {}
                Err(other) => panic!("at {last}: {other}"),
            }
            old.ready().await.unwrap_or_else(|error| panic!("at {last}: {error}"));
            assert_eq!(rows(&to.node().await).await, Vec::<String>::new(), "at {last}");
        }
        assert_eq!(rows(&old).await, rows(&to.node().await).await);
    });
}

#[test]
fn nothing_is_written_while_it_is_copied() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        let mut refused = 0;
        let mut watch = |progress| {
            if matches!(progress, Progress::Rows(_) | Progress::Checking) {
                let handle = tokio::runtime::Handle::current();
                let written = tokio::task::block_in_place(|| handle.block_on(old.write(Nothing)));
                assert!(matches!(written, Err(StoreError::Moving(_))), "{written:?}");
                refused += 1;
            }
            ControlFlow::Continue(())
        };
        copy(from, to, "one", &mut watch).await.unwrap();
        assert_eq!(refused, 2);
    });
}

/// The row of `store_state`, as a process leaves it that dies.
struct Leave {
    to: String,
    id: &'static str,
}

impl Verb for Leave {
    type Output = ();

    const ACCESS: Access = Access::Alone;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let leave = "UPDATE store_state SET moved_to = ?1, copy_id = ?2, moved_at = NULL WHERE pk = 1";
        tx.sql.execute(leave, values![&self.to, self.id]).await.map(drop)
    }
}

#[test]
fn a_copy_that_died_before_its_end_is_made_anew_to_the_same_place_alone() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        old.write(Leave { to: to.place().shown(), id: "dead" }).await.unwrap();
        let closed = old.write(Nothing).await;
        assert!(matches!(closed, Err(StoreError::Moving(_))), "{closed:?}");
        let elsewhere = from.elsewhere(None);
        let refused = copy(from, &elsewhere, "two", &mut go_on).await;
        assert!(
            matches!(&refused, Err(CopyError::Interrupted(first)) if *first == to.place().shown()),
            "{refused:?}"
        );
        copy(from, to, "three", &mut go_on).await.unwrap();
        assert_eq!(rows(&old).await, rows(&to.node().await).await);
    });
}

#[test]
fn a_copy_that_died_after_its_end_is_told_so_and_the_new_store_stays_as_it_is() {
    each_way(async |from, to| {
        let old = from.begun().await;
        let own = tenant(from, &old, 1).await;
        let (client, device) = enrolled(from, &old, own, "ferris", counting(RFC_SECRET)).await;
        let first = copy(from, to, "one", &mut go_on).await.unwrap();
        old.write(Leave { to: to.place().shown(), id: "one" }).await.unwrap();
        // The new one is in use meanwhile.
        let new = to.node().await;
        assert!(is_admitted(&new.write(right(to, own, client, device, RFC_CODES[0])).await.unwrap()));
        let used = rows(&new).await;
        let second = copy(from, to, "two", &mut go_on).await.unwrap();
        assert_eq!((second.rows, second.digest.len()), (first.rows, 64));
        assert_eq!(rows(&new).await, used, "nothing was written over");
        let moved = old.write(Nothing).await;
        assert!(matches!(moved, Err(StoreError::Moved(_))), "{moved:?}");
    });
}

#[test]
fn a_reopened_source_throws_the_copy_away() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        let mut watch = |progress| {
            if matches!(progress, Progress::Checking) {
                let (handle, reopen) =
                    (tokio::runtime::Handle::current(), ReopenStore { doer: from.server() });
                tokio::task::block_in_place(|| handle.block_on(old.write(reopen))).unwrap();
            }
            ControlFlow::Continue(())
        };
        let thrown_away = copy(from, to, "one", &mut watch).await;
        assert!(matches!(thrown_away, Err(CopyError::Reopened)), "{thrown_away:?}");
        old.ready().await.unwrap();
        assert_eq!(rows(&to.node().await).await, Vec::<String>::new());
    });
}

/// A target that changes what is written to it.
async fn treacherous(to: &World) -> Store {
    let store = to.node().await;
    if to.place().shown().starts_with("sqlite:") {
        let trigger = "CREATE TRIGGER treachery AFTER INSERT ON client BEGIN
                         UPDATE client SET status = 'bypass' WHERE pk = NEW.pk; END";
        change(&store, trigger).await;
    } else {
        let function = "CREATE FUNCTION treachery() RETURNS trigger LANGUAGE plpgsql AS
                          $$ BEGIN NEW.status = 'bypass'; RETURN NEW; END $$";
        change(&store, function).await;
        let trigger = "CREATE TRIGGER treachery BEFORE INSERT ON client
                         FOR EACH ROW EXECUTE FUNCTION treachery()";
        change(&store, trigger).await;
    }
    store
}

#[test]
fn rows_that_do_not_arrive_as_they_are_are_found() {
    each_way(async |from, to| {
        let old = from.begun().await;
        everything(from, &old).await;
        let new = treacherous(to).await;
        let found = copy(from, to, "one", &mut go_on).await;
        assert!(matches!(found, Err(CopyError::Differs("client"))), "{found:?}");
        old.ready().await.unwrap();
        assert_eq!(rows(&new).await, Vec::<String>::new());
    });
}
