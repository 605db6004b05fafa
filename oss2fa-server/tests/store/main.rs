//! The contract of the store, met by SQLite and by PostgreSQL alike; and what each does when it fails.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

#[macro_use]
mod contract;

mod administrators;
mod attempts;
mod audit;
mod challenges;
mod clients;
mod cluster;
mod copy;
mod copy_beside_a_server;
mod enrollments;
mod failures_postgres;
mod failures_sqlite;
mod foreign;
mod groups;
mod integrations;
mod keys;
mod locks;
mod parallel;
mod raw;
mod schema;
mod sealed;
mod sow;
mod tenants;
mod tls;
mod trusted;
mod world;
