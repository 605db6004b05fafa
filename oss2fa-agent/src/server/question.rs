//! A question to the server: one request, which may be sent more than once and is done once.

use data_encoding::HEXLOWER;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_core::secret::SecretText;
use reqwest::Method;
use serde_json::Value;

/// One request. What changes something has a key, made once: however often it is sent, and to whichever server,
/// it is done once and has one answer.
pub struct Question {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<SecretText>,
    pub(super) key: Option<String>,
}

impl Question {
    /// Reads something.
    #[must_use]
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: None, key: None }
    }

    /// Spends or makes something.
    ///
    /// # Errors
    /// [`NoRandomness`]: without a key of its own nothing is sent.
    pub fn post(path: String, body: &Value, random: &dyn Random) -> Result<Self, NoRandomness> {
        Self::change(Method::POST, path, Some(body), random)
    }

    /// Changes something that is there.
    ///
    /// # Errors
    /// As [`Question::post`].
    pub fn patch(path: String, body: &Value, random: &dyn Random) -> Result<Self, NoRandomness> {
        Self::change(Method::PATCH, path, Some(body), random)
    }

    /// Takes something away.
    ///
    /// # Errors
    /// As [`Question::post`].
    pub fn delete(path: String, random: &dyn Random) -> Result<Self, NoRandomness> {
        Self::change(Method::DELETE, path, None, random)
    }

    fn change(
        method: Method,
        path: String,
        body: Option<&Value>,
        random: &dyn Random,
    ) -> Result<Self, NoRandomness> {
        let mut key = [0; 16];
        random.fill(&mut key)?;
        let body = body.map(|body| SecretText::new(body.to_string()));
        Ok(Self { method, path, body, key: Some(HEXLOWER.encode(&key)) })
    }
}
