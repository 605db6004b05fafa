//! The store, verb by verb: what it grants, what it refuses, and what it leaves on disk.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail where it likes")]

mod audit;
mod concurrency;
mod formats;
mod groups;
mod lock_rules;
mod locks;
mod opening;
mod randomness;
mod reading;
mod recovery;
mod removal;
mod sealing;
mod security_keys;
mod server_keys;
mod spending;
mod ssh_keys;
mod typists;
mod world;
