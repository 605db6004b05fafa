//! One HTTP/1.1 answer (RFC 9112) in what a connection has received.

use std::io;

// A server that sends more than this for one request is not the one that is measured.
const LONGEST: usize = 1 << 20;

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// The server closes the connection after it.
    pub(super) closes: bool,
}

/// The answer, or `None` while some of it is under way.
pub(super) fn parse(received: &[u8]) -> io::Result<Option<Answer<'_>>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if received.len() > LONGEST { Err(bad("a head without an end")) } else { Ok(None) };
    };
    let (head, rest) = received.split_at(end);
    let body = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| bad("a head that is not text"))?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 ")))
        .and_then(|line| line.get(..3)?.parse().ok())
        .ok_or_else(|| bad("no status line"))?;
    let (mut length, mut closes) = (None, head.starts_with("HTTP/1.0"));
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse().map_err(|_| bad("a length that is no number"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(bad("an answer in chunks"));
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let length: usize = match (length, status) {
        (_, 204 | 304) => 0,
        (Some(length), _) => length,
        (None, _) => return Err(bad("an answer that does not say how long it is")),
    };
    if length > LONGEST || body.len() > length {
        return Err(bad("more than one answer to one request"));
    }
    Ok((body.len() == length).then_some(Answer { status, body, closes }))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::{Answer, parse};

    #[test]
    fn an_answer_is_whole_only_with_its_last_byte() {
        let bytes = b"HTTP/1.1 403 Forbidden\r\ncontent-LENGTH: 4\r\nVary: Accept\r\n\r\nno!\n";
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]).unwrap(), None, "after {cut} bytes");
        }
        let answer = Answer { status: 403, body: b"no!\n", closes: false };
        assert_eq!(parse(bytes).unwrap(), Some(answer));
    }

    #[test]
    fn the_end_of_the_connection_is_seen() {
        let closes = |bytes: &[u8]| parse(bytes).unwrap().unwrap().closes;
        assert!(closes(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
        assert!(closes(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
        assert!(!closes(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"));
        assert!(!closes(b"HTTP/1.1 204 No Content\r\n\r\n"));
    }

    #[test]
    fn what_cannot_be_measured_is_an_error() {
        for bytes in [
            &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
