//! `app`: the apps of ungleich-otp.

use std::future::Future;
use std::path::PathBuf;

use clap::Subcommand;
use oss2fa_core::secret::SecretText;
use serde::Serialize;

use super::app_transfer;
use super::context::{Context, Form};
use super::date::date;
use super::failure::{Code, Failure};
use super::opened::Opened;
use super::table;
use super::target::doer_in;
use crate::device::app::Seed;
use crate::ids::{AppUuid, Username};
use crate::service::apps::own::{AppName, MOST, NewApp};
use crate::service::apps::{AppsError, home};
use crate::store::error::StoreError;
use crate::store::verbs::apps::{
    App as Found, AppChange, ChangeApp, ListApps, RegisterApp, Registered, Trusted,
};
use crate::store::verbs::integrations::Integration;
use crate::store::verbs::tenants::Removed;

/// Apps of ungleich-otp: each holds a seed and proves itself with time-based tokens
#[derive(Debug, Subcommand)]
pub(crate) enum App {
    /// Make an app; its seed is shown
    Create {
        /// Name of the user whose app it is
        #[arg(long, value_name = "USER", value_parser = Username::parse)]
        user: Username,
        /// What the user calls it
        #[arg(long, value_name = "NAME", value_parser = AppName::parse)]
        name: AppName,
        /// It may ask about other apps: by POST /verify, and over the bus
        #[arg(long)]
        trusted: bool,
    },
    /// Show the apps
    List {
        /// Only those of this user
        #[arg(long, value_name = "USER", value_parser = Username::parse)]
        user: Option<Username>,
    },
    /// Let an app ask about other apps
    Trust(Which),
    /// Let an app speak for itself alone
    Untrust(Which),
    /// Give an app another seed, which is shown; tokens of the old one are worth nothing
    RotateSeed(Which),
    /// Remove an app
    Remove(Which),
    /// Take over the apps of the original: the JSON that its `manage.py dumpdata` writes
    Import {
        /// The file
        #[arg(long, value_name = "FILE")]
        django: PathBuf,
    },
    /// Print all apps with their seeds, as JSON that `app import --django` and `manage.py loaddata` take
    Export,
}

/// One app.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// UUID of the app
    #[arg(value_parser = AppUuid::parse)]
    appuuid: AppUuid,
}

impl App {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::Create { user, name, trusted } => {
                let trusted = Trusted::from(*trusted);
                create(context, NewApp { name: name.clone(), username: user.clone(), trusted })
            }
            Self::List { user } => list(context, user.as_ref()),
            Self::Trust(which) => {
                let words = format!("{} may ask about other apps now.", which.appuuid);
                change(context, which, AppChange::Trust(Trusted::Yes), &words)
            }
            Self::Untrust(which) => {
                let words = format!("{} speaks for itself alone now.", which.appuuid);
                change(context, which, AppChange::Trust(Trusted::No), &words)
            }
            Self::RotateSeed(which) => rotate_seed(context, which),
            Self::Remove(which) => {
                let words = format!("{} is removed.", which.appuuid);
                change(context, which, AppChange::Remove, &words)
            }
            Self::Import { django } => app_transfer::import(context, django),
            Self::Export => app_transfer::export(context),
        }
    }
}

/// Waits for what is asked about the integration of the apps.
fn of_home<T>(store: &Opened, work: impl Future<Output = Result<T, AppsError>>) -> Result<T, Failure> {
    store.run(async {
        match work.await {
            Ok(found) => Ok(Ok(found)),
            Err(AppsError::Store(error)) => Err(error),
            Err(error @ AppsError::NoTenant) => Ok(Err(Failure::not_there(error.to_string()))),
        }
    })?
}

/// The integration of the apps, made where it is not there.
pub(super) fn home_made(context: &Context<'_, '_>, store: &Opened) -> Result<Integration, Failure> {
    let actor = context.doer(crate::ids::SERVER).actor;
    of_home(store, home::found_or_made(store.store(), &actor, context.now()))
}

/// All apps of the integration, where that is there.
pub(super) fn all(
    store: &Opened,
    user: Option<&Username>,
) -> Result<Option<(Integration, Vec<Found>)>, Failure> {
    let Some(home) = of_home(store, home::found(store.store()))? else { return Ok(None) };
    let apps = store.all(
        |page| ListApps { tenant: home.tenant, integration: home.pk, username: user.cloned(), page },
        |app: &Found| app.client.0,
    )?;
    Ok(Some((home, apps)))
}

/// A seed on its way out.
#[derive(Serialize)]
struct Shown<'a> {
    appuuid: &'a AppUuid,
    seed: &'a SecretText,
}

fn show(context: &mut Context<'_, '_>, app: &AppUuid, seed: &Seed, words: &str) -> Result<(), Failure> {
    let seed = seed.text();
    if context.form == Form::Json {
        return context.console.json(&Shown { appuuid: app, seed: &seed });
    }
    let lines = [
        words.to_owned(),
        format!("  appuuid: {app}"),
        format!("  seed:    {}", seed.expose()),
        "Tokens are TOTP with SHA-1, 6 digits and 30 seconds. Keep the seed where only the app reads it."
            .to_owned(),
    ];
    lines.iter().try_for_each(|line| context.console.say(line))
}

fn create(context: &mut Context<'_, '_>, new: NewApp) -> Result<(), Failure> {
    let store = context.open()?;
    let home = home_made(context, &store)?;
    let random = &*context.environment.random;
    let seed = Seed::generate(random).map_err(StoreError::from)?;
    let words = format!("The app {:?} of {} is made.", new.name.as_str(), new.username);
    // Whoever runs this has seen it.
    let register = RegisterApp { seed_reads: 1, ..new.register(doer_in(context, &home), &seed, random)? };
    match store.write(register)? {
        Registered::New(app) => show(context, &app.appuuid, &seed, &words),
        Registered::TooMany => Err(Failure::new(
            Code::StillUsed,
            format!("this user has {MOST} apps already: remove one with {}", context.hint("app remove UUID")),
        )),
        Registered::Taken | Registered::SeedInUse => {
            Err(StoreError::Corrupt("a random number that was drawn before").into())
        }
    }
}

fn list(context: &mut Context<'_, '_>, user: Option<&Username>) -> Result<(), Failure> {
    let store = context.open()?;
    let apps = all(&store, user)?.map(|(_, apps)| apps).unwrap_or_default();
    let rows: Vec<_> = apps
        .iter()
        .map(|app| {
            [
                app.appuuid.to_string(),
                app.username.to_string(),
                if app.trusted == Trusted::Yes { "yes" } else { "no" }.to_owned(),
                date(app.created_at),
                app.appname.clone(),
            ]
        })
        .collect();
    let empty = format!(
        "There is no app{}. Make one with: {}",
        user.map(|user| format!(" of {user}")).unwrap_or_default(),
        context.hint("app create --user USER --name NAME")
    );
    context.list(&apps, &table::lines(["APPUUID", "USER", "TRUSTED", "CREATED", "NAME"], &rows), &empty)
}

fn write_change(context: &Context<'_, '_>, which: &Which, change: AppChange) -> Result<(), Failure> {
    let store = context.open()?;
    let home = of_home(&store, home::found(store.store()))?;
    let changed = match home {
        Some(home) => {
            store.write(ChangeApp { doer: doer_in(context, &home), app: which.appuuid.clone(), change })?
        }
        None => Removed::NotThere,
    };
    match changed {
        Removed::Done => Ok(()),
        Removed::NotThere => Err(Failure::not_there(format!(
            "there is no app {}: see {}",
            which.appuuid,
            context.hint("app list")
        ))),
    }
}

fn change(
    context: &mut Context<'_, '_>,
    which: &Which,
    change: AppChange,
    words: &str,
) -> Result<(), Failure> {
    write_change(context, which, change)?;
    context.done(words)
}

fn rotate_seed(context: &mut Context<'_, '_>, which: &Which) -> Result<(), Failure> {
    let seed = Seed::generate(&*context.environment.random).map_err(StoreError::from)?;
    write_change(context, which, AppChange::Seed(Box::new(seed.device())))?;
    let words = "The app has a new seed; tokens of the old one are worth nothing.";
    show(context, &which.appuuid, &seed, words)
}
