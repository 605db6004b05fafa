//! A client's devices at the server, for the command line.

use std::time::Instant;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::decide::{RemoteKind, no_key};
use super::{Fault, Question, Server};

/// A device as the server lists it.
#[derive(Debug, Clone, Deserialize)]
pub struct ListedDevice {
    /// Its number.
    pub pk: i64,
    /// What kind it is.
    pub kind: RemoteKind,
    /// What its owner calls it.
    pub name: String,
    /// The masked address that its codes are sent to.
    pub address: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it was last used.
    pub last_used_at: Option<String>,
}

/// Whether what was to be changed was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is changed.
    Yes,
    /// There is no such thing.
    NotThere,
}

#[derive(Deserialize)]
struct Page<T> {
    results: Vec<T>,
}

#[derive(Deserialize)]
struct Client {
    pk: i64,
}

impl Server {
    /// The number of the client of this name; `None` where the server has none.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn client(&self, username: &str, deadline: Instant) -> Result<Option<i64>, Fault> {
        let name = utf8_percent_encode(username, NON_ALPHANUMERIC);
        let question = Question::get(format!("/integrations/clients?username={name}"));
        let page: Page<Client> = self.ask(question, deadline)?.body(200)?;
        Ok(page.results.first().map(|client| client.pk))
    }

    /// The devices of a client.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn devices(&self, client: i64, deadline: Instant) -> Result<Vec<ListedDevice>, Fault> {
        self.ask(Question::get(format!("/integrations/clients/{client}/devices")), deadline)?.body(200)
    }

    /// Removes a device.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn remove_device(&self, client: i64, device: i64, deadline: Instant) -> Result<Changed, Fault> {
        let path = format!("/integrations/clients/{client}/devices/{device}");
        let answer =
            self.ask(Question::delete(path, self.random()).map_err(|error| no_key(&error))?, deadline)?;
        match answer.status() {
            204 => Ok(Changed::Yes),
            404 => Ok(Changed::NotThere),
            _ => Err(Fault::of(&answer)),
        }
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// A [`Fault`].
    pub fn rename_device(
        &self,
        client: i64,
        device: i64,
        name: &str,
        deadline: Instant,
    ) -> Result<Changed, Fault> {
        let path = format!("/integrations/clients/{client}/devices/{device}");
        let question = Question::patch(path, &json!({ "name": name }), self.random());
        let answer = self.ask(question.map_err(|error| no_key(&error))?, deadline)?;
        match answer.status() {
            200 => Ok(Changed::Yes),
            404 => Ok(Changed::NotThere),
            _ => Err(Fault::of(&answer)),
        }
    }
}
