//! Requests as bytes, made before anything is measured.

use std::fmt::Write;

/// What the requests of a run have in common.
#[derive(Debug, Clone)]
pub struct Head {
    /// For the header `Host`.
    pub authority: String,
    /// From the slash on.
    pub path: String,
    /// Further headers: name and value.
    pub headers: Vec<(String, String)>,
}

/// Requests in the order they are sent. What one run leaves, the next one may take.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    next: usize,
    again: bool,
}

impl Requests {
    /// One GET, as often as it is wanted.
    #[must_use]
    pub fn get(head: &Head) -> Self {
        let mut requests = Self { again: true, ..Self::default() };
        requests.add(head.lines("GET").as_bytes(), b"");
        requests
    }

    /// The same without repeating.
    #[must_use]
    pub fn once(self) -> Self {
        Self { again: false, ..self }
    }

    /// A GET of each path, once; that of the head is not looked at.
    pub fn get_each(head: &Head, paths: impl IntoIterator<Item = String>) -> Self {
        let mut requests = Self::default();
        let mut own = head.clone();
        for path in paths {
            own.path = path;
            requests.add(own.lines("GET").as_bytes(), b"");
        }
        requests
    }

    /// A POST of each body, once.
    pub fn post(head: &Head, bodies: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut requests = Self::default();
        let lines = head.lines("POST");
        let mut own = String::new();
        for body in bodies {
            let body = body.as_ref();
            own.clone_from(&lines);
            // Writing to a string cannot fail.
            let _infallible = write!(own, "Content-Length: {}\r\n", body.len());
            requests.add(own.as_bytes(), body);
        }
        requests
    }

    fn add(&mut self, lines: &[u8], body: &[u8]) {
        for part in [lines, b"\r\n", body] {
            self.bytes.extend_from_slice(part);
        }
        self.ends.push(self.bytes.len());
    }

    /// How many are left; a repeated one counts as one.
    #[must_use]
    pub fn left(&self) -> usize {
        self.ends.len() - self.next
    }

    pub(super) fn take(&mut self) -> Option<&[u8]> {
        let end = *self.ends.get(self.next)?;
        let begin = self.next.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        if !self.again {
            self.next += 1;
        }
        self.bytes.get(begin.unwrap_or(0)..end)
    }
}

impl Head {
    fn lines(&self, method: &str) -> String {
        let mut lines = format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", self.path, self.authority);
        for (name, value) in &self.headers {
            lines.extend([name, ": ", value, "\r\n"]);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::{Head, Requests};

    fn head() -> Head {
        let headers = vec![("X-One".to_owned(), "1".to_owned())];
        Head { authority: "127.0.0.1:1".to_owned(), path: "/p".to_owned(), headers }
    }

    #[test]
    fn each_body_is_sent_once() {
        let mut requests = Requests::post(&head(), ["a=1", "b=22"]);
        let start = "POST /p HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-One: 1\r\nContent-Length: ";
        assert_eq!(requests.take().unwrap(), format!("{start}3\r\n\r\na=1").as_bytes());
        assert_eq!(requests.left(), 1);
        assert_eq!(requests.take().unwrap(), format!("{start}4\r\n\r\nb=22").as_bytes());
        assert_eq!(requests.take(), None);
    }

    #[test]
    fn a_get_is_sent_again() {
        let mut requests = Requests::get(&head());
        for _ in 0..3 {
            let sent = requests.take().unwrap();
            assert_eq!(sent, b"GET /p HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-One: 1\r\n\r\n");
        }
        let mut requests = requests.once();
        assert!(requests.take().is_some());
        assert!(requests.take().is_none());
    }
}
