//! Clients: the people who prove to be themselves.

pub mod auth;
pub mod devices;
pub mod distrust;
pub mod list;
pub mod read;
pub mod remove;
pub mod remove_device;
pub mod rename_device;
pub mod set_status;
pub mod unlock;
pub mod verify;
