//! The harness: private worlds on this machine in which the built programs meet real ones.
//!
//! ```no_run
//! use oss2fa_tests::{Factor::Totp, Host, stack};
//! let host = Host::new().user("ferris").enrolled(Totp).pam("login", stack::SECOND_FACTOR).start();
//! ```
//!
//! A [`Host`] has its own `/etc`, `/home`, `/run`, `/var/lib`, `/var/log` and `/dev`; nothing that a
//! test does to accounts, stacks or services reaches the machine. Codes come from `oathtool` and
//! from Python's `pyotp`, never from the product.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the harness of the tests: whatever goes wrong in it fails the test, there and then"
)]

mod agent;
mod built;
mod command;
mod guest;
pub mod guest_login;
mod guide;
mod host;
pub mod load;
mod network;
pub mod page;
mod pamtester;
mod peer;
pub mod server;
mod sk_agent;
mod sshd;
pub mod stack;
mod syslog;
mod terminal;
mod token;
pub mod waiting;
mod wire;
mod world;
mod yubikey;

pub use agent::Agent;
pub use built::{Built, workspace};
pub use command::{Program, Ran};
pub use guest::{Guest, GuestRan};
pub use guide::{Guide, shell_guide};
pub use host::{Factor, Host, PASSWORD, Plan};
pub use network::Network;
pub use pamtester::{Pam, PamRun};
pub use peer::{FakeAgent, Reaction};
pub use sk_agent::{SkAgent, Touch};
pub use sshd::{Sshd, SshdPlan};
pub use syslog::Syslog;
pub use terminal::{End, Terminal};
pub use token::{Generator, Token, early_in_a_step, unix_time};
pub use wire::{Dialogue, Reply, start};
pub use world::World;
pub use yubikey::Yubikey;
