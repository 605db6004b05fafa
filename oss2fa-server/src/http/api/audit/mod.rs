//! The audit, for administrators.

pub mod list;
mod stream;
pub mod verify;
