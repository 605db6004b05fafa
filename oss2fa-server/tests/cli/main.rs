//! The command line as people and scripts meet it, beside a running server and without one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic"
)]

mod apps;
mod beside;
mod certificate;
#[path = "../store/cluster.rs"]
mod cluster;
mod commands;
mod failures;
mod help;
mod host;
mod interrupted;
mod master_key;
mod secrets;
mod tenant_key;
mod world;
