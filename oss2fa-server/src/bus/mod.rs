//! The bus of ungleich-otp: the RPC `verify`, answered over AMQP 0-9-1 as nameko's clients expect it.
//!
//! [`Bus`] keeps one connection to the broker, makes another one where it is lost, and takes calls from it;
//! [`nameko`] says what a message means; [`Apps`] decides. Nothing here is needed to serve HTTP, and
//! whatever happens here ends here.

mod call;
mod link;
mod lost;
pub mod nameko;
mod run;
mod session;
mod target;

pub use run::{Bus, Parts};
pub use target::{Target, TargetError};

#[cfg(doc)]
use crate::service::apps::Apps;
