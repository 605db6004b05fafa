//! Somebody who calls the server with a token.

use serde_json::Value;

use crate::server::curl::Reply;
use crate::server::node::Server;

/// A caller with its headers.
#[derive(Debug, Clone)]
pub struct Caller<'s> {
    /// Whom it calls.
    pub server: &'s Server,
    headers: Vec<String>,
}

impl Server {
    /// The default integration.
    #[must_use]
    pub fn integration(&self) -> Caller<'_> {
        self.with_token(&self.token)
    }

    /// Whoever has this integration's token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Caller<'_> {
        self.anybody().header(&format!("X-Integration-Token: {token}"))
    }

    /// The administrator with this token.
    #[must_use]
    pub fn admin(&self, token: &str) -> Caller<'_> {
        self.anybody().header(&format!("X-Admin-Token: {token}"))
    }

    /// Somebody without a token.
    #[must_use]
    pub fn anybody(&self) -> Caller<'_> {
        Caller { server: self, headers: vec!["Accept: application/json; version=1.0".to_owned()] }
    }
}

impl Caller<'_> {
    /// The header that says who it is.
    ///
    /// # Panics
    /// Where nobody is.
    #[must_use]
    pub fn token(&self) -> &str {
        self.headers.iter().find(|line| line.contains("-Token: ")).expect("a token")
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, line: &str) -> Self {
        self.headers.push(line.to_owned());
        self
    }

    /// The same caller at another node.
    #[must_use]
    pub fn at<'s>(&self, server: &'s Server) -> Caller<'s> {
        Caller { server, headers: self.headers.clone() }
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &Value::Null)
    }

    /// POST of this JSON; `null` is no body.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body)
    }

    /// PATCH.
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send("PATCH", path, body)
    }

    /// PUT.
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &Value::Null)
    }

    /// Any method.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.try_send(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.server.log()))
    }

    /// Any method, where a server that does not answer is no failure.
    ///
    /// # Errors
    /// Curl's words.
    pub fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Reply, String> {
        let mut headers: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !text.is_empty() {
            headers.push("Content-Type: application/json");
        }
        self.server.try_curl(method, path, &headers, &text)
    }
}
