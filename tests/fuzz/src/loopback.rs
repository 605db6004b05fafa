//! The other side of a connection that the server makes: it sends what it has, and takes note of what it hears.

use std::future::Future;
use std::sync::OnceLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

/// Somebody who listens on this machine, for one connection after another.
pub(crate) struct Loopback {
    runtime: Runtime,
    listener: TcpListener,
    pub(crate) port: u16,
}

/// When the answer is sent.
pub(crate) enum Sent {
    /// At once, whatever is said: all answers of a conversation, one behind the other.
    AtOnce,
    /// When something was said.
    WhenAsked,
}

impl Loopback {
    /// The one that there is.
    pub(crate) fn here() -> &'static Self {
        static HERE: OnceLock<Loopback> = OnceLock::new();
        HERE.get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            Self { runtime, listener, port }
        })
    }

    /// Lets `asking` make one connection, which hears `answer` and then its end: nobody waits for more. Comes back with
    /// what became of it, and with all that it said.
    pub(crate) fn hear<T>(&self, answer: &[u8], sent: Sent, asking: impl Future<Output = T>) -> (T, Vec<u8>) {
        let answering = async {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut heard = Vec::new();
            // Each of these fails where whoever asks has gone: then all was heard.
            if matches!(sent, Sent::WhenAsked) {
                let _read = stream.read_buf(&mut heard).await;
            }
            let _sent = stream.write_all(answer).await;
            let _ended = stream.shutdown().await;
            let _read = stream.read_to_end(&mut heard).await;
            heard
        };
        self.runtime.block_on(async { tokio::join!(asking, answering) })
    }
}
