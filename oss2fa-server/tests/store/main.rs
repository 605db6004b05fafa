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
mod apps;
mod attempts;
mod audit;
mod challenges;
mod clients;
mod cluster;
mod enrollments;
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
mod trusted;
mod world;
mod yubikeys;
