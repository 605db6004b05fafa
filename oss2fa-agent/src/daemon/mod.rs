//! The daemon: listens, and hands each connection to a login or to a request of the command line.

mod admin;
#[cfg(test)]
mod afar_tests;
mod asking;
mod challenges;
mod connection;
mod converse;
mod courier;
mod door;
#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod heard_tests;
mod keyring;
#[cfg(test)]
mod keyring_tests;
mod live;
mod login;
mod peer;
mod prompts;
mod proof;
mod recognition;
#[cfg(test)]
mod remote_tests;
mod ruling;
mod socket;
mod start;
mod syslog;
#[cfg(test)]
mod typist_tests;
mod waiting;
mod workers;
#[cfg(test)]
mod workers_tests;
#[cfg(test)]
mod yubikey_tests;

pub use start::{ServeError, ServeOptions, serve, serve_with};
