//! `admin`: people who manage tenants, integrations and clients over the API.

use clap::{Subcommand, ValueEnum};

use super::context::Context;
use super::credentials;
use super::date::date;
use super::failure::{Code, Failure};
use super::opened::Opened;
use super::table;
use super::target::{InTenant, name, tenants};
use crate::ids::SERVER;
use crate::service::name::Name;
use crate::store::verbs::administrators::{
    Administrator, CreateAdministrator, ListAdministrators, RemoveAdministrator, RemovedAdministrator, Role,
};
use crate::store::verbs::tenants::Created;

/// Administrators: they manage tenants, integrations and clients over the API
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Show the administrators: all of them, or those of a tenant
    List {
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Make an administrator; the token and the pair of keys are shown this once
    Create {
        /// Their name
        #[arg(value_parser = name)]
        name: Name,
        /// What they may do
        #[arg(long, value_enum)]
        role: RoleWord,
        #[command(flatten)]
        tenant: InTenant,
    },
    /// Remove an administrator; their token is worth nothing within seconds
    Remove {
        /// Their name
        #[arg(value_parser = name)]
        name: Name,
    },
}

/// `--role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// Everything, in every tenant
    Owner,
    /// Everything in one tenant
    Administrator,
    /// In one tenant: read, unlock, remove a client's devices
    Helpdesk,
}

impl Admin {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List { tenant } => list(context, tenant),
            Self::Create { name, role, tenant } => create(context, name, *role, tenant),
            Self::Remove { name } => remove(context, name),
        }
    }
}

fn all(store: &Opened, tenant: Option<crate::ids::TenantId>) -> Result<Vec<Administrator>, Failure> {
    store.all(|page| ListAdministrators { tenant, page }, |one: &Administrator| one.pk.0)
}

fn list(context: &mut Context<'_, '_>, tenant: &InTenant) -> Result<(), Failure> {
    let store = context.open()?;
    let only = match tenant.tenant {
        Some(_) => Some(tenant.find(context, &store)?.pk),
        None => None,
    };
    let found = all(&store, only)?;
    let names = tenants(&store)?;
    let rows: Vec<_> = found
        .iter()
        .map(|one| {
            let of = names.iter().find(|tenant| Some(tenant.pk) == one.tenant);
            [
                one.pk.to_string(),
                one.name.clone(),
                one.role.as_str().to_owned(),
                of.map_or_else(|| "(all)".to_owned(), |tenant| tenant.name.clone()),
                one.access_key.clone(),
                date(one.created_at),
            ]
        })
        .collect();
    let empty = format!(
        "There is no administrator. Make one with: {}",
        context.hint("admin create NAME --role owner")
    );
    let lines = table::lines(["PK", "NAME", "ROLE", "TENANT", "ACCESS KEY", "CREATED"], &rows);
    context.list(&found, &lines, &empty)
}

fn create(
    context: &mut Context<'_, '_>,
    name: &Name,
    role: RoleWord,
    tenant: &InTenant,
) -> Result<(), Failure> {
    let store = context.open()?;
    let (role, tenant) = match role {
        RoleWord::Owner if tenant.tenant.is_some() => {
            let message = "an owner of the server has no tenant: leave --tenant out, or name another role";
            return Err(Failure::new(Code::BadUsage, message));
        }
        RoleWord::Owner => (Role::Owner, None),
        RoleWord::Administrator => (Role::Administrator, Some(tenant.find(context, &store)?)),
        RoleWord::Helpdesk => (Role::Helpdesk, Some(tenant.find(context, &store)?)),
    };
    let fresh = credentials::fresh(context)?;
    let create = CreateAdministrator {
        doer: context.doer(tenant.as_ref().map_or(SERVER, |tenant| tenant.pk)),
        tenant: tenant.as_ref().map(|tenant| tenant.pk),
        name: name.as_str().to_owned(),
        role,
        credentials: fresh.digests(),
    };
    match store.write(create)? {
        Created::New(made) => {
            let of = tenant.map_or_else(|| "the server".to_owned(), |tenant| format!("{:?}", tenant.name));
            let words = format!("{:?} is {} of {of} (pk {}).", made.name, made.role.as_str(), made.pk);
            credentials::show(context, &made, &words, "the header X-Admin-Token", &fresh)
        }
        Created::NameTaken => Err(Failure::new(
            Code::NameTaken,
            format!(
                "there is an administrator {:?} already (names are one list for all tenants): choose another",
                name.as_str()
            ),
        )),
    }
}

fn remove(context: &mut Context<'_, '_>, name: &Name) -> Result<(), Failure> {
    let store = context.open()?;
    let missing = || {
        let see = context.hint("admin list");
        Failure::not_there(format!("there is no administrator {:?}: see {see}", name.as_str()))
    };
    let found = all(&store, None)?.into_iter().find(|one| one.name == name.as_str());
    let found = found.ok_or_else(missing)?;
    let remove = RemoveAdministrator {
        doer: context.doer(found.tenant.unwrap_or(SERVER)),
        tenant: found.tenant,
        administrator: found.pk,
    };
    match store.write(remove)? {
        RemovedAdministrator::Done => {
            context.done(&format!("The administrator {:?} is removed.", found.name))
        }
        RemovedAdministrator::NotThere => Err(missing()),
        RemovedAdministrator::LastOwner => Err(Failure::new(
            Code::StillUsed,
            format!(
                "{:?} is the last owner of the server: make another one first, with {}",
                found.name,
                context.hint("admin create NAME --role owner")
            ),
        )),
    }
}
