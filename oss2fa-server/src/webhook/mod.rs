//! Webhooks: the events of an integration, sent to a URL of its administrators.
//!
//! Events are queued in the transaction that they are of, so that none is lost; whatever node comes first
//! sends them. A delivery comes **at least once**: where a node dies between the answer and its own commit, it
//! comes again, with the same `X-OSS2FA-Delivery`. The order is not promised: `seq` in the body tells it.
//! What is not taken within a day is given up, which is an event of the audit.

mod send;
mod sign;
mod target;
mod worker;

pub use sign::signature;
pub use target::{BadTarget, Target};
pub use worker::{Timing, Worker};
