//! JSON lines that are made as fast as they are taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Frame;
use tokio::sync::mpsc::{Receiver, channel};

use crate::service::Service;
use crate::service::audit::{AuditSearch, stream};
use crate::store::audit::AuditEntry;
use crate::store::error::StoreError;

/// The events as they come out of the store; one lot waits while another is being sent.
struct Lines(Receiver<Result<Vec<AuditEntry>, StoreError>>);

impl HttpBody for Lines {
    type Data = Bytes;
    type Error = StoreError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StoreError>>> {
        self.0.poll_recv(context).map(|read| {
            let lines = read?.and_then(|entries| written(&entries));
            if let Err(error) = &lines {
                // The answer breaks off, so that nobody takes it for the whole.
                tracing::error!(code = "store", %error, "an audit was not streamed to its end");
            }
            Some(lines.map(Frame::data))
        })
    }
}

fn written(entries: &[AuditEntry]) -> Result<Bytes, StoreError> {
    let mut lines = Vec::with_capacity(entries.len() * 256);
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)
            .map_err(|_| StoreError::Corrupt("an event that cannot be written"))?;
        lines.push(b'\n');
    }
    Ok(lines.into())
}

/// All the events, a line for each.
pub(super) fn lines(service: &Service, search: AuditSearch) -> Response {
    let (sender, receiver) = channel(1);
    tokio::spawn(stream(Arc::clone(&service.store), search, sender));
    let mut response = Response::new(Body::new(Lines(receiver)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
