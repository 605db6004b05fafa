//! How long a certificate still lasts, and what to do before it ends.
//!
//! The server renews none, its own neither: clients have a copy of that one, and hosts may have pinned it. A new one
//! would lock them out at a moment that nobody has chosen. So it is said in time, and people choose the moment.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::time::{MissedTickBehavior, interval};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::certificate::CertificateResolver;
use crate::outside::{Clock, SECOND, Timestamp};

/// How often a running server looks, and says it again.
const LOOK_EVERY: Duration = Duration::from_secs(DAY);

const DAY: u64 = 24 * 60 * 60;

/// The longest that an end is told ahead.
const AHEAD: u64 = 30 * DAY;

/// A certificate of a few days is not always near its end: it is told in the last fifth of its time.
/// What renews by itself does so in the last third.
const PART: u64 = 5;

/// From when until when a certificate is good: seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    from: u64,
    until: u64,
}

/// Who sees to a new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The server made it on its first start.
    OwnPair,
    /// The administrator gave it.
    Given,
}

/// A certificate that somebody must see to: the sentence for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It is good for a short time.
    Soon(String),
    /// It is good no more.
    Over(String),
}

impl Ending {
    /// What is the matter, and what to do.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Soon(words) | Self::Over(words) => words,
        }
    }
}

impl Validity {
    /// That of a certificate (RFC 5280 section 4.1.2.5); none where it cannot be read.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(certificate).ok()?;
        let dates = certificate.tbs_certificate().validity();
        Some(Self {
            from: dates.not_before.to_unix_duration().as_secs(),
            until: dates.not_after.to_unix_duration().as_secs(),
        })
    }

    /// When it ends: seconds since 1970.
    #[must_use]
    pub fn until_seconds(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "seconds of this era fit")]
        let until = self.until as f64;
        until
    }

    /// What is to be said of the certificate in this file; nothing while it lasts.
    #[must_use]
    pub fn ending(self, file: &Path, origin: Origin, now: Timestamp) -> Option<Ending> {
        let left = self.until.saturating_sub(now.seconds());
        if left > AHEAD.min(self.until.saturating_sub(self.from) / PART) {
            return None;
        }
        let at = Timestamp(i64::try_from(self.until).unwrap_or(i64::MAX).saturating_mul(SECOND)).to_rfc3339();
        let date = at.split('T').next().unwrap_or_default();
        let file = file.display();
        let cure = match origin {
            Origin::OwnPair => {
                "The server made it and does not renew it, since clients have a copy of it. Choose a time, move \
                 tls.crt and tls.key away, and restart the server, which makes new ones; then give the new tls.crt to all \
                 that trust the old one. Hosts with pinned_certificate look at no date, and need the new SHA-256"
            }
            Origin::Given => "Put a new one in its place: it is taken up without a restart",
        };
        Some(match left {
            0 => Ending::Over(format!("the certificate {file} ended on {date}: clients refuse it. {cure}")),
            left => Ending::Soon(format!(
                "the certificate {file} ends in {} days, on {date}: clients refuse it from then on. {cure}",
                left / DAY
            )),
        })
    }
}

/// Logs each day that the certificate in force is near its end, from now on. Never ends; drop it to stop.
pub async fn tell(resolver: Arc<CertificateResolver>, origin: Origin, clock: Arc<dyn Clock>) {
    let mut days = interval(LOOK_EVERY);
    days.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        days.tick().await;
        match resolver.ending(origin, clock.now()) {
            None => {}
            Some(Ending::Soon(words)) => tracing::warn!(code = "tls_expiry", "{words}"),
            Some(Ending::Over(words)) => tracing::error!(code = "tls_expiry", "{words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000;

    fn told(days: u64, left: u64, origin: Origin) -> Option<Ending> {
        let validity = Validity { from: START, until: START + days * DAY };
        let now = i64::try_from(START + (days * DAY).saturating_sub(left)).unwrap() * SECOND;
        validity.ending(Path::new("/data/tls.crt"), origin, Timestamp(now))
    }

    #[test]
    fn an_end_is_told_a_month_ahead_and_of_a_short_life_in_its_last_fifth() {
        for (days, left, is_told) in [
            (825, 31 * DAY, false),
            (825, 30 * DAY, true),
            // What is renewed each two months with a month to spare.
            (90, 30 * DAY, false),
            (90, 18 * DAY, true),
            (6, 2 * DAY, false),
            (6, DAY, true),
            (6, 1, true),
        ] {
            let said = told(days, left, Origin::Given);
            assert_eq!(matches!(said, Some(Ending::Soon(_))), is_told, "{left} of {days}: {said:?}");
            assert!(is_told || said.is_none(), "{said:?}");
        }
    }

    #[test]
    fn it_is_said_when_and_what_to_do() {
        let soon = told(825, 10 * DAY + 5, Origin::OwnPair).unwrap();
        assert!(soon.words().contains("/data/tls.crt ends in 10 days, on 2029-04-"), "{soon:?}");
        assert!(soon.words().contains("move tls.crt and tls.key away"), "{soon:?}");
        let over = told(90, 0, Origin::Given).unwrap();
        assert!(matches!(&over, Ending::Over(words) if words.contains("ended on 2027-04-15")), "{over:?}");
        assert!(over.words().contains("without a restart"), "{over:?}");
    }
}
