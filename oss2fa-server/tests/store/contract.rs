//! Runs each clause of the contract on both databases.

use std::pin::Pin;

use crate::world::World;

/// A clause with a store of its own.
pub(crate) type Clause = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Runs a clause.
pub(crate) fn run(world: &World, clause: Clause) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(clause(world));
}

/// Names the clauses of a file: functions `async fn(&World)`. On SQLite each is a test of its own; on
/// PostgreSQL, where a server must be started, they are one test with a database for each.
macro_rules! clauses {
    ($($clause:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $clause() {
                    let world = crate::world::World::sqlite();
                    crate::contract::run(&world, |world| Box::pin(super::$clause(world)));
                }
            )*
        }

        #[test]
        fn on_postgres() {
            let cluster = crate::cluster::Cluster::start();
            $(
                eprintln!("{}", stringify!($clause));
                let world = crate::world::World::postgres(&cluster);
                crate::contract::run(&world, |world| Box::pin($clause(world)));
            )*
        }
    };
}
