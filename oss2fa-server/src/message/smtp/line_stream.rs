//! A connection that hands over at most one line at a time.
//!
//! What a mail server sends behind its answer to STARTTLS belongs to TLS. A reader that takes more than one line
//! would keep it, and take it for the first answer under TLS: somebody on the way could then put answers in
//! (CVE-2011-0411 and its kin). Read line by line, such bytes meet the TLS handshake, which fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest line in bytes. RFC 5321 section 4.5.3.1.5 allows 512; what TLS sends has a line end by chance
/// far sooner than here.
const LONGEST_LINE: usize = 64 * 1024;

/// A TCP connection; under TLS, too, it is only a little slower than one that reads more at once.
#[derive(Debug)]
pub(super) struct LineStream {
    stream: TcpStream,
    /// Bytes since the last line end: a line without one would be read until the memory is full.
    unended: usize,
}

impl LineStream {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unended: 0 }
    }
}

impl AsyncRead for LineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; 2048];
        let room = space.len().min(buffer.remaining());
        let Some(space) = space.get_mut(..room) else { return Poll::Ready(Ok(())) };
        let mut ahead = ReadBuf::new(space);
        ready!(self.stream.poll_peek(context, &mut ahead))?;
        let seen = ahead.filled();
        let line = seen.iter().position(|byte| *byte == b'\n').map_or(seen.len(), |at| at + 1);
        let Some(space) = space.get_mut(..line) else { return Poll::Ready(Ok(())) };
        let mut part = ReadBuf::new(space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let ended = part.filled().ends_with(b"\n");
        buffer.put_slice(part.filled());
        self.unended = if ended { 0 } else { self.unended + line };
        if self.unended > LONGEST_LINE {
            return Poll::Ready(Err(io::Error::other("it sent a line without an end")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for LineStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
