//! The API as its callers meet it: who may do what, what is refused, what a refusal leaves behind.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod begun;
mod bodies;
mod browser;
mod clients;
mod credentials;
mod disclosure;
mod earlier;
mod faults;
mod fixture;
mod hosts;
mod inactive;
mod keys_at_hosts;
mod matrix;
mod messages;
mod names;
mod offline;
mod operations;
mod pages;
mod policies;
mod randomness;
mod replay;
mod roles;
mod security_key;
mod security_keys;
mod security_keys_models;
mod spellings;
mod steps;
mod whereabouts;
mod world;
