//! Who logs in where: shown to whoever approves, never trusted.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::source::clean;

/// The binding context of a login, and whose it is.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// The account's canonical name.
    pub username: String,
    /// Where the login comes from, where the program gave an address: what locks count by.
    pub address: Option<IpAddr>,
    /// This host.
    pub host: String,
    /// The PAM service, or `cli`.
    pub service: String,
    /// The terminal.
    pub tty: Option<String>,
    /// The remote host as the program spells it.
    pub remote_host: Option<String>,
    /// The name of the program that asks.
    pub program: Option<String>,
}

impl Binding {
    /// The body of a question about this login, with these fields more.
    pub(super) fn body(&self, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
        let mut context = Map::new();
        let texts = [
            ("host", Some(&self.host)),
            ("service", Some(&self.service)),
            ("tty", self.tty.as_ref()),
            ("remote_host", self.remote_host.as_ref()),
            ("program", self.program.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text.map(|text| clean(text)).filter(|text| !text.is_empty()) {
                context.insert(name.to_owned(), Value::String(text));
            }
        }
        if let Some(address) = self.address {
            context.insert("address".to_owned(), Value::String(address.to_string()));
        }
        let mut body = Map::new();
        body.insert("username".to_owned(), Value::String(self.username.clone()));
        body.insert("binding_context".to_owned(), Value::Object(context));
        body.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(body)
    }
}
