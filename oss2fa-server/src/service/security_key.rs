//! Security keys at hosts: which of a client's keys a host is told of.

use super::Service;
use super::client::Clerk;
use super::mandate::Action;
use super::refusal::Refusal;
use crate::device::fido::KINDS;
use crate::device::fido::for_hosts::HostKey;
use crate::ids::Username;
use crate::store::verbs::devices::DevicesOfKinds;

impl Service {
    /// The public halves of a client's keys.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub async fn security_keys(&self, clerk: &Clerk, username: Username) -> Result<Vec<HostKey>, Refusal> {
        clerk.demand(Action::ReadClients)?;
        let caller = &clerk.caller;
        let ask = DevicesOfKinds {
            tenant: caller.tenant(),
            integration: caller.pk(),
            username: username.clone(),
            kinds: &KINDS,
        };
        let found = self.store.read(ask).await?;
        let keys = self.keys(caller).await?;
        let around = self.around(caller, &username, &keys);
        let mut shown = Vec::new();
        for named in found {
            shown.extend(HostKey::of(&around, (named.kind, named.name), &named.device)?);
        }
        Ok(shown)
    }
}
