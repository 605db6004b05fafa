//! Which tenant and which integration a command is about.

use super::context::Context;
use super::failure::{Code, Failure};
use super::opened::Opened;
use crate::service::name::Name;
use crate::store::verbs::Doer;
use crate::store::verbs::integrations::{FindIntegration, Integration, IntegrationKey, ListIntegrations};
use crate::store::verbs::tenants::{FindTenant, ListTenants, Tenant};

/// `--tenant`.
#[derive(Debug, clap::Args)]
pub(crate) struct InTenant {
    /// Name of the tenant; it may be left out where there is only one
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) tenant: Option<Name>,
}

/// `--tenant` and `--integration`.
#[derive(Debug, clap::Args)]
pub(crate) struct InIntegration {
    #[command(flatten)]
    tenant: InTenant,
    /// Name of the integration; it may be left out where the tenant has only one
    #[arg(long, value_name = "NAME", value_parser = name)]
    integration: Option<Name>,
}

/// A name as somebody wrote it on the command line.
pub(crate) fn name(written: &str) -> Result<Name, String> {
    Name::parse(written).map_err(|_| {
        "a name is 1 to 64 characters, without a colon and without characters that cannot be seen".to_owned()
    })
}

impl InTenant {
    /// That tenant, or the only one.
    pub(crate) fn find(&self, context: &Context<'_, '_>, store: &Opened) -> Result<Tenant, Failure> {
        match &self.tenant {
            Some(name) => tenant_named(context, store, name),
            None => {
                let all = tenants(store)?;
                only(all, |tenant| &tenant.name, "tenant", "--tenant NAME").ok_or_else_hint(context, "tenant")
            }
        }
    }
}

/// The tenant of this name.
pub(crate) fn tenant_named(
    context: &Context<'_, '_>,
    store: &Opened,
    name: &Name,
) -> Result<Tenant, Failure> {
    store.read(FindTenant::Name(name.as_str().to_owned()))?.ok_or_else(|| {
        Failure::not_there(format!(
            "there is no tenant {name:?}: see {}",
            context.hint("tenant list"),
            name = name.as_str()
        ))
    })
}

/// All tenants.
pub(crate) fn tenants(store: &Opened) -> Result<Vec<Tenant>, Failure> {
    store.all(|page| ListTenants { page }, |tenant: &Tenant| tenant.pk.0)
}

/// The integrations of a tenant.
pub(crate) fn integrations(store: &Opened, tenant: &Tenant) -> Result<Vec<Integration>, Failure> {
    store.all(
        |page| ListIntegrations { tenant: tenant.pk, page },
        |integration: &Integration| integration.pk.0,
    )
}

/// The integration of this name.
pub(crate) fn integration_named(
    context: &Context<'_, '_>,
    store: &Opened,
    tenant: &Tenant,
    name: &Name,
) -> Result<Integration, Failure> {
    let by = IntegrationKey::Name(name.as_str().to_owned());
    store.read(FindIntegration { tenant: tenant.pk, by })?.ok_or_else(|| {
        Failure::not_there(format!(
            "the tenant {:?} has no integration {:?}: see {}",
            tenant.name,
            name.as_str(),
            context.hint("integration list")
        ))
    })
}

impl InIntegration {
    /// That integration with its tenant, or the only one.
    pub(crate) fn find(
        &self,
        context: &Context<'_, '_>,
        store: &Opened,
    ) -> Result<(Tenant, Integration), Failure> {
        let tenant = self.tenant.find(context, store)?;
        let integration = match &self.integration {
            Some(name) => integration_named(context, store, &tenant, name)?,
            None => {
                let all = integrations(store, &tenant)?;
                only(all, |integration| &integration.name, "integration", "--integration NAME")
                    .ok_or_else_hint(context, "integration")?
            }
        };
        Ok((tenant, integration))
    }
}

/// Whose deeds these are, in an integration.
pub(crate) fn doer_in(context: &Context<'_, '_>, integration: &Integration) -> Doer {
    Doer { integration: Some(integration.pk), ..context.doer(integration.tenant) }
}

enum Only<T> {
    One(T),
    None,
    Several(Failure),
}

fn only<T>(mut all: Vec<T>, name: impl Fn(&T) -> &str, noun: &str, flag: &str) -> Only<T> {
    if all.len() > 1 {
        let names: Vec<String> = all.iter().take(20).map(|one| format!("{:?}", name(one))).collect();
        let more = if all.len() > names.len() { ", ..." } else { "" };
        let message =
            format!("there are {} {noun}s ({}{more}): say which with {flag}", all.len(), names.join(", "));
        return Only::Several(Failure::new(Code::Several, message));
    }
    all.pop().map_or(Only::None, Only::One)
}

impl<T> Only<T> {
    fn ok_or_else_hint(self, context: &Context<'_, '_>, noun: &str) -> Result<T, Failure> {
        match self {
            Self::One(one) => Ok(one),
            Self::Several(failure) => Err(failure),
            Self::None => Err(Failure::not_there(format!(
                "there is no {noun} yet: make one with {}",
                context.hint(&format!("{noun} create NAME"))
            ))),
        }
    }
}
