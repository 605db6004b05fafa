//! Offline credentials: what hosts tell of them, and who may revoke them.

use std::net::IpAddr;

use super::client::Clerk;
use super::mandate::Action;
use super::refusal::Refusal;
use super::{Caller, Service};
use crate::ids::{CredentialId, HostName, Username};
use crate::store::verbs::Page;
use crate::store::verbs::offline::{
    CreateOfflineCredential, ListOfflineCredentials, Noted, OfflineCredential, RevokeOfflineCredential,
};
use crate::store::verbs::tenants::Removed;

impl Service {
    /// Notes a credential that a host has made.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn note_offline_credential(
        &self,
        caller: &Caller,
        from: IpAddr,
        (username, host, name): (Username, HostName, String),
    ) -> Result<OfflineCredential, Refusal> {
        let doer = caller.doer(&from.to_canonical().to_string());
        match self.store.write(CreateOfflineCredential { doer, username, host, name }).await? {
            Noted::New(credential) => Ok(*credential),
            Noted::Nobody => Err(Refusal::NotFound("client")),
            Noted::Barred => Err(Refusal::Inactive),
            Noted::NameTaken => Err(Refusal::NameTaken),
            Noted::TooMany => Err(Refusal::TooManyCredentials),
        }
    }

    /// A page of the credentials.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub async fn offline_credentials(
        &self,
        clerk: &Clerk,
        host: Option<HostName>,
        username: Option<Username>,
        page: Page,
    ) -> Result<Vec<OfflineCredential>, Refusal> {
        clerk.demand(Action::ReadClients)?;
        let (tenant, integration) = (clerk.caller.tenant(), clerk.caller.pk());
        Ok(self.store.read(ListOfflineCredentials { tenant, integration, host, username, page }).await?)
    }

    /// Revokes a credential, as often as it is asked for.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`], [`Refusal::NotFound`].
    pub async fn revoke_offline_credential(
        &self,
        clerk: &Clerk,
        credential: CredentialId,
    ) -> Result<(), Refusal> {
        clerk.demand(Action::ResetClients)?;
        let doer = clerk.caller.doer(&clerk.address.to_canonical().to_string());
        match self.store.write(RevokeOfflineCredential { doer, credential, username: None }).await? {
            Removed::Done => Ok(()),
            Removed::NotThere => Err(Refusal::NotFound("offline credential")),
        }
    }
}
