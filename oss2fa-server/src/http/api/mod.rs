//! The operations: a folder for each noun, a file for each verb.

pub mod administrators;
pub mod apps;
pub mod audit;
pub mod challenges;
pub mod clients;
pub mod devices;
pub mod enrollments;
pub mod hosts;
pub mod integrations;
pub mod offline_credentials;
pub mod operations;
pub mod policy;
pub mod security_keys;
pub mod tenants;
pub mod webhooks;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::error::ApiError;
use crate::ids::{IntegrationId, TenantId, Username};
use crate::service::decision::BindingContext;
use crate::service::refusal::Refusal;
use crate::store::verbs::administrators::{Administrator, Role};
use crate::store::verbs::integrations::Integration;
use crate::whereabouts::{Part, Whereabouts, Word};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Listed<T> {
    /// What is on it.
    pub results: Vec<T>,
    /// The cursor of the next page, where there is one.
    pub next: Option<i64>,
}

impl<T> Listed<T> {
    /// From one more than are shown; `pk` gives the number of a result.
    pub fn of<U>(mut found: Vec<U>, limit: u32, pk: impl Fn(&U) -> i64, show: impl Fn(U) -> T) -> Self {
        let shown = usize::try_from(limit.saturating_sub(1)).unwrap_or(usize::MAX);
        let more = found.len() > shown;
        found.truncate(shown);
        let next = found.last().filter(|_| more).map(pk);
        Self { results: found.into_iter().map(show).collect(), next }
    }
}

/// Where a client is and what it comes with, as the application says.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The client's IP address.
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    /// A fingerprint of its browser.
    #[schema(max_length = 256)]
    fingerprint: Option<String>,
    /// The `trusted_device_token` that an earlier challenge gave for this device.
    #[schema(max_length = 256)]
    trusted_device_token: Option<String>,
    /// The host that is logged in to. This and the texts below are shown to people and written to the audit;
    /// nothing is decided by them. Each has at most 128 characters; longer ones are cut.
    #[schema(value_type = Option<String>)]
    host: Option<Word>,
    /// The service of that host, such as `sshd`.
    #[schema(value_type = Option<String>)]
    service: Option<Word>,
    /// The terminal.
    #[schema(value_type = Option<String>)]
    tty: Option<Word>,
    /// Where the login comes from, as the service calls it: a name, or an address that nothing counts by.
    #[schema(value_type = Option<String>)]
    remote_host: Option<Word>,
    /// The program that asks.
    #[schema(value_type = Option<String>)]
    program: Option<Word>,
}

/// Reads the context.
///
/// # Errors
/// 422 where a text is too long, or has control characters.
pub fn binding(context: Option<Context>) -> Result<BindingContext, ApiError> {
    let Context { address, fingerprint, trusted_device_token, host, service, tty, remote_host, program } =
        context.unwrap_or_default();
    for text in [&fingerprint, &trusted_device_token].into_iter().flatten() {
        if text.len() > 256 || text.chars().any(char::is_control) {
            let allowed = "texts of the binding context have at most 256 bytes, and no control characters";
            return Err(Refusal::Options(allowed.to_owned()).into());
        }
    }
    let whereabouts = Whereabouts::default()
        .with(Part::Host, host)
        .with(Part::Service, service)
        .with(Part::Tty, tty)
        .with(Part::RemoteHost, remote_host)
        .with(Part::Program, program);
    Ok(BindingContext { address, fingerprint, trusted_device: trusted_device_token, whereabouts })
}

/// Reads a name.
///
/// # Errors
/// 422 for a name that nothing may have.
pub fn username(written: &str) -> Result<Username, ApiError> {
    Username::parse(written).map_err(|error| Refusal::BadName(error.to_string()).into())
}

/// The tenant that the query or the body names.
///
/// # Errors
/// 400 where they name two.
pub fn one_tenant(query: Option<TenantId>, body: Option<TenantId>) -> Result<Option<TenantId>, ApiError> {
    match (query, body) {
        (Some(query), Some(body)) if query != body => {
            Err(ApiError::bad_request("the query names another tenant than the body: name one"))
        }
        (query, body) => Ok(query.or(body)),
    }
}

/// An integration that an administrator may look at.
///
/// # Errors
/// 404 where it is of another tenant.
pub async fn find_integration(
    app: &App,
    administrator: &Administrator,
    pk: IntegrationId,
) -> Result<Integration, ApiError> {
    let find = crate::store::verbs::integrations::IntegrationFor {
        tenant: match administrator.role {
            Role::Owner => None,
            Role::Administrator | Role::Helpdesk => Some(
                administrator
                    .tenant
                    .ok_or_else(|| ApiError::forbidden("this administrator has no tenant"))?,
            ),
        },
        integration: pk,
    };
    app.service().store.read(find).await?.ok_or_else(|| ApiError::not_found("integration"))
}
