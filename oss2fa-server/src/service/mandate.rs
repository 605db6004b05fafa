//! Administrators at work: which role may do what, and in which tenant.

use std::net::IpAddr;

use super::refusal::Refusal;
use crate::ids::{SERVER, TenantId};
use crate::outside::Timestamp;
use crate::store::verbs::Doer;
use crate::store::verbs::administrators::{Administrator, Role};
use crate::whereabouts::Whereabouts;

/// Everything that a role is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See tenants.
    ReadTenants,
    /// Make, remove tenants.
    ManageTenants,
    /// Change the keys of a tenant.
    RotateKeys,
    /// See integrations.
    ReadIntegrations,
    /// See the rules of an integration.
    ReadPolicy,
    /// Make, remove integrations; change their tokens, policies and webhooks.
    ManageIntegrations,
    /// See administrators.
    ReadAdministrators,
    /// Make, remove administrators.
    ManageAdministrators,
    /// See clients and their devices.
    ReadClients,
    /// Help somebody who is locked out: unlock, remove devices, forget remembered devices.
    ResetClients,
    /// Change what a client may, rename its devices, remove it.
    ManageClients,
    /// Read the audit.
    ReadAudit,
}

/// Whether a role may do something. Who is not named here may not.
#[must_use]
pub fn allows(role: Role, action: Action) -> bool {
    use Role::{Administrator, Helpdesk, Owner};
    let roles: &[Role] = match action {
        Action::ManageTenants => &[Owner],
        Action::RotateKeys
        | Action::ManageIntegrations
        | Action::ReadAdministrators
        | Action::ManageAdministrators
        | Action::ManageClients => &[Owner, Administrator],
        Action::ReadTenants
        | Action::ReadIntegrations
        | Action::ReadPolicy
        | Action::ReadClients
        | Action::ResetClients
        | Action::ReadAudit => &[Owner, Administrator, Helpdesk],
    };
    roles.contains(&role)
}

/// Where an administrator may do what the role allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In every tenant.
    Server,
    /// In this one alone.
    Tenant(TenantId),
}

impl Scope {
    /// For verbs that search one tenant, or all.
    #[must_use]
    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Server => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }
}

/// An administrator who asks, at one moment.
#[derive(Debug, Clone)]
pub struct Mandate {
    /// Who.
    pub administrator: Administrator,
    /// Where the request comes from.
    pub address: IpAddr,
    /// When.
    pub now: Timestamp,
}

impl Mandate {
    /// Asks the table, and says where the administrator may do it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn demand(&self, action: Action) -> Result<Scope, Refusal> {
        if !allows(self.administrator.role, action) {
            return Err(Refusal::Forbidden(
                "your role does not allow this: ask an administrator of the tenant, or the owner of the server",
            ));
        }
        match (self.administrator.role, self.administrator.tenant) {
            (Role::Owner, None) => Ok(Scope::Server),
            (Role::Administrator | Role::Helpdesk, Some(tenant)) => Ok(Scope::Tenant(tenant)),
            // No release has made one.
            (Role::Owner, Some(_)) | (Role::Administrator | Role::Helpdesk, None) => {
                Err(Refusal::Forbidden("this administrator has a role that does not fit: remove it"))
            }
        }
    }

    /// The same where a tenant may be named; `None` where none is and all are open.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`]; [`Refusal::NotFound`] for the tenant of others.
    pub fn demand_in(&self, action: Action, named: Option<TenantId>) -> Result<Option<TenantId>, Refusal> {
        match (self.demand(action)?, named) {
            (Scope::Server, named) => Ok(named),
            (Scope::Tenant(own), None) => Ok(Some(own)),
            (Scope::Tenant(own), Some(named)) if own == named => Ok(Some(own)),
            (Scope::Tenant(_), Some(_)) => Err(Refusal::NotFound("tenant")),
        }
    }

    /// The same where it has to be one tenant.
    ///
    /// # Errors
    /// Those, and [`Refusal::Options`] where the owner of the server names none.
    pub fn demand_one(&self, action: Action, named: Option<TenantId>) -> Result<TenantId, Refusal> {
        self.demand_in(action, named)?.ok_or_else(|| {
            Refusal::Options(
                "say in which tenant: `tenant` in the query or the body, by its number".to_owned(),
            )
        })
    }

    /// Who is named in the audit of a tenant, or of the server.
    #[must_use]
    pub fn doer(&self, tenant: Option<TenantId>) -> Doer {
        Doer {
            tenant: tenant.unwrap_or(SERVER),
            integration: None,
            actor: self.actor().into(),
            source: self.address.to_canonical().to_string(),
            now: self.now,
            whereabouts: Whereabouts::default(),
        }
    }

    /// The word for this administrator in the audit.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("admin:{}", self.administrator.name)
    }
}
