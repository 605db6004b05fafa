//! Clients: the people who prove to be themselves.

pub mod auth;
pub mod verify;
