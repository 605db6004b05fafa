//! Administrators, for administrators: nobody makes one above themselves.

use super::Service;
use super::credential::Credentials;
use super::mandate::{Action, Mandate, Scope};
use super::name::Name;
use super::refusal::Refusal;
use crate::ids::{AdministratorId, TenantId};
use crate::store::verbs::Page;
use crate::store::verbs::administrators::{
    Administrator, CreateAdministrator, ListAdministrators, RemoveAdministrator, RemovedAdministrator, Role,
};
use crate::store::verbs::tenants::Created;

/// Who is to be made.
#[derive(Debug)]
pub struct NewAdministrator {
    /// Name.
    pub name: Name,
    /// Role.
    pub role: Role,
    /// In which tenant; none for an owner, and for the tenant of whoever makes it.
    pub tenant: Option<TenantId>,
}

impl Service {
    /// A page of the administrators: of one tenant, or of all for the owner.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`] for another tenant.
    pub async fn administrators(
        &self,
        mandate: &Mandate,
        tenant: Option<TenantId>,
        page: Page,
    ) -> Result<Vec<Administrator>, Refusal> {
        let tenant = mandate.demand_in(Action::ReadAdministrators, tenant)?;
        if let Some(tenant) = tenant {
            self.tenant_is_there(tenant).await?;
        }
        Ok(self.store.read(ListAdministrators { tenant, page }).await?)
    }

    /// Makes an administrator; what proves it is answered this once.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for a role above one's own, [`Refusal::NotFound`], [`Refusal::NameTaken`].
    pub async fn create_administrator(
        &self,
        mandate: &Mandate,
        new: NewAdministrator,
    ) -> Result<(Administrator, Credentials), Refusal> {
        let tenant = match (new.role, mandate.demand(Action::ManageAdministrators)?) {
            (Role::Owner, Scope::Server) => match new.tenant {
                None => None,
                Some(_) => {
                    return Err(Refusal::Options(
                        "an owner of the server has no tenant: leave it out".to_owned(),
                    ));
                }
            },
            (Role::Owner, Scope::Tenant(_)) => {
                return Err(Refusal::Forbidden("nobody makes an administrator above themselves"));
            }
            (Role::Administrator | Role::Helpdesk, _) => {
                let tenant = mandate.demand_one(Action::ManageAdministrators, new.tenant)?;
                self.tenant_is_there(tenant).await?;
                Some(tenant)
            }
        };
        let credentials = self.new_credentials()?;
        let create = CreateAdministrator {
            doer: mandate.doer(tenant),
            tenant,
            name: new.name.into(),
            role: new.role,
            credentials: credentials.digests(),
        };
        match self.store.write(create).await? {
            Created::New(administrator) => Ok((administrator, credentials)),
            Created::NameTaken => Err(Refusal::NameTaken),
        }
    }

    /// Removes an administrator; their token is worth nothing from then on.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] for the last owner, [`Refusal::NotFound`].
    pub async fn remove_administrator(
        &self,
        mandate: &Mandate,
        administrator: AdministratorId,
    ) -> Result<(), Refusal> {
        let tenant = mandate.demand(Action::ManageAdministrators)?.tenant();
        let remove = RemoveAdministrator { doer: mandate.doer(tenant), tenant, administrator };
        match self.store.write(remove).await? {
            RemovedAdministrator::Done => Ok(()),
            RemovedAdministrator::NotThere => Err(Refusal::NotFound("administrator")),
            RemovedAdministrator::LastOwner => {
                Err(Refusal::Forbidden("this is the last owner of the server: make another one first"))
            }
        }
    }
}
