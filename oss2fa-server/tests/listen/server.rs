//! A server with a few routes, on a port of its own, in a runtime of its own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::StreamExt;
use futures_util::stream::repeat_with;
use oss2fa_server::listen::{
    ClientSocket, Drained, ListenLimits, PairFiles, PerAddress, Tls, Transport, bind, self_signed, serve,
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// What the server is started with.
pub(crate) struct Setup {
    pub(crate) address: &'static str,
    pub(crate) limits: ListenLimits,
    pub(crate) look_every: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0",
            limits: ListenLimits {
                connections: 10_000,
                per_address: PerAddress { most: 10_000, exempt: Vec::new() },
                request_timeout: Duration::from_secs(30),
                stream_timeout: Duration::from_secs(30),
                handshake_timeout: Duration::from_secs(10),
                stop_grace: Duration::from_secs(10),
            },
            look_every: Duration::from_millis(50),
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Drained>,
}

impl Server {
    pub(crate) fn plain(setup: Setup) -> Self {
        Self::start(None, setup)
    }

    pub(crate) fn tls(files: &PairFiles, setup: Setup) -> Self {
        Self::start(Some(Tls::open(files.clone()).unwrap()), setup)
    }

    fn start(tls: Option<Tls>, setup: Setup) -> Self {
        logs();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                // From here on the signal kills no test, whoever waits for it.
                let _hangups = signal(SignalKind::hangup()).unwrap();
                let listener = bind(setup.address.parse().unwrap()).unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                if let Some(tls) = &tls {
                    tokio::spawn(tls.resolver().watch(setup.look_every));
                }
                let transport = tls.map_or(Transport::Plain, Transport::Tls);
                // A test that fails drops the sender.
                let shutdown = async { drop(stopped.await) };
                serve(listener, transport, app(), setup.limits, shutdown).await
            })
        });
        Self { address: told.recv().unwrap(), stop, thread }
    }

    pub(crate) fn url(&self, scheme: &str, path: &str) -> String {
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// Asks it to stop, without waiting.
    pub(crate) fn stopping(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.thread
    }

    pub(crate) fn stop(self) -> Drained {
        self.stopping().join().unwrap()
    }
}

fn app() -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello" }))
        .route(
            "/peer",
            get(|Extension(ClientSocket(peer)): Extension<ClientSocket>| async move { peer.to_string() }),
        )
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_secs(4)).await;
                "done"
            }),
        )
        .route("/never", get(std::future::pending::<&'static str>))
        .route(
            "/flood",
            get(|| async { Body::from_stream(repeat_with(|| Ok::<_, Infallible>(vec![0; 65_536]))) }),
        )
        .route("/drip", get(|| async { Body::from_stream(repeat_with(|| ()).take(3).then(drip)) }))
        .route("/echo", post(|body: axum::body::Bytes| async move { body }))
        .layer(DefaultBodyLimit::disable())
}

/// A part that takes its time.
async fn drip((): ()) -> Result<&'static str, Infallible> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok("drip ")
}

/// A folder with the server's own certificate.
pub(crate) struct OwnPair {
    pub(crate) folder: TempDir,
    pub(crate) files: PairFiles,
}

impl OwnPair {
    pub(crate) fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = self_signed::pair(folder.path(), "auth.example.com", now()).unwrap();
        Self { folder, files }
    }

    pub(crate) fn certificate(&self) -> &str {
        text(&self.files.certificate)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the peers read the real clock too")]
pub(crate) fn now() -> OffsetDateTime {
    std::time::SystemTime::now().into()
}

/// What was logged, by all tests of this process.
pub(crate) fn logs() -> String {
    static LOGS: OnceLock<()> = OnceLock::new();
    LOGS.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| Lines)
            .init();
    });
    String::from_utf8(LINES.lock().unwrap().clone()).unwrap()
}

/// The logged lines that hold both.
pub(crate) fn logged(code: &str, about: &Path) -> Vec<String> {
    let about = text(about);
    logs()
        .lines()
        .filter(|line| line.contains(&format!("code=\"{code}\"")) && line.contains(about))
        .map(str::to_owned)
        .collect()
}

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
