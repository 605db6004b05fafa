//! Requests by the real `curl`, and what came back, byte for byte.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::server::node::Server;

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers, as they came, each line without its end.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Server {
    /// One request. `headers` as curl takes them; an empty body is none.
    ///
    /// # Panics
    /// Where no answer came, with curl's words.
    pub fn curl(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Reply {
        self.try_curl(method, path, headers, body).unwrap_or_else(|error| {
            panic!("{method} {path}: {error}\n{}", self.log());
        })
    }

    /// The same, where a server that does not answer is no failure.
    ///
    /// # Errors
    /// Curl's words.
    pub fn try_curl(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Result<Reply, String> {
        self.curl_with(&[], method, path, headers, body)
    }

    /// The same, with more words for curl.
    ///
    /// # Errors
    /// Curl's words.
    pub fn curl_with(
        &self,
        options: &[&str],
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Result<Reply, String> {
        let mut command = self.command("/usr/bin/curl");
        // Without `Expect`, which curl adds to large bodies: an interim answer would come first.
        command.args(["-q", "--silent", "--show-error", "--include", "--path-as-is", "--header", "Expect:"]);
        command.args(["--http1.1", "--max-time", "60", "--request", method]);
        if self.url.starts_with("https") {
            command.arg("--cacert").arg(self.ca());
        }
        for header in headers {
            command.args(["--header", header]);
        }
        if !body.is_empty() {
            command.args(["--data-binary", "@-"]);
        }
        if method == "HEAD" {
            command.arg("--head");
        }
        command.args(options).arg(format!("{}{path}", self.url));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut curl = command.spawn().expect("curl");
        // A server that refuses early is no failure of the harness.
        let _ended = curl.stdin.take().unwrap().write_all(body.as_bytes());
        let output = curl.wait_with_output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Ok(Reply::parse(&output.stdout))
    }
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the headers");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let head: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// Value of a header, its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.iter().skip(1).filter_map(|line| line.split_once(':'));
        pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The stable code of an error; empty where the answer is none.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The same reply.
    ///
    /// # Panics
    /// Where it has another status.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Looks that it is a refusal with this status and this code, and a sentence.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{self}");
        let message = self.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.split(' ').count() > 3, "a sentence: {self}");
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n\n{}", self.head.join("\n"), self.text())
    }
}
