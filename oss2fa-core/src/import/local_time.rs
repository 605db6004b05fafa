//! Dates without a time zone, as pam_oath writes them.

/// Seconds from the beginning of 1970 to `text`, which is `YYYY-MM-DDTHH:MM:SSL`, as if it were UTC.
/// `None` for what is not such a date in the years 1970 to 9999.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('L')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    // A leap second is a second.
    if year < 1970 || day < 1 || day > days_of(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = 365 * (year - 1970) + leap_days(year - 1) - leap_days(1969);
    let months: i64 = (1..month).filter_map(|month| days_of(year, month)).sum();
    Some((((years + months + day - 1) * 24 + hour) * 60 + minute) * 60 + second)
}

fn days_of(year: i64, month: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut next = |length| {
        let part: &str = parts.next()?;
        let plain = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        if plain { part.parse().ok() } else { None }
    };
    let [first, second, third] = lengths;
    let found = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_are_counted_as_the_calendar_does() {
        // Made with `date -u -d ... +%s`.
        for (text, expected) in [
            ("1970-01-01T00:00:00L", 0),
            ("2000-02-29T12:00:00L", 951_825_600),
            ("2000-03-01T00:00:00L", 951_868_800),
            ("2026-11-22T20:12:00L", 1_795_378_320),
            ("2100-03-01T00:00:00L", 4_107_542_400),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "L",
            "2026-11-22T20:12:00",
            "2026-11-22T20:12:00Z",
            "2026-11-22 20:12:00L",
            "2026-02-29T00:00:00L",
            "2026-13-01T00:00:00L",
            "2026-00-01T00:00:00L",
            "2026-01-00T00:00:00L",
            "2026-01-01T24:00:00L",
            "2026-01-01T00:60:00L",
            "1969-12-31T23:59:59L",
            "2026-1-01T00:00:00L",
            "+026-01-01T00:00:00L",
            "2026-01-01-01T00:00:00L",
            "2026-01-01T00:00:00:00L",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
