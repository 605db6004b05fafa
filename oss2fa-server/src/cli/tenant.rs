//! `tenant`: whose everything else is.

use clap::Subcommand;
use serde::Serialize;

use super::context::{Context, Form, Sure};
use super::date::{counted, date};
use super::failure::{Code, Failure};
use super::key;
use super::table;
use super::target::{integrations, name, tenant_named, tenants};
use crate::ids::SERVER;
use crate::service::credential;
use crate::service::name::Name;
use crate::service::rotation;
use crate::store::error::StoreError;
use crate::store::verbs::tenants::{CreateTenant, Created, RemoveTenant, Removed};

/// Tenants: each has integrations, clients, keys and an audit of its own
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// Show all tenants
    List,
    /// Make a tenant with keys and an audit of its own
    Create {
        /// Its name
        #[arg(value_parser = name)]
        name: Name,
    },
    /// Remove a tenant with all that is its own, and its keys
    ///
    /// What backups hold of its secrets does not open any more without the keys that are in those backups.
    Remove {
        /// Its name
        #[arg(value_parser = name)]
        name: Name,
        #[command(flatten)]
        sure: Sure,
    },
    /// Give a tenant a new key, and seal all of its secrets by that
    ///
    /// The server may run meanwhile, and logins go on. The old key is dropped by the next rotation or by
    /// `key tidy`, ten minutes later at the earliest.
    RotateKey {
        /// Its name
        #[arg(value_parser = name)]
        name: Name,
    },
}

impl Tenant {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List => list(context),
            Self::Create { name } => create(context, name),
            Self::Remove { name, sure } => remove(context, name, sure),
            Self::RotateKey { name } => rotate_key(context, name),
        }
    }
}

fn list(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let all = tenants(&context.open()?)?;
    let rows: Vec<_> = all
        .iter()
        .map(|tenant| {
            [tenant.pk.to_string(), tenant.name.clone(), tenant.public_id.clone(), date(tenant.created_at)]
        })
        .collect();
    let empty = format!("There is no tenant. Make one with: {}", context.hint("tenant create NAME"));
    context.list(&all, &table::lines(["PK", "NAME", "PUBLIC ID", "CREATED"], &rows), &empty)
}

fn create(context: &mut Context<'_, '_>, name: &Name) -> Result<(), Failure> {
    let store = context.open()?;
    let public_id = credential::hex(&*context.environment.random).map_err(StoreError::from)?;
    let create = CreateTenant { doer: context.doer(SERVER), name: name.as_str().to_owned(), public_id };
    match store.write(create)? {
        Created::New(tenant) => {
            let words = format!(
                "The tenant {:?} is made (pk {}, public id {}). Give it an integration with: {}",
                tenant.name,
                tenant.pk,
                tenant.public_id,
                context.hint(&format!("integration create NAME --tenant {:?}", tenant.name))
            );
            context.answer(&tenant, &words)
        }
        Created::NameTaken => Err(Failure::new(
            Code::NameTaken,
            format!("there is a tenant {:?} already: choose another name", name.as_str()),
        )),
    }
}

fn remove(context: &mut Context<'_, '_>, name: &Name, sure: &Sure) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant_named(context, &store, name)?;
    let count = integrations(&store, &tenant)?.len() as u64;
    let what = format!(
        "This removes the tenant {:?} for good: {}, all clients and devices, its audit and its keys.",
        tenant.name,
        counted(count, "integration")
    );
    sure.ask(context, &what, &tenant.name)?;
    match store.write(RemoveTenant { doer: context.doer(SERVER), tenant: tenant.pk })? {
        Removed::Done => context.done(&format!("The tenant {:?} is removed, and its keys.", tenant.name)),
        Removed::NotThere => {
            Err(Failure::not_there(format!("{:?} was removed by somebody else", tenant.name)))
        }
    }
}

/// What a rotation prints as JSON.
#[derive(Debug, Serialize)]
struct Rotated {
    tenant: String,
    version: u32,
    resealed: u64,
    unreadable: u64,
    dropped: Vec<u32>,
}

fn rotate_key(context: &mut Context<'_, '_>, name: &Name) -> Result<(), Failure> {
    let store = context.open()?;
    let tenant = tenant_named(context, &store, name)?;
    let doer = context.doer(tenant.pk);
    let version = store
        .run(rotation::new_tenant_key(store.store(), doer.clone()))?
        .ok_or_else(|| Failure::not_there(format!("{:?} was removed by somebody else", tenant.name)))?;
    let tally = key::reseal(context, &store, tenant.pk)?;
    let old = store.run(rotation::drop_unused(store.store(), &doer))?;
    let rotated = Rotated {
        tenant: tenant.name.clone(),
        version,
        resealed: tally.resealed,
        unreadable: tally.unreadable,
        dropped: old.dropped.clone(),
    };
    if context.form == Form::Json {
        context.console.json(&rotated)?;
    } else {
        context.console.say(&format!(
            "The tenant {:?} has key version {version}; {} sealed anew.",
            tenant.name,
            counted(tally.resealed, "value")
        ))?;
        key::say_old(context, &old)?;
    }
    key::complain(context, &tenant.name, tally)
}
