//! Where the module meets C: the only `unsafe` of the workspace.
//!
//! **Invariant:** every block says why it is sound, and nothing here decides: [`entry`] calls the
//! plain code of this crate, the other files give it the traits that it is written over.
#![expect(unsafe_code, reason = "libpam and the socket calls with a deadline are C interfaces")]

mod entry;
pub(crate) mod guard;
mod handle;
#[cfg(test)]
mod handle_tests;
pub(crate) mod os;
mod socket;
mod users;
