//! The server, as this host asks it: one thread with a runtime of its own, started where `[server]` says so.
//!
//! A login's thread puts a [`Question`] and waits for the [`Answer`] until its deadline ([`link`]). The server's
//! thread holds one HTTP client for each URL, whose one kept-alive connection serves many logins at once, and
//! knows which servers are away ([`route`]). What a login may conclude from an answer is said by the files
//! named for the operations: [`decide`], [`judge`], [`challenge`], [`enrollment`], [`devices`], [`offline`],
//! [`security_keys`], [`events`].
//!
//! Two kinds of evidence come out of here, and neither can be made anywhere else: [`Proven`], that the server
//! verified and spent a code; and [`Unreachable`], that no server could be reached.

pub mod answer;
mod back;
pub mod binding;
pub mod challenge;
pub mod decide;
pub mod devices;
pub mod enrollment;
pub mod events;
mod exchange;
pub mod fault;
pub mod judge;
pub mod link;
pub mod offline;
mod pin;
pub mod question;
mod reach;
mod route;
#[cfg(test)]
pub(crate) mod scripted;
pub mod security_keys;
pub(crate) mod send;
pub mod tls;
pub mod token;

pub use self::answer::Answer;
pub use self::binding::Binding;
pub use self::fault::Fault;
pub use self::judge::Proven;
pub use self::link::{Health, Server, ServerError};
pub use self::question::Question;
pub use self::reach::Unreachable;
