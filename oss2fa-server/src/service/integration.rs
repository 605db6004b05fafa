//! Integrations, for administrators: their tokens and their rules.

use super::Service;
use super::credential::Credentials;
use super::mandate::{Action, Mandate};
use super::name::Name;
use super::refusal::Refusal;
use crate::ids::{IntegrationId, TenantId};
use crate::policy::Policy;
use crate::store::error::StoreError;
use crate::store::verbs::Page;
use crate::store::verbs::integrations::{
    CreateIntegration, Integration, IntegrationFor, ListIntegrations, RemoveIntegration, RotateToken,
    SetPolicy,
};
use crate::store::verbs::tenants::{Created, FindTenant, Removed};

impl Service {
    /// A page of a tenant's integrations.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`] for a tenant of others or of nobody.
    pub async fn integrations(
        &self,
        mandate: &Mandate,
        tenant: Option<TenantId>,
        page: Page,
    ) -> Result<Vec<Integration>, Refusal> {
        let tenant = mandate.demand_one(Action::ReadIntegrations, tenant)?;
        self.tenant_is_there(tenant).await?;
        Ok(self.store.read(ListIntegrations { tenant, page }).await?)
    }

    /// One integration, for an action on it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`] for one of another tenant.
    pub async fn integration_for(
        &self,
        mandate: &Mandate,
        action: Action,
        integration: IntegrationId,
    ) -> Result<Integration, Refusal> {
        let tenant = mandate.demand(action)?.tenant();
        let find = IntegrationFor { tenant, integration };
        self.store.read(find).await?.ok_or(Refusal::NotFound("integration"))
    }

    /// Makes an integration; what proves it is answered this once.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::NameTaken`].
    pub async fn create_integration(
        &self,
        mandate: &Mandate,
        tenant: Option<TenantId>,
        name: Name,
    ) -> Result<(Integration, Credentials), Refusal> {
        let tenant = mandate.demand_one(Action::ManageIntegrations, tenant)?;
        self.tenant_is_there(tenant).await?;
        let credentials = self.new_credentials()?;
        let create = CreateIntegration {
            doer: mandate.doer(Some(tenant)),
            name: name.into(),
            credentials: credentials.digests(),
            policy: Policy::default(),
        };
        match self.store.write(create).await? {
            Created::New(integration) => Ok((integration, credentials)),
            Created::NameTaken => Err(Refusal::NameTaken),
        }
    }

    /// Removes an integration with its clients.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn remove_integration(&self, mandate: &Mandate, pk: IntegrationId) -> Result<(), Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        done(self.store.write(RemoveIntegration { doer: mandate.doer(Some(tenant)), integration: pk }).await?)
    }

    /// Replaces what proves an integration; the new is answered this once.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn rotate_token(
        &self,
        mandate: &Mandate,
        pk: IntegrationId,
    ) -> Result<(Integration, Credentials), Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        let credentials = self.new_credentials()?;
        let doer = mandate.doer(Some(tenant));
        done(
            self.store
                .write(RotateToken { doer, integration: pk, credentials: credentials.digests() })
                .await?,
        )?;
        let find = IntegrationFor { tenant: Some(tenant), integration: pk };
        let integration = self.store.read(find).await?.ok_or(Refusal::NotFound("integration"))?;
        Ok((integration, credentials))
    }

    /// Replaces the rules of an integration.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`], [`Refusal::Policy`].
    pub async fn set_policy(
        &self,
        mandate: &Mandate,
        pk: IntegrationId,
        policy: Policy,
    ) -> Result<Policy, Refusal> {
        let tenant = self.integration_for(mandate, Action::ManageIntegrations, pk).await?.tenant;
        let kinds: Vec<&str> = self.kinds.descriptions().map(|kind| kind.name).collect();
        let policy = policy.checked(&kinds)?;
        let doer = mandate.doer(Some(tenant));
        done(self.store.write(SetPolicy { doer, integration: pk, policy: policy.clone() }).await?)?;
        Ok(policy)
    }

    /// Only the owner can name a tenant that is not there.
    pub(super) async fn tenant_is_there(&self, tenant: TenantId) -> Result<(), Refusal> {
        self.store.read(FindTenant::Pk(tenant)).await?.map(|_| ()).ok_or(Refusal::NotFound("tenant"))
    }

    pub(super) fn new_credentials(&self) -> Result<Credentials, Refusal> {
        Ok(Credentials::generate(self.store.ring().random()).map_err(StoreError::from)?)
    }
}

fn done(removed: Removed) -> Result<(), Refusal> {
    match removed {
        Removed::Done => Ok(()),
        Removed::NotThere => Err(Refusal::NotFound("integration")),
    }
}
