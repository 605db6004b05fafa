//! The rules of an integration.

pub mod change;
pub mod own;
pub mod read;
