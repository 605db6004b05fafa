//! Offline credentials: that they exist, and which of them were revoked. Their secrets never leave the host.

use std::collections::BTreeMap;
use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::decide::no_key;
use super::{Fault, Question, Server};

/// What came of telling the server of a new one.
#[derive(Debug, PartialEq, Eq)]
pub enum Registered {
    /// The server lists it, under this number.
    Listed(i64),
    /// The server does not: why, for people.
    Refused(&'static str),
}

/// Whether a credential still counts at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialStatus {
    /// It does.
    Active,
    /// It was revoked, or its owner was.
    Revoked,
}

#[derive(Deserialize)]
struct Credential {
    pk: i64,
    status: CredentialStatus,
}

#[derive(Deserialize)]
struct Page {
    results: Vec<Credential>,
    next: Option<i64>,
}

impl Server {
    /// Tells the server of a credential of this host.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn register_offline(
        &self,
        username: &str,
        name: &str,
        deadline: Instant,
    ) -> Result<Registered, Fault> {
        let body = json!({ "username": username, "host": self.config().host, "name": name });
        let answer = self.ask(self.post("/integrations/offline-credentials", &body)?, deadline)?;
        match answer.status() {
            404 => Ok(Registered::Refused("the server has no such user: enrol a device there first")),
            409 => Ok(Registered::Refused(
                "the server lists one of that name for this user and host already, or as many as it takes: remove one",
            )),
            _ => {
                let Credential { pk, .. } = answer.body(201)?;
                Ok(Registered::Listed(pk))
            }
        }
    }

    /// All credentials of this host that the server lists, with what became of them.
    ///
    /// # Errors
    /// A [`Fault`]: nothing may be concluded from half a list.
    pub fn offline_credentials(
        &self,
        patience: std::time::Duration,
    ) -> Result<BTreeMap<i64, CredentialStatus>, Fault> {
        let host = utf8_percent_encode(&self.config().host, NON_ALPHANUMERIC).to_string();
        let (mut all, mut after) = (BTreeMap::new(), None::<i64>);
        loop {
            let cursor = after.map(|pk| format!("&cursor={pk}")).unwrap_or_default();
            let path = format!("/integrations/offline-credentials?host={host}&limit=100{cursor}");
            let page: Page = self.ask(Question::get(path), Instant::now() + patience)?.body(200)?;
            all.extend(page.results.into_iter().map(|credential| (credential.pk, credential.status)));
            match page.next.filter(|next| after.is_none_or(|before| *next > before)) {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Takes one off the list.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn revoke_offline(&self, pk: i64, deadline: Instant) -> Result<(), Fault> {
        let path = format!("/integrations/offline-credentials/{pk}");
        let answer =
            self.ask(Question::delete(path, self.random()).map_err(|error| no_key(&error))?, deadline)?;
        match answer.status() {
            204 | 404 => Ok(()),
            _ => Err(Fault::of(&answer)),
        }
    }
}
