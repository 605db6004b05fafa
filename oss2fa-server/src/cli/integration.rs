//! `integration`: the applications that are protected.

use clap::Subcommand;

use super::context::{Context, Sure};
use super::credentials;
use super::date::date;
use super::failure::{Code, Failure};
use super::policy::PolicyOf;
use super::table;
use super::target::{InTenant, integration_named, integrations, name};
use crate::policy::Policy;
use crate::service::name::Name;
use crate::store::verbs::integrations::{CreateIntegration, RemoveIntegration, RotateToken};
use crate::store::verbs::tenants::{Created, Removed};

/// Integrations: the applications that are protected, with a token and a policy each
#[derive(Debug, Subcommand)]
pub(crate) enum Integration {
    /// Show the integrations of a tenant
    List {
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Make an integration; its token and its pair of keys are shown this once
    Create {
        /// Its name: authenticator apps show it, unless its policy names an issuer
        #[arg(value_parser = name)]
        name: Name,
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove an integration with its clients and their devices
    Remove {
        /// Its name
        #[arg(value_parser = name)]
        name: Name,
        #[command(flatten)]
        tenant: InTenant,
        #[command(flatten)]
        sure: Sure,
    },
    /// Replace the token and the pair of keys; the old ones are worth nothing within seconds
    RotateToken {
        /// Its name
        #[arg(value_parser = name)]
        name: Name,
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Show or change the rules of an integration
    Policy(PolicyOf),
}

const HEADER: &str = "the header X-Integration-Token";

impl Integration {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List { tenant } => list(context, tenant),
            Self::Create { name, tenant } => create(context, name, tenant),
            Self::Remove { name, tenant, sure } => remove(context, name, tenant, sure),
            Self::RotateToken { name, tenant } => rotate_token(context, name, tenant),
            Self::Policy(policy) => policy.run(context),
        }
    }
}

fn list(context: &mut Context<'_, '_>, tenant: &InTenant) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant.find(context, &store)?;
    let all = integrations(&store, &tenant)?;
    let rows: Vec<_> = all
        .iter()
        .map(|one| [one.pk.to_string(), one.name.clone(), one.access_key.clone(), date(one.created_at)])
        .collect();
    let empty = format!(
        "The tenant {:?} has no integration. Make one with: {}",
        tenant.name,
        context.hint(&format!("integration create NAME --tenant {:?}", tenant.name))
    );
    context.list(&all, &table::lines(["PK", "NAME", "ACCESS KEY", "CREATED"], &rows), &empty)
}

fn create(context: &mut Context<'_, '_>, name: &Name, tenant: &InTenant) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant.find(context, &store)?;
    let fresh = credentials::fresh(context)?;
    let create = CreateIntegration {
        doer: context.doer(tenant.pk),
        name: name.as_str().to_owned(),
        credentials: fresh.digests(),
        policy: Policy::default(),
    };
    match store.write(create)? {
        Created::New(made) => {
            let words =
                format!("The integration {:?} of {:?} is made (pk {}).", made.name, tenant.name, made.pk);
            credentials::show(context, &made, &words, HEADER, &fresh)
        }
        Created::NameTaken => Err(Failure::new(
            Code::NameTaken,
            format!(
                "the tenant {:?} has an integration {:?} already: choose another name",
                tenant.name,
                name.as_str()
            ),
        )),
    }
}

fn remove(context: &mut Context<'_, '_>, name: &Name, tenant: &InTenant, sure: &Sure) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant.find(context, &store)?;
    let integration = integration_named(context, &store, &tenant, name)?;
    let what = format!(
        "This removes the integration {:?} of {:?} for good, with all of its clients and their devices.",
        integration.name, tenant.name
    );
    sure.ask(context, &what, &integration.name)?;
    let remove = RemoveIntegration { doer: context.doer(tenant.pk), integration: integration.pk };
    match store.write(remove)? {
        Removed::Done => context.done(&format!("The integration {:?} is removed.", integration.name)),
        Removed::NotThere => Err(gone(&integration.name)),
    }
}

fn rotate_token(context: &mut Context<'_, '_>, name: &Name, tenant: &InTenant) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant.find(context, &store)?;
    let mut integration = integration_named(context, &store, &tenant, name)?;
    let fresh = credentials::fresh(context)?;
    let doer = context.doer(tenant.pk);
    let rotate = RotateToken { doer, integration: integration.pk, credentials: fresh.digests() };
    match store.write(rotate)? {
        Removed::Done => {
            integration.access_key.clone_from(&fresh.access_key);
            let words = format!(
                "The integration {:?} has a new token; the old one is worth nothing.",
                integration.name
            );
            credentials::show(context, &integration, &words, HEADER, &fresh)
        }
        Removed::NotThere => Err(gone(&integration.name)),
    }
}

fn gone(name: &str) -> Failure {
    Failure::not_there(format!("the integration {name:?} was removed by somebody else"))
}
