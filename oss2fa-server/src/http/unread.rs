//! What a refusal has not read of a request's body is read here and forgotten, so that the connection can go
//! on: hyper would close it, and a client that sends its next request meanwhile learns nothing of its fate. Of
//! HTTP/2 it would reset the stream, and curl then throws away the answer that it has just received.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// Many clients look at the answer only when they have sent all: so much is read that was refused as too large.
const MOST: u64 = 1024 * 1024;

/// A body comes right behind its head. Whoever takes longer after a refusal loses the connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// A body that is lent, and what is to be done with the rest of it.
pub struct Rest {
    body: Lent,
    has_streams: bool,
    /// Who waits for leave to send the body does not get it by our reading.
    waits: bool,
}

/// Lends the body to the rest of the server, where there is one.
pub fn lend(request: Request) -> (Request, Option<Rest>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let has_streams = request.version() > Version::HTTP_11;
    let waits = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let request = Request::from_parts(parts, Body::new(Lent(Arc::clone(&body))));
    (request, Some(Rest { body: Lent(body), has_streams, waits }))
}

impl Rest {
    /// Reads what was left of the body, up to a mebibyte. Where there is more, the answer says that the connection
    /// ends (RFC 9112 section 9.6); HTTP/2 ends the stream alone.
    pub async fn drain(self, response: &mut Response) {
        let Self { body, has_streams, waits } = self;
        if response.headers().contains_key(header::CONNECTION) || body.is_end_stream() {
            return;
        }
        // Apart: hardly any body is left unread.
        let reading = Box::pin(tokio::time::timeout(PATIENCE, read_all(body)));
        let gone = !waits && reading.await.unwrap_or(false);
        if !gone && !has_streams {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Whether all of it was read.
async fn read_all(mut rest: Lent) -> bool {
    let mut read = 0;
    while rest.size_hint().lower() <= MOST - read {
        match rest.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                read += frame.data_ref().map_or(0, |data| data.len() as u64);
                if read > MOST {
                    return false;
                }
            }
        }
    }
    false
}

/// The body while somebody else has it.
struct Lent(Arc<Mutex<Body>>);

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
