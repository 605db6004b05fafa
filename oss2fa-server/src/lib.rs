//! The OSS2FA server.
#![forbid(unsafe_code)]

pub mod config;
pub mod listen;
pub mod message;
pub mod outside;
