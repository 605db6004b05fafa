//! The server's answer to a question, whole and bounded.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::fault::Fault;

/// Status and body. The body can hold secrets of a device that is being enrolled.
pub struct Answer {
    status: u16,
    client: Option<i64>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(super) fn new(status: u16, client: Option<i64>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { status, client, body }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The number of the client, where the answer's head names one.
    pub(super) fn client(&self) -> Option<i64> {
        self.client
    }

    /// The body, where the status is the one that it comes with.
    pub(super) fn body<T: DeserializeOwned>(&self, status: u16) -> Result<T, Fault> {
        if self.status != status {
            return Err(Fault::of(self));
        }
        serde_json::from_slice(&self.body).map_err(|error| Fault::strange(&error.to_string()))
    }

    /// The server's words for what is wrong, for people.
    pub(super) fn error_message(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Head {
            error: Words,
        }
        #[derive(Deserialize)]
        struct Words {
            message: String,
        }
        serde_json::from_slice::<Head>(&self.body).ok().map(|head| crate::source::clean(&head.error.message))
    }

    /// The server's stable word for what is wrong; empty where it gave none.
    pub(super) fn error_code(&self) -> &str {
        // Borrowed, since it is compared and forgotten.
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            error: Word<'a>,
        }
        #[derive(Deserialize)]
        struct Word<'a> {
            code: &'a str,
        }
        serde_json::from_slice::<Head<'_>>(&self.body).map_or("", |head| head.error.code)
    }
}
