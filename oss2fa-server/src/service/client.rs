//! Looking after an integration's clients: by itself, or by an administrator in its place.

use std::net::IpAddr;

use oss2fa_core::ids::DeviceName;

use super::mandate::{Action, allows};
use super::refusal::Refusal;
use super::{Caller, Service};
use crate::ids::{ClientId, Username};
use crate::policy::ManagedBy;
use crate::store::verbs::Page;
use crate::store::verbs::administrators::Role;
use crate::store::verbs::clients::{
    ChangeClient, Client, ClientChange, Device, DevicesOf, FindClient, ListClients,
};
use crate::store::verbs::tenants::Removed;

/// Whoever looks after the clients of one integration.
#[derive(Clone)]
pub struct Clerk {
    /// Of which integration; the actor is whoever it is.
    pub caller: Caller,
    /// The role of the administrator; none where it is the integration itself.
    pub role: Option<Role>,
    /// Where the request comes from.
    pub address: IpAddr,
}

impl Clerk {
    /// Whether policy and role allow it.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn demand(&self, action: Action) -> Result<(), Refusal> {
        match self.role {
            Some(role) if allows(role, action) => Ok(()),
            Some(_) => Err(Refusal::Forbidden(
                "your role does not allow this: ask an administrator of the tenant, or the owner of the server",
            )),
            None => self.demand_of_integration(action),
        }
    }

    fn demand_of_integration(&self, action: Action) -> Result<(), Refusal> {
        let changes = match action {
            Action::ReadClients | Action::ReadPolicy => return Ok(()),
            Action::ResetClients | Action::ManageClients => true,
            Action::ReadTenants
            | Action::ManageTenants
            | Action::RotateKeys
            | Action::ReadIntegrations
            | Action::ManageIntegrations
            | Action::ReadAdministrators
            | Action::ManageAdministrators
            | Action::ReadAudit => false,
        };
        match self.caller.integration.policy.clients_managed_by {
            ManagedBy::Integration if changes => Ok(()),
            ManagedBy::Administrators if changes => Err(Refusal::Forbidden(
                "the policy of this integration lets administrators alone change clients",
            )),
            ManagedBy::Integration | ManagedBy::Administrators => {
                Err(Refusal::Forbidden("this is for administrators"))
            }
        }
    }
}

/// What a change asks of policy and role.
fn action(change: &ClientChange) -> Action {
    match change {
        ClientChange::Unlock | ClientChange::RemoveDevice(_) | ClientChange::DistrustAll => {
            Action::ResetClients
        }
        ClientChange::Status(_) | ClientChange::Remove | ClientChange::Rename(..) => Action::ManageClients,
    }
}

impl Service {
    /// A page of the clients, or the one of this name.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub async fn clients(
        &self,
        clerk: &Clerk,
        username: Option<Username>,
        page: Page,
    ) -> Result<Vec<Client>, Refusal> {
        clerk.demand(Action::ReadClients)?;
        let Clerk { caller, .. } = clerk;
        let list = ListClients { tenant: caller.tenant(), integration: caller.pk(), username, page };
        Ok(self.store.read(list).await?)
    }

    /// One client.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn client(&self, clerk: &Clerk, client: ClientId) -> Result<Client, Refusal> {
        clerk.demand(Action::ReadClients)?;
        let Clerk { caller, .. } = clerk;
        let find = FindClient { tenant: caller.tenant(), integration: caller.pk(), client };
        self.store.read(find).await?.ok_or(Refusal::NotFound("client"))
    }

    /// A client's devices.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn devices_of(&self, clerk: &Clerk, client: ClientId) -> Result<Vec<Device>, Refusal> {
        let client = self.client(clerk, client).await?.pk;
        Ok(self.store.read(DevicesOf { tenant: clerk.caller.tenant(), client }).await?)
    }

    /// Changes a client or one of its devices.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn change_client(
        &self,
        clerk: &Clerk,
        client: ClientId,
        change: ClientChange,
    ) -> Result<(), Refusal> {
        clerk.demand(action(&change))?;
        let what = match change {
            ClientChange::Rename(..) | ClientChange::RemoveDevice(_) => "device",
            ClientChange::Status(_)
            | ClientChange::Remove
            | ClientChange::Unlock
            | ClientChange::DistrustAll => "client",
        };
        let doer = clerk.caller.doer(&clerk.address.to_canonical().to_string());
        match self.store.write(ChangeClient { doer, client, change }).await? {
            Removed::Done => Ok(()),
            Removed::NotThere => Err(Refusal::NotFound(what)),
        }
    }
}

/// Reads what somebody calls a device.
///
/// # Errors
/// [`Refusal::BadName`].
pub fn device_name(written: &str) -> Result<String, Refusal> {
    let name = DeviceName::new(written).map_err(|_| {
        let words = "the name of a device is 1 to 64 characters, without those that cannot be seen";
        Refusal::BadName(words.to_owned())
    })?;
    Ok(name.as_str().to_owned())
}
