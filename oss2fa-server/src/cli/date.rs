//! Times for people, always UTC, so that two hosts can be compared; and times as people write them.

use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, time};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::outside::Timestamp;

/// `2024-02-29 12:00:00 UTC`.
pub(crate) fn date(at: Timestamp) -> String {
    let text = at.to_rfc3339();
    format!("{} UTC", text.get(..19).unwrap_or(&text).replace('T', " "))
}

/// `1 code`, `2 codes`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Reads `2024-02-29` (midnight, UTC) or a time of RFC 3339.
pub(crate) fn time_of(written: &str) -> Result<Timestamp, String> {
    let at = Date::parse(written, format_description!("[year]-[month]-[day]"))
        .map(|date| PrimitiveDateTime::new(date, time!(00:00)).assume_utc())
        .or_else(|_| OffsetDateTime::parse(written, &Rfc3339))
        .map_err(|_| "a time is written 2024-02-29 or 2024-02-29T12:00:00Z".to_owned())?;
    i64::try_from(at.unix_timestamp_nanos() / 1000).map(Timestamp).map_err(|_| "too far away".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Expected values by `date -u -d`.
    #[test]
    fn times_are_read_and_shown_in_utc() {
        let noon = Timestamp(1_709_208_000_000_000);
        assert_eq!(date(noon), "2024-02-29 12:00:00 UTC");
        assert_eq!(time_of("2024-02-29T12:00:00Z"), Ok(noon));
        assert_eq!(time_of("2024-02-29T14:30:00+02:30"), Ok(noon));
        assert_eq!(time_of("2024-02-29"), Ok(Timestamp(1_709_164_800_000_000)));
        for bad in ["", "yesterday", "2023-02-29", "2024-02-29 12:00"] {
            assert!(time_of(bad).is_err(), "{bad}");
        }
    }
}
