//! The command line as people and scripts meet it, against a daemon that follows a script.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may panic"
)]

mod commands;
mod failures;
mod help;
mod imports;
mod local;
mod qr;
mod real;
mod scripted;
mod security_keys;
mod ssh_keys;
