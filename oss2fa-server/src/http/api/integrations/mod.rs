//! Integrations, for administrators.

pub mod create;
pub mod list;
pub mod read;
pub mod remove;
pub mod rotate_token;

use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::ids::TenantId;
use crate::service::credential::Credentials;
use crate::store::verbs::integrations::Integration;

/// In which tenant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Where {
    /// Number of the tenant. The owner of the server has to name it; others have one.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    pub tenant: Option<TenantId>,
}

/// An integration with what proves it, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct WithCredentials {
    /// The integration.
    #[serde(flatten)]
    integration: Integration,
    /// For X-Integration-Token.
    #[schema(value_type = String)]
    token: SecretText,
    /// The password for Basic; the user is the access key.
    #[schema(value_type = String)]
    secret_key: SecretText,
}

impl WithCredentials {
    /// To be shown once.
    #[must_use]
    pub fn of((integration, credentials): (Integration, Credentials)) -> Self {
        let Credentials { token, secret_key, .. } = credentials;
        Self { integration, token, secret_key }
    }
}
