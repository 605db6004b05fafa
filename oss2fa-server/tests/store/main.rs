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
#[macro_use]
mod victim;

mod administrators;
mod apps;
mod attempts;
mod audit;
mod challenges;
mod clients;
mod cluster;
mod copy;
mod copy_interrupted;
mod durability;
mod enrollments;
mod everything;
mod foreign;
mod foreign_outbox;
mod groups;
mod hosts;
mod integrations;
mod keys;
mod locks;
mod log;
mod offline;
mod pages;
mod parallel;
mod raw;
mod refused_databases;
mod removal;
mod schema;
mod sealed;
mod sow;
mod tenants;
mod trusted;
mod world;
mod yubikeys;
