//! Enrollments: bringing a client and their device in.

pub mod complete;
pub mod create;
pub mod prepare_device;
pub mod read;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::outside::Timestamp;
use crate::service::enrollment::Shown;

/// An enrollment as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct Enrollment {
    /// Its number.
    pub pk: i64,
    /// Number of the kind of device, once it was chosen.
    pub device_selection: Option<i64>,
    /// Who is enrolled.
    pub username: String,
    /// 1 new, 2 in progress, 3 complete, 4 failed, 5 expired.
    pub status: i64,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: Timestamp,
    /// What the owner of the device needs: for TOTP and HOTP `provisioning_uri` and `qr_code`, for e-mail and
    /// SMS the masked `address`, for recovery codes `codes`, for FIDO2 and U2F `publicKey`, the options of
    /// `navigator.credentials.create`.
    #[schema(value_type = Option<Object>)]
    pub public_details: Option<Value>,
}

impl From<Shown> for Enrollment {
    fn from(shown: Shown) -> Self {
        let Shown { enrollment, device_selection, public_details } = shown;
        Self {
            pk: enrollment.pk.0,
            device_selection,
            username: enrollment.username.as_str().to_owned(),
            status: enrollment.status,
            created_at: enrollment.created_at,
            expires_at: enrollment.expires_at,
            public_details,
        }
    }
}
