//! The OSS2FA server: many tenants, one API, on SQLite or PostgreSQL.
//!
//! Who calls whom: `http` asks the [`service`], which knows the rules; the service asks the [`device`] kinds
//! and the [`store`], whose verbs are written once for both databases.
#![forbid(unsafe_code)]

#[cfg(feature = "bus")]
pub mod bus;
pub mod cli;
pub mod config;
pub mod device;
pub mod fields;
pub mod housekeeping;
pub mod http;
pub mod ids;
pub mod keys;
pub mod listen;
pub mod message;
pub mod neighbours;
pub mod open;
pub mod outside;
pub mod policy;
pub mod serve;
pub mod service;
pub mod store;
pub mod webhook;
pub mod whereabouts;
pub mod yubico;
