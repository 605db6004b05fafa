//! Tenants, for administrators.

use super::Service;
use super::credential;
use super::mandate::{Action, Mandate, Scope};
use super::name::Name;
use super::refusal::Refusal;
use crate::ids::TenantId;
use crate::store::error::StoreError;
use crate::store::verbs::Page;
use crate::store::verbs::tenants::{
    CreateTenant, Created, FindTenant, ListTenants, RemoveTenant, Removed, Tenant,
};

impl Service {
    /// A page of the tenants: all of them for the owner, their own for others.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub async fn tenants(&self, mandate: &Mandate, page: Page) -> Result<Vec<Tenant>, Refusal> {
        match mandate.demand(Action::ReadTenants)? {
            Scope::Server => Ok(self.store.read(ListTenants { page }).await?),
            Scope::Tenant(own) if own.0 > page.after => {
                Ok(self.store.read(FindTenant::Pk(own)).await?.into_iter().collect())
            }
            Scope::Tenant(_) => Ok(Vec::new()),
        }
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn tenant(&self, mandate: &Mandate, tenant: TenantId) -> Result<Tenant, Refusal> {
        mandate.demand_in(Action::ReadTenants, Some(tenant))?;
        self.store.read(FindTenant::Pk(tenant)).await?.ok_or(Refusal::NotFound("tenant"))
    }

    /// Makes a tenant with keys and an audit of its own.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NameTaken`].
    pub async fn create_tenant(&self, mandate: &Mandate, name: Name) -> Result<Tenant, Refusal> {
        mandate.demand(Action::ManageTenants)?;
        let public_id = credential::hex(self.store.ring().random()).map_err(StoreError::from)?;
        let create = CreateTenant { doer: mandate.doer(None), name: name.into(), public_id };
        match self.store.write(create).await? {
            Created::New(tenant) => Ok(tenant),
            Created::NameTaken => Err(Refusal::NameTaken),
        }
    }

    /// Removes a tenant, all that is its own, and its keys.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn remove_tenant(&self, mandate: &Mandate, tenant: TenantId) -> Result<(), Refusal> {
        mandate.demand_in(Action::ManageTenants, Some(tenant))?;
        match self.store.write(RemoveTenant { doer: mandate.doer(None), tenant }).await? {
            Removed::Done => Ok(()),
            Removed::NotThere => Err(Refusal::NotFound("tenant")),
        }
    }
}
