//! Webhooks of an integration, for administrators.

pub mod create;
pub mod list;
pub mod remove;
