//! One connection: its handshake, its HTTP, its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;

use super::control::{Control, Order, Streaming};
use super::{ClientSocket, Transport};

/// The head of a request may have this many bytes, and so may what HTTP/1.1 reads at once.
const LARGEST_HEAD: usize = 16 * 1024;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 128;

/// Bytes that a stranger may send on an HTTP/2 stream, and on all of a connection, before a handler reads them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// What all connections share.
pub(super) struct Shared {
    http: auto::Builder<TokioExecutor>,
    transport: Transport,
    app: Router,
    handshake_timeout: Duration,
}

impl Shared {
    pub(super) fn new(transport: Transport, app: Router, handshake_timeout: Duration) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .keep_alive(true)
            .max_buf_size(LARGEST_HEAD)
            // As the API's document writes them; names of headers have no case (RFC 9110 section 5.1).
            .title_case_headers(true)
            // hyper's own limit makes a timer for each request. `Control` does the same for less, and covers
            // what hyper's does not: silence before the first byte, and HTTP/2.
            .header_read_timeout(None);
        http.http2()
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        // Now, and not again for each request.
        let app = app.with_state(());
        Self { http, transport, app, handshake_timeout }
    }

    /// Serves the connection until it ends.
    pub(super) async fn connection(&self, stream: TcpStream, peer: SocketAddr, control: Arc<Control>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection has gone");
            return;
        }
        match &self.transport {
            Transport::Plain => self.http(stream, peer, control).await,
            Transport::Tls(tls) => match timeout(self.handshake_timeout, tls.acceptor.accept(stream)).await {
                Ok(Ok(stream)) => self.http(stream, peer, control).await,
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            },
        }
    }

    async fn http<I>(&self, stream: I, peer: SocketAddr, control: Arc<Control>)
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let service =
            service_fn(|request| answer(self.app.clone(), ClientSocket(peer), Arc::clone(&control), request));
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut doing = None;
        let ended = poll_fn(|context| {
            if doing.is_none() {
                control.attach(context.waker());
            }
            let order = control.order();
            if doing.replace(order) != Some(order) && order != Order::Serve {
                connection.as_mut().graceful_shutdown();
            }
            match connection.as_mut().poll(context) {
                // What could be said in farewell was said. The peer is not waited for any longer.
                Poll::Pending if order == Order::Leave => Poll::Ready(Ok(())),
                polled => polled,
            }
        })
        .await;
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke off");
        }
    }
}

async fn answer(
    mut app: Router,
    peer: ClientSocket,
    control: Arc<Control>,
    request: hyper::Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let running = control.begin();
    // An empty body costs no allocation, one that must be read costs one.
    let mut request: Request =
        request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
    request.extensions_mut().insert(peer);
    // A router is always ready.
    let response = app.call(request).await?;
    // What is there as a whole takes the client's time alone: whoever does not read it is soon a quiet one.
    let stream = response.body().size_hint().exact().is_none().then(|| control.stream());
    drop(running);
    Ok(response.map(|body| Answer { body, stream }))
}

/// The body of an answer.
struct Answer {
    body: Body,
    stream: Option<Streaming>,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, stream } = &mut *self;
        let Some(stream) = stream else { return Pin::new(body).poll_frame(context) };
        stream.wanted();
        let polled = Pin::new(body).poll_frame(context);
        if polled.is_ready() {
            stream.made();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
