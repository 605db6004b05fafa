//! What comes from outside the server's own logic: the time and randomness, as parameters.

use std::time::{SystemTime, UNIX_EPOCH};

use oss2fa_core::random::{NoRandomness, Random};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;

/// Microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole seconds since 1970: what RFC 6238 counts in.
    #[must_use]
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0.div_euclid(SECOND)).unwrap_or(0)
    }

    /// So many seconds later.
    #[must_use]
    pub fn after(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(i64::from(seconds) * SECOND))
    }

    /// So many seconds earlier.
    #[must_use]
    pub fn before(self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(i64::from(seconds) * SECOND))
    }

    /// Reads a time of RFC 3339, with any offset.
    #[must_use]
    pub fn from_rfc3339(written: &str) -> Option<Self> {
        let time = OffsetDateTime::parse(written, &Rfc3339).ok()?;
        i64::try_from(time.unix_timestamp_nanos().div_euclid(1000)).ok().map(Self)
    }

    /// RFC 3339 with microseconds: `2017-08-27T23:47:31.544021Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
            .ok()
            .and_then(|date| date.format(&format).ok())
            .unwrap_or_else(|| "9999-12-31T23:59:59.999999Z".to_owned())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;
}

/// The clock and the random source of the running system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's clock is read")]
    fn now(&self) -> Timestamp {
        // Before 1970 no code can be valid: 0 makes every time-based check fail.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

impl Random for System {
    #[expect(clippy::disallowed_methods, reason = "the one place where the system's random source is read")]
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_time_is_written_as_the_document_writes_it() {
        assert_eq!(Timestamp(1_503_877_651_544_021).to_rfc3339(), "2017-08-27T23:47:31.544021Z");
        assert_eq!(Timestamp(0).to_rfc3339(), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_time_is_read_with_any_offset() {
        let at = Some(Timestamp(1_503_877_651_544_021));
        assert_eq!(Timestamp::from_rfc3339("2017-08-27T23:47:31.544021Z"), at);
        assert_eq!(Timestamp::from_rfc3339("2017-08-28T01:47:31.544021+02:00"), at);
        for bad in ["", "yesterday", "2017-08-27", "2017-08-27T23:47:31", "1503877651"] {
            assert_eq!(Timestamp::from_rfc3339(bad), None, "{bad}");
        }
    }
}
