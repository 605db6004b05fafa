//! Kinds of devices, and devices as they are shown.

pub mod kinds;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::device::{Description, Kinds};
use crate::outside::Timestamp;
use crate::store::verbs::clients::Device;

/// What a device answers, for the documentation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DeviceToken {
    /// The code that it shows, or that was sent.
    #[schema(example = "123456")]
    Code(String),
    /// FIDO2 and U2F: what the browser gave for the options, by its `toJSON()`.
    #[schema(value_type = Object)]
    Credential(Value),
}

/// A device as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownDevice {
    /// Its number.
    pub pk: i64,
    /// Its kind.
    pub kind: Description,
    /// What its owner calls it.
    pub name: String,
    /// A masked address, for kinds that have one.
    pub address: Option<String>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Timestamp>,
}

impl ShownDevice {
    /// Of a stored one; none of a kind that this release does not have.
    #[must_use]
    pub fn of(device: Device, kinds: &Kinds) -> Option<Self> {
        Some(Self {
            kind: kinds.named(&device.kind)?.description(),
            pk: device.pk.0,
            name: device.name,
            address: device.shown,
            created_at: device.created_at,
            last_used_at: device.last_used_at,
        })
    }
}
