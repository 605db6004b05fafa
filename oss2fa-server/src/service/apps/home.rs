//! The integration that apps are clients of: made when it is first needed.

use super::AppsError;
use crate::outside::Timestamp;
use crate::policy::Policy;
use crate::service::credential::Credentials;
use crate::store::Store;
use crate::store::verbs::Doer;
use crate::store::verbs::integrations::{CreateIntegration, FindIntegration, Integration, IntegrationKey};
use crate::store::verbs::tenants::{Created, FIRST_TENANT, FindTenant};
use crate::whereabouts::Whereabouts;

/// Its name, in the first tenant.
pub const NAME: &str = "ungleich-otp";

/// The integration, if it is there.
///
/// # Errors
/// [`AppsError`].
pub async fn found(store: &Store) -> Result<Option<Integration>, AppsError> {
    let tenant = store.read(FindTenant::Name(FIRST_TENANT.to_owned())).await?.ok_or(AppsError::NoTenant)?;
    let by = IntegrationKey::Name(NAME.to_owned());
    Ok(store.read(FindIntegration { tenant: tenant.pk, by }).await?)
}

/// The integration, made where it is not there. Its token is shown to nobody: an administrator who wants one
/// rotates it.
///
/// # Errors
/// [`AppsError`].
pub async fn found_or_made(store: &Store, actor: &str, now: Timestamp) -> Result<Integration, AppsError> {
    if let Some(integration) = found(store).await? {
        return Ok(integration);
    }
    let tenant = store.read(FindTenant::Name(FIRST_TENANT.to_owned())).await?.ok_or(AppsError::NoTenant)?;
    let credentials = Credentials::generate(store.ring().random())?;
    let create = CreateIntegration {
        doer: Doer {
            tenant: tenant.pk,
            integration: None,
            actor: actor.to_owned().into(),
            source: String::new(),
            now,
            whereabouts: Whereabouts::default(),
        },
        name: NAME.to_owned(),
        credentials: credentials.digests(),
        policy: Policy::default(),
    };
    match store.write(create).await? {
        Created::New(integration) => Ok(integration),
        // Another node, or a command, was faster.
        Created::NameTaken => found(store).await?.ok_or(AppsError::NoTenant),
    }
}
