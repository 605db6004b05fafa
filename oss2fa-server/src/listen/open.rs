//! The connections that are open, as the accept loop keeps them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, Interval, timeout};

use super::Drained;
use super::connection::Shared;
use super::control::{Control, Stage};
use super::per_address::{Crowded, Seat, Seats};

/// All of them. Dropping it closes them.
pub(super) struct Open {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
    known: HashMap<Id, Known>,
    patience: Patience,
    seats: Seats,
}

/// How long a client may do nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Ask for nothing, or not take an answer that is there as a whole.
    pub(super) quiet: Duration,
    /// Not take the next part of an answer that is made bit by bit.
    pub(super) stream: Duration,
}

struct Known {
    seat: Seat,
    control: Arc<Control>,
    handle: AbortHandle,
    // At `quiet_since`, so many requests had begun and none was under way.
    begun: u64,
    quiet_since: Instant,
}

impl Open {
    pub(super) fn new(shared: Shared, patience: Patience, seats: Seats) -> Self {
        Self { shared: Arc::new(shared), tasks: JoinSet::new(), known: HashMap::new(), patience, seats }
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Serves it; or closes it, where its address has as many as it may.
    pub(super) fn add(&mut self, stream: TcpStream, peer: SocketAddr) -> Result<(), Crowded> {
        let seat = self.seats.take(peer.ip()).inspect_err(|Crowded| {
            metrics::counter!("oss2fa_connections_refused_total").increment(1);
        })?;
        let control = Arc::new(Control::default());
        let (shared, its) = (Arc::clone(&self.shared), Arc::clone(&control));
        // Before its task runs: that may read the figures at once, on another thread.
        metrics::gauge!("oss2fa_connections").increment(1.0);
        let handle = self.tasks.spawn(async move { shared.connection(stream, peer, its).await });
        let known = Known { seat, control, begun: 0, quiet_since: Instant::now(), handle };
        self.known.insert(known.handle.id(), known);
        Ok(())
    }

    /// Waits for one to end; `None` where there is none. May be cancelled.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => {
                log_panic(error);
                error.id()
            }
        };
        if let Some(known) = self.known.remove(&id) {
            self.seats.leave(known.seat);
        }
        metrics::gauge!("oss2fa_connections").decrement(1.0);
        Some(())
    }

    /// Closes those on which nothing was asked, or taken, for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        for known in self.known.values_mut() {
            let begun = known.control.begun();
            // A handshake has a limit of its own.
            let quiet =
                begun == known.begun && !known.control.is_busy() && known.control.stage() == Stage::Http;
            let at_most =
                if known.control.is_streaming() { self.patience.stream } else { self.patience.quiet };
            if !quiet {
                known.begun = begun;
                known.quiet_since = now;
            } else if now.duration_since(known.quiet_since) >= at_most {
                known.control.ask_to_leave();
            }
        }
    }

    /// Lets requests under way end, at most for `grace`; then closes what is left.
    pub(super) async fn drain(mut self, grace: Duration, mut sweeps: Interval) -> Drained {
        for known in self.known.values() {
            if known.control.ask_to_finish() == Stage::Handshake {
                known.handle.abort();
            }
        }
        let before = self.len();
        let all_ended = async {
            loop {
                tokio::select! {
                    ended = self.ended() => if ended.is_none() { break },
                    now = sweeps.tick() => self.sweep(now),
                }
            }
        };
        let _ = timeout(grace, all_ended).await;
        let cut = self.len();
        self.tasks.shutdown().await;
        Drained { finished: before.saturating_sub(cut), cut }
    }
}

fn log_panic(error: &JoinError) {
    if error.is_panic() {
        tracing::error!(code = "connection_panic", %error, "a connection was closed by a fault of this program");
    }
}
