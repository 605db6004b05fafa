//! `client`: people who prove to be themselves, and their devices.

mod offline;

use clap::{Subcommand, ValueEnum};
use oss2fa_core::ids::DeviceId;
use serde::Serialize;

use super::context::{Context, Form};
use super::date::{counted, date};
use super::failure::Failure;
use super::opened::Opened;
use super::table;
use super::target::{InIntegration, doer_in};
use crate::ids::{CredentialId, Username};
use crate::outside::Timestamp;
use crate::store::verbs::clients::{
    ChangeClient, Client as Found, ClientChange, ClientStatus, Device, FindByName, ListClients,
};
use crate::store::verbs::integrations::Integration;
use crate::store::verbs::locks::{ClientLock, LocksOf};
use crate::store::verbs::tenants::{Removed, Tenant};

/// Clients: people who prove to be themselves, and their devices
#[derive(Debug, Subcommand)]
pub(crate) enum Client {
    /// Show the clients of an integration
    List {
        #[command(flatten)]
        of: InIntegration,
    },
    /// Show a client with devices and locks
    Show(Which),
    /// Say what is decided about a client
    Status {
        #[command(flatten)]
        which: Which,
        /// What from now on
        #[arg(value_enum)]
        status: StatusWord,
    },
    /// Release the locks of a client
    Unlock(Which),
    /// Remove a client with all devices
    Remove(Which),
    /// Show the devices of a client
    Devices(Which),
    /// Remove a device of a client
    RemoveDevice {
        #[command(flatten)]
        which: Which,
        /// The device's number, as `client devices` shows it
        #[arg(value_name = "DEVICE")]
        device: i64,
    },
    /// Show the one-time codes of a client that hosts check by themselves while no server can be reached
    OfflineCredentials(Which),
    /// Revoke one of them: its host takes no more of its codes once it has reached the server
    RevokeOffline {
        #[command(flatten)]
        which: Which,
        /// Its number, as `client offline-credentials` shows it
        #[arg(value_name = "PK")]
        credential: i64,
    },
}

/// One client.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Name of the client
    #[arg(value_parser = Username::parse)]
    username: Username,
    #[command(flatten)]
    of: InIntegration,
}

/// What may be decided about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusWord {
    /// Must prove a factor
    Active,
    /// May pass without one; each time is an event of the audit
    Bypass,
    /// May not pass at all
    Inactive,
}

impl Client {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List { of } => list(context, of),
            Self::Show(which) => show(context, which),
            Self::Status { which, status } => {
                let status = match status {
                    StatusWord::Active => ClientStatus::Active,
                    StatusWord::Bypass => ClientStatus::Bypass,
                    StatusWord::Inactive => ClientStatus::Inactive,
                };
                let words = format!("{} is {} now.", which.username, status.as_str());
                change(context, which, ClientChange::Status(status), &words)
            }
            Self::Unlock(which) => {
                let words = format!("The locks of {} are released.", which.username);
                change(context, which, ClientChange::Unlock, &words)
            }
            Self::Remove(which) => {
                let words = format!("{} is removed with all devices.", which.username);
                change(context, which, ClientChange::Remove, &words)
            }
            Self::Devices(which) => devices(context, which),
            Self::RemoveDevice { which, device } => {
                let words = format!("Device {device} of {} is removed.", which.username);
                change(context, which, ClientChange::RemoveDevice(DeviceId(*device)), &words)
            }
            Self::OfflineCredentials(which) => offline::list(context, which),
            Self::RevokeOffline { which, credential } => {
                offline::revoke(context, which, CredentialId(*credential))
            }
        }
    }
}

/// Where a client was looked for and found.
struct Place {
    store: Opened,
    tenant: Tenant,
    integration: Integration,
    client: Found,
    devices: Vec<Device>,
}

fn find(context: &Context<'_, '_>, which: &Which) -> Result<Place, Failure> {
    let store = context.open()?;
    let (tenant, integration) = which.of.find(context, &store)?;
    let find =
        FindByName { tenant: tenant.pk, integration: integration.pk, username: which.username.clone() };
    let (client, devices) = store.read(find)?.ok_or_else(|| {
        Failure::not_there(format!(
            "the integration {:?} of {:?} has no client {:?}: see {}",
            integration.name,
            tenant.name,
            which.username.as_str(),
            context.hint("client list")
        ))
    })?;
    Ok(Place { store, tenant, integration, client, devices })
}

fn list(context: &mut Context<'_, '_>, of: &InIntegration) -> Result<(), Failure> {
    let store = context.open()?;
    let (tenant, integration) = of.find(context, &store)?;
    let all = store.all(
        |page| ListClients { tenant: tenant.pk, integration: integration.pk, username: None, page },
        |client: &Found| client.pk.0,
    )?;
    let rows: Vec<_> = all
        .iter()
        .map(|client| {
            [
                client.pk.to_string(),
                client.username.to_string(),
                client.status.as_str().to_owned(),
                date(client.created_at),
            ]
        })
        .collect();
    let empty = format!(
        "The integration {:?} of {:?} has no client yet: clients come about when they enroll, over the API.",
        integration.name, tenant.name
    );
    context.list(&all, &table::lines(["PK", "USERNAME", "STATUS", "CREATED"], &rows), &empty)
}

/// A device as JSON shows it.
#[derive(Debug, Serialize)]
struct DeviceView<'a> {
    pk: i64,
    kind: &'a str,
    name: &'a str,
    shown: Option<&'a str>,
    created_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

fn views(devices: &[Device]) -> Vec<DeviceView<'_>> {
    devices
        .iter()
        .map(|device| DeviceView {
            pk: device.pk.0,
            kind: &device.kind,
            name: &device.name,
            shown: device.shown.as_deref(),
            created_at: device.created_at,
            last_used_at: device.last_used_at,
        })
        .collect()
}

fn device_lines(devices: &[Device]) -> Vec<String> {
    let rows: Vec<_> = devices
        .iter()
        .map(|device| {
            [
                device.pk.to_string(),
                device.name.clone(),
                device.kind.clone(),
                device.shown.clone().unwrap_or_default(),
                device.last_used_at.map_or_else(|| "never".to_owned(), date),
                date(device.created_at),
            ]
        })
        .collect();
    table::lines(["PK", "NAME", "KIND", "ADDRESS", "LAST USED", "CREATED"], &rows)
}

const NO_DEVICE: &str = "No device: at the next login the client may enroll one, where the policy lets them.";

fn devices(context: &mut Context<'_, '_>, which: &Which) -> Result<(), Failure> {
    let place = find(context, which)?;
    context.list(&views(&place.devices), &device_lines(&place.devices), NO_DEVICE)
}

#[derive(Debug, Serialize)]
struct ClientView<'a> {
    #[serde(flatten)]
    client: &'a Found,
    devices: Vec<DeviceView<'a>>,
    locks: Vec<ClientLock>,
}

fn show(context: &mut Context<'_, '_>, which: &Which) -> Result<(), Failure> {
    let Place { store, tenant, integration, client, devices } = find(context, which)?;
    let locks = store.read(LocksOf { tenant: tenant.pk, client: client.pk })?;
    if context.form == Form::Json {
        return context.console.json(&ClientView { client: &client, devices: views(&devices), locks });
    }
    for (label, value) in [
        ("Client", client.username.to_string()),
        ("Number", client.pk.to_string()),
        ("Integration", format!("{} of {}", integration.name, tenant.name)),
        ("Status", client.status.as_str().to_owned()),
        ("Created", date(client.created_at)),
    ] {
        context.console.say(&format!("{label:<12} {value}"))?;
    }
    let now = context.now();
    for lock in &locks {
        let from = lock.source.as_deref().map_or_else(
            || "anywhere".to_owned(),
            |source| if source.is_empty() { "no named address".to_owned() } else { source.to_owned() },
        );
        let tries = counted(u64::from(lock.failures), "failed try").replace("trys", "tries");
        let until = if lock.locked_until > now {
            format!(
                "locked until {}; release with {}",
                date(lock.locked_until),
                context.hint("client unlock NAME")
            )
        } else {
            "not locked".to_owned()
        };
        context.console.say(&format!("{:<12} {tries} with {} from {from}: {until}", "Tries", lock.kind))?;
    }
    context.console.say("")?;
    if devices.is_empty() {
        return context.console.say(NO_DEVICE);
    }
    device_lines(&devices).iter().try_for_each(|line| context.console.say(line))
}

fn change(
    context: &mut Context<'_, '_>,
    which: &Which,
    change: ClientChange,
    words: &str,
) -> Result<(), Failure> {
    let place = find(context, which)?;
    let doer = doer_in(context, &place.integration);
    match place.store.write(ChangeClient { doer, client: place.client.pk, change })? {
        Removed::Done => context.done(words),
        Removed::NotThere => Err(Failure::not_there(format!(
            "{} has no such device: see {}",
            place.client.username,
            context.hint(&format!("client devices {}", place.client.username))
        ))),
    }
}
