//! A load generator for HTTP/1.1, in the clear or over TLS, that costs little of the machine it shares; and one for
//! calls over AMQP ([`call`]).
//!
//! One thread, keep-alive connections, requests made beforehand, one request under way on each
//! connection. Either each connection asks again as soon as it was answered ([`Pace::Full`], for the
//! peak), or requests fall due at a fixed rate whatever the server does ([`Pace::PerSecond`]); then a
//! latency counts from the moment a request was due, so a server that stalls cannot hide it.

mod answer;
mod calls;
mod connection;
mod latency;
mod requests;
mod run;
mod target;
#[cfg(test)]
mod tests;

pub use calls::{Answered, Calls, call};
pub use latency::Latencies;
pub use requests::{Head, Requests};
pub use run::{Expected, Outcome, Pace, Plan, run};
pub use target::{Target, TrustedCertificate};
