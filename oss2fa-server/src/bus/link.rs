//! One connection to the broker, from the first packet to the last.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::tcp::AsyncTcpStream;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::lost::Lost;
use super::target::Target;

/// How long it takes at most to reach the broker, and then until it has let us in.
const OPEN: Duration = Duration::from_secs(10);

/// How long it takes at most to say goodbye.
const CLOSE: Duration = Duration::from_secs(3);

/// What the broker's list of connections has for a name.
const NAME: &str = "oss2fa-server";

/// An open connection. However it ends, its socket ends with it: the library's thread would otherwise wait for
/// a broker that says nothing.
pub(super) struct Link {
    pub(super) connection: Connection,
    _socket: Shut,
}

/// A second handle of the socket, once there is one.
type Socket = Arc<Mutex<Option<TcpStream>>>;

/// Shuts the socket down when it is dropped.
struct Shut(Socket);

impl Drop for Shut {
    fn drop(&mut self) {
        if let Some(socket) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Fails where it is closed already.
            let _closed = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Link {
    pub(super) async fn open(target: &Target) -> Result<Self, Lost> {
        let runtime = lapin::runtime::default_runtime()?;
        let properties = ConnectionProperties::default().with_connection_name(NAME.into());
        let shut = Shut(Socket::default());
        let (socket, tls, reactor) = (Arc::clone(&shut.0), target.tls.clone(), runtime.clone());
        let connect = async move |uri: AMQPUri, _| {
            let host = uri.authority.host.as_str();
            let reached = async {
                let addresses: Vec<_> = lookup_host((host, uri.authority.port)).await?.collect();
                let stream = AsyncTcpStream::connect(&reactor, addresses).await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    keep(&socket, stream.get_ref())?;
                }
                match &tls {
                    Some(connector) => stream.into_rustls(connector, host).await,
                    None => Ok(stream),
                }
            };
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection within 10 s");
            Ok(timeout(OPEN, reached).await.map_err(late)??)
        };
        let opened = Connection::connector(target.uri.clone(), runtime, connect, properties);
        let connection = timeout(2 * OPEN, opened)
            .await
            .map_err(|_| Lost::Slow { step: "the broker's greeting", limit: 2 * OPEN })??;
        Ok(Self { connection, _socket: shut })
    }

    /// Says goodbye, where the broker still listens.
    pub(super) async fn close(self) {
        let _said = timeout(CLOSE, self.connection.close(200, "stopped".into())).await;
    }
}

fn keep(socket: &Socket, of: &impl AsFd) -> io::Result<()> {
    let stream = TcpStream::from(of.as_fd().try_clone_to_owned()?);
    *socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    Ok(())
}
