//! One connection after another, for as long as the server runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::types::ShortString;
use oss2fa_core::backoff::Backoff;
use tokio::sync::watch;

use super::call::Calls;
use super::link::Link;
use super::lost::Lost;
use super::session::{Session, Waiting};
use super::target::{Target, TargetError};
use crate::config::{BusConfig, UngleichOtpConfig};
use crate::outside::Clock;
use crate::service::apps::Apps;

/// Seconds of a step of RFC 6238, section 5.2.
const STEP: u32 = 30;

/// Pauses between connections, in milliseconds.
const PAUSES: Backoff = Backoff {
    free_attempts: 1,
    first_pause: 100,
    longest_pause: 15_000,
    leak_interval: None,
    forgotten_after: i64::MAX,
};

/// A connection that lasted this long was a good one: the next pause is a short one.
const GOOD: Duration = Duration::from_secs(5);

/// What the bus is made of.
pub struct Parts {
    /// Who decides.
    pub apps: Apps,
    /// The time by which tokens are checked.
    pub clock: Arc<dyn Clock>,
    /// How long calls under way get when it stops.
    pub grace: Duration,
}

/// Answers the calls of the bus.
pub struct Bus {
    calls: Arc<Calls>,
    target: Target,
    broker: String,
    prefetch: u16,
    grace: Duration,
}

impl Bus {
    /// As the sections say.
    ///
    /// # Errors
    /// What no connection can be made with.
    pub fn new(parts: Parts, section: &UngleichOtpConfig, bus: &BusConfig) -> Result<Self, TargetError> {
        let target = Target::new(bus)?;
        let exchange = ShortString::try_new(bus.exchange.clone()).map_err(|_| TargetError::Url)?;
        let calls = Calls {
            apps: parts.apps,
            clock: parts.clock,
            service: bus.service.clone(),
            exchange,
            // The token of a step is taken while that step and so many after it last.
            oldest: (u32::from(section.window) + 1) * STEP,
        };
        let (calls, broker) = (Arc::new(calls), bus.broker.clone());
        Ok(Self { calls, target, broker, prefetch: bus.prefetch, grace: parts.grace })
    }

    /// Answers calls until it is told to stop, which is when the other end of `stop` is dropped; ends when those
    /// under way are finished.
    pub async fn run(self, mut stop: watch::Receiver<()>) {
        let connected = metrics::gauge!("oss2fa_bus_connected");
        connected.set(0.0);
        let (mut failures, mut waiting) = (0, Waiting::Answer);
        loop {
            let begun = Instant::now();
            let session = tokio::select! {
                biased;
                _told = stop.changed() => return,
                session = self.connect(waiting) => session,
            };
            let why = match session {
                Err(why) => why,
                Ok(mut session) => {
                    let (broker, service) = (&self.broker, &self.calls.service);
                    tracing::info!(code = "bus_connected", broker, service, "calls of the bus are answered");
                    connected.set(1.0);
                    let taken = session.take(&mut stop).await;
                    connected.set(0.0);
                    let Err(why) = taken else {
                        session.finish(self.grace).await;
                        return tracing::info!(code = "bus_closed", broker, "the bus is closed");
                    };
                    session.close().await;
                    why
                }
            };
            failures = if begun.elapsed() >= GOOD { 1 } else { failures + 1 };
            let unreadable = why.is_for_an_unreadable_message();
            waiting = if unreadable { Waiting::Discard } else { Waiting::Answer };
            let pause = Duration::from_millis(u64::try_from(PAUSES.pause(failures)).unwrap_or_default());
            self.say(&why, pause);
            tokio::select! {
                biased;
                _told = stop.changed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn connect(&self, waiting: Waiting) -> Result<Session, Lost> {
        let link = Link::open(&self.target).await?;
        Session::begin(link, Arc::clone(&self.calls), self.prefetch, waiting).await
    }

    fn say(&self, why: &Lost, pause: Duration) {
        tracing::warn!(
            code = "bus_lost",
            broker = self.broker,
            %why,
            again_in_ms = pause.as_millis(),
            "no calls of the bus are answered; another connection is made"
        );
    }
}
