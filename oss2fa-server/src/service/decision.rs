//! The decision about a login: enroll, challenge, allow, deny.

use std::net::IpAddr;

use super::refusal::Refusal;
use super::{Caller, Service};
use crate::ids::Username;
use crate::policy::UnknownClients;
use crate::store::verbs::Doer;
use crate::store::verbs::clients::{Client, ClientStatus, Device, FindByName};
use crate::store::verbs::trusted::{IsTrusted, RecordPass};
use crate::whereabouts::Whereabouts;

/// Where a client is and what it comes with, as the application says. Shown to people, and used by policy;
/// it never takes the place of a factor, unless policy trusts devices.
#[derive(Debug, Clone, Default)]
pub struct BindingContext {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// A fingerprint of its browser.
    pub fingerprint: Option<String>,
    /// What an earlier challenge gave for this device.
    pub trusted_device: Option<String>,
    /// Host, service and the like.
    pub whereabouts: Whereabouts,
}

impl BindingContext {
    /// The address as text, or empty: what locks and the audit count by.
    #[must_use]
    pub fn source(&self) -> String {
        self.address.map(|address| address.to_canonical().to_string()).unwrap_or_default()
    }
}

/// What is decided.
#[derive(Debug)]
pub enum Decision {
    /// 1: has no device yet, and may enroll one.
    Enroll,
    /// 2: must answer a challenge on one of these.
    Challenge(Vec<Device>),
    /// 3: may pass; why is in the audit.
    Allow,
    /// 4: may not pass.
    Deny,
}

impl Decision {
    /// Its number in the API.
    #[must_use]
    pub fn number(&self) -> i64 {
        match self {
            Self::Enroll => 1,
            Self::Challenge(_) => 2,
            Self::Allow => 3,
            Self::Deny => 4,
        }
    }
}

impl Service {
    /// Decides about a login. Whoever passes without a factor is in the audit before the answer goes out.
    ///
    /// # Errors
    /// Those of the store: nothing is allowed then.
    pub async fn decide(
        &self,
        caller: &Caller,
        username: &Username,
        context: &BindingContext,
    ) -> Result<Decision, Refusal> {
        let find =
            FindByName { tenant: caller.tenant(), integration: caller.pk(), username: username.clone() };
        // Asked before anything else, so that all answers take the same way.
        let found = self.store.read(find).await?;
        if !caller.admits(context) {
            return self
                .passed(caller, username, context, "denied", "network")
                .await
                .map(|()| Decision::Deny);
        }
        let policy = &caller.integration.policy;
        let without_device = match policy.unknown_clients {
            UnknownClients::Enroll => Decision::Enroll,
            UnknownClients::Deny => Decision::Deny,
        };
        let Some((client, mut devices)) = found else { return Ok(without_device) };
        match client.status {
            ClientStatus::Inactive => {
                self.passed(caller, username, context, "denied", "inactive").await?;
                Ok(Decision::Deny)
            }
            ClientStatus::Bypass => {
                self.passed(caller, username, context, "allowed", "bypass").await?;
                Ok(Decision::Allow)
            }
            ClientStatus::Active => {
                devices.retain(|device| policy.allows_kind(&device.kind));
                if devices.is_empty() {
                    return Ok(without_device);
                }
                if self.is_trusted(caller, &client, context).await? {
                    self.passed(caller, username, context, "allowed", "trusted device").await?;
                    return Ok(Decision::Allow);
                }
                Ok(Decision::Challenge(devices))
            }
        }
    }

    async fn is_trusted(
        &self,
        caller: &Caller,
        client: &Client,
        context: &BindingContext,
    ) -> Result<bool, Refusal> {
        let Some(token) = &context.trusted_device else { return Ok(false) };
        if caller.integration.policy.trusted_device_days == 0 {
            return Ok(false);
        }
        let ask = IsTrusted {
            tenant: caller.tenant(),
            client: client.pk,
            digest: super::credential::digest(token),
            fingerprint: context.fingerprint.clone(),
            // A policy that was made shorter holds for what was trusted before it, too.
            not_before: caller.now.before(caller.integration.policy.trusted_device_days * 24 * 3600),
            now: caller.now,
        };
        Ok(self.store.read(ask).await?)
    }

    async fn passed(
        &self,
        caller: &Caller,
        username: &Username,
        context: &BindingContext,
        what: &'static str,
        why: &'static str,
    ) -> Result<(), Refusal> {
        let doer = caller.doer_in(context);
        Ok(self.store.write(RecordPass { doer, username: username.clone(), what, why }).await?)
    }
}

impl Caller {
    /// Who is named in the audit, for a client that is there.
    #[must_use]
    pub fn doer_in(&self, context: &BindingContext) -> Doer {
        self.doer(&context.source()).at(context.whereabouts.clone())
    }

    /// Whether policy lets clients come from there. Without an address none of the networks has it.
    #[must_use]
    pub fn admits(&self, context: &BindingContext) -> bool {
        let networks = &self.integration.policy.client_networks;
        networks.is_empty()
            || context.address.is_some_and(|address| {
                networks.iter().any(|network| network.contains(&address.to_canonical()))
            })
    }
}
