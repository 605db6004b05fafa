//! Challenges: asking a client to prove a factor.

pub mod cancel;
pub mod complete;
pub mod create;
pub mod read;
pub mod resend;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::outside::Timestamp;
use crate::service::challenge::Shown;

/// A challenge as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Challenge {
    /// Its number.
    pub pk: i64,
    /// Whom it asks.
    pub username: String,
    /// On which device.
    pub device_pk: i64,
    /// The application's own word for it.
    pub reference: Option<String>,
    /// 1 new, 2 in progress, 3 complete, 4 failed, 5 expired.
    pub status: i64,
    /// Wrong tokens that it still takes.
    pub attempts_left: u32,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// When it was completed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// What the client needs to answer: for e-mail and SMS the masked `address`, for FIDO2 and U2F `publicKey`, the
    /// options of `navigator.credentials.get`.
    #[schema(value_type = Option<Object>)]
    pub public_details: Option<Value>,
}

impl From<Shown> for Challenge {
    fn from(shown: Shown) -> Self {
        let Shown { challenge, public_details } = shown;
        Self {
            pk: challenge.pk.0,
            username: challenge.username.as_str().to_owned(),
            device_pk: challenge.device.0,
            reference: challenge.reference,
            status: challenge.status,
            attempts_left: challenge.attempts_left,
            created_at: challenge.created_at,
            expires_at: challenge.expires_at,
            completed_at: challenge.completed_at,
            public_details,
        }
    }
}
