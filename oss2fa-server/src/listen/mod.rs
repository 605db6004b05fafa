//! Taking connections, and serving a router on them: plain or with TLS, HTTP/1.1 or HTTP/2.

mod certificate;
mod connection;
mod control;
mod error;
mod expiry;
mod open;
mod per_address;
mod rarely;
pub mod self_signed;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

pub use certificate::{CertificateResolver, LOOK_EVERY, PairFiles};
pub use error::ListenError;
pub use expiry::{Ending, Origin, Validity, tell as tell_of_expiry};
pub use per_address::PerAddress;
pub use tls::Tls;

use connection::Shared;
use open::{Open, Patience};
use per_address::{Crowded, Seats};
use rarely::Rarely;

/// Connections that the kernel keeps until they are accepted; it has a limit of its own, `net.core.somaxconn`.
const BACKLOG: u32 = 4096;

/// How long no connection is accepted when the system has no more descriptors or memory for one.
const PAUSE: Duration = Duration::from_millis(200);

/// What lies between a TCP connection and its HTTP.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Nothing: for loopback, or behind a proxy that ends TLS.
    Plain,
    /// TLS.
    Tls(Tls),
}

/// How much is served at once, and how long strangers are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenLimits {
    /// Open connections. Further ones wait in the kernel until one ends.
    pub connections: usize,
    /// Of these, those of one address.
    pub per_address: PerAddress,
    /// How long a connection may be open without a whole request head: before the first request, within one that
    /// does not come to its end, and between two. Making the answer is not limited by it, taking it is.
    pub request_timeout: Duration,
    /// How long the next part of an answer that is made bit by bit may wait to be taken.
    pub stream_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long requests under way may take once the server was asked to stop.
    pub stop_grace: Duration,
}

/// The peer of the TCP connection that a request came on: an extension of each request.
///
/// It is the proxy where there is one. An IPv4 address is one even when the listener is bound to `[::]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSocket(pub SocketAddr);

/// How the connections ended that were open when the server was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Ended by themselves, each request answered.
    pub finished: usize,
    /// Were closed because they took longer than the grace.
    pub cut: usize,
}

/// Binds the address; TCP connections queue from here on.
///
/// # Errors
/// [`ListenError::Bind`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bind = || -> io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // So that a restart need not wait for the connections of the last run to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().map_err(|error| ListenError::Bind { address, error })
}

/// Serves `app` on what `listener` accepts, until `shutdown` comes; then closes the listener, lets the requests
/// under way end, and closes what takes longer than the grace.
pub async fn serve(
    listener: TcpListener,
    transport: Transport,
    app: Router,
    limits: ListenLimits,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let mut shutdown = pin!(shutdown);
    let patience = Patience { quiet: limits.request_timeout, stream: limits.stream_timeout };
    let shared = Shared::new(transport, app, limits.handshake_timeout);
    let mut open = Open::new(shared, patience, Seats::new(limits.per_address.clone()));
    let mut sweeps =
        interval((limits.request_timeout / 10).clamp(Duration::from_millis(10), Duration::from_secs(1)));
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut failures, mut full, mut crowded) = (Rarely::default(), Rarely::default(), Rarely::default());
    loop {
        let has_room = open.len() < limits.connections;
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    if let Err(Crowded) = open.add(stream, peer)
                        && let Some(times) = crowded.due(Instant::now())
                    {
                        tracing::warn!(
                            code = "connections_of_address",
                            address = %peer.ip(),
                            connections = limits.per_address.most,
                            times,
                            "no more connections of this address are taken until one ends: see \
                             limits.connections_per_address; a proxy is to be named in proxy.trusted"
                        );
                    }
                    if open.len() == limits.connections
                        && let Some(times) = full.due(Instant::now())
                    {
                        tracing::warn!(
                            code = "connections_full",
                            connections = limits.connections,
                            times,
                            "no more connections are accepted until one ends: see limits.connections"
                        );
                    }
                }
                Err(error) if is_of_the_peer(&error) => tracing::debug!(%error, "a connection has gone"),
                Err(error) => {
                    if let Some(times) = failures.due(Instant::now()) {
                        tracing::error!(
                            code = "accept",
                            %error,
                            times,
                            "connections cannot be accepted: if files are too many, raise LimitNOFILE or lower \
                             limits.connections"
                        );
                    }
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = sleep(PAUSE) => {}
                    }
                }
            },
            Some(()) = open.ended() => {}
            now = sweeps.tick() => open.sweep(now),
        }
    }
    drop(listener);
    open.drain(limits.stop_grace, sweeps).await
}

fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
