//! The PAM module: it renders what the agent says and turns the agent's outcome into a PAM code.
//!
//! It has no verdict of its own. [`login`] is the auth phase, [`account`] the account phase; both
//! are plain code over two traits, [`pam::Pam`] and [`system::System`]. The real ones and the entry
//! points that libpam calls stand in `ffi`, the only place in the workspace with `unsafe`.
//!
//! **Invariant:** the module reads no environment variable, starts no thread or process, opens
//! nothing but the agent's socket, and keeps no state but the panic hook of `ffi::guard`.
//!
//! Delays after a wrong code are the agent's locks and the stack's `pam_faildelay`; the module asks
//! for none, because it does not know why somebody was refused.
#![deny(unsafe_code)]

// Under `abort` a panic would end sshd itself; the guard at the entry points could not catch it.
#[cfg(panic = "abort")]
compile_error!("build pam_oss2fa with panic = \"unwind\": with \"abort\" a panic ends the host program");

pub mod account;
pub mod agent;
mod ffi;
pub mod login;
pub mod options;
pub mod outcome;
pub mod pam;
pub mod proof;
pub mod system;
pub mod who;

#[cfg(test)]
mod tests;
