//! Offline credentials: one-time codes that hosts check by themselves.

pub mod create;
pub mod list;
pub mod revoke;

use crate::http::error::ApiError;
use crate::ids::HostName;
use crate::service::refusal::Refusal;

/// Reads the name of a host.
///
/// # Errors
/// 422 for a name that none has.
fn host(written: &str) -> Result<HostName, ApiError> {
    HostName::parse(written).map_err(|error| Refusal::BadName(error.to_string()).into())
}
