//! `[limits]`: how much one client may ask of the server.

use std::num::NonZeroU32;
use std::time::Duration;

use super::place::Place;
use super::{ConfigError, raw};

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// The largest body of a request, in bytes.
    pub body: usize,
    /// Requests per second of one token.
    pub token: Rate,
    /// Requests per second of one address.
    pub address: Rate,
    /// Requests per minute of one address with a token that is not known.
    pub refused_per_minute: NonZeroU32,
    /// The longest that one request may take.
    pub request_timeout: Duration,
    /// The most connections at once.
    pub connections: NonZeroU32,
    /// Of these, those of one address, which is no proxy.
    pub connections_per_address: NonZeroU32,
    /// How long requests under way may still take when the server stops; may be zero.
    pub stop_grace: Duration,
}

/// A steady rate, and how much may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// After a time of quiet.
    pub burst: NonZeroU32,
}

const MOST: i64 = 1_000_000;

pub(super) fn limits(at: &Place<'_>, limits: &raw::Limits) -> Result<LimitsConfig, ConfigError> {
    let connections = at.count("[limits] connections", limits.connections, MOST)?;
    // Where it is left out, four addresses are needed to take all.
    let of_one = limits.connections_per_address.unwrap_or_else(|| i64::from(connections.get().div_ceil(4)));
    Ok(LimitsConfig {
        body: at.whole("[limits] body", limits.body, 1024, 16 * 1024 * 1024)?,
        token: Rate {
            per_second: at.count("[limits] token_per_second", limits.token_per_second, MOST)?,
            burst: at.count("[limits] token_burst", limits.token_burst, MOST)?,
        },
        address: Rate {
            per_second: at.count("[limits] address_per_second", limits.address_per_second, MOST)?,
            burst: at.count("[limits] address_burst", limits.address_burst, MOST)?,
        },
        refused_per_minute: at.count("[limits] refused_per_minute", limits.refused_per_minute, 100_000)?,
        request_timeout: at.seconds("[limits] request_timeout", limits.request_timeout, 1, 600)?,
        connections,
        connections_per_address: at.count("[limits] connections_per_address", of_one, MOST)?,
        stop_grace: at.seconds("[limits] stop_grace", limits.stop_grace, 0, 600)?,
    })
}
