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
use crate::store::verbs::challenges::Challenge as KeptChallenge;
use crate::whereabouts::Whereabouts;

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
    /// Where the client is, as the application said; null where it said nothing that is shown.
    pub binding_context: Option<ShownContext>,
    /// What the client needs to answer: for e-mail and SMS the masked `address`, for FIDO2 and U2F `publicKey`, the
    /// options of `navigator.credentials.get`.
    #[schema(value_type = Option<Object>)]
    pub public_details: Option<Value>,
}

/// What is shown of a binding context. Parts that were not said are left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownContext {
    /// The address that locks and policy go by.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    address: String,
    /// Host, service, terminal, remote host, program: for people.
    #[serde(flatten)]
    whereabouts: Whereabouts,
}

impl ShownContext {
    fn of(challenge: &KeptChallenge) -> Option<Self> {
        let shown = Self { address: challenge.source.clone(), whereabouts: challenge.whereabouts.clone() };
        let says_something = !shown.address.is_empty() || shown.whereabouts != Whereabouts::default();
        says_something.then_some(shown)
    }
}

impl From<Shown> for Challenge {
    fn from(shown: Shown) -> Self {
        let Shown { challenge, public_details } = shown;
        let binding_context = ShownContext::of(&challenge);
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
            binding_context,
            public_details,
        }
    }
}
