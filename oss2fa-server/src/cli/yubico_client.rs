//! `yubico-client`: who may ask over the validation protocol of Yubico.

use clap::Subcommand;
use data_encoding::BASE64;
use oss2fa_core::secret::{SecretBytes, SecretText};
use serde::Serialize;

use super::context::{Context, Form};
use super::date::date;
use super::failure::{Code, Failure};
use super::table;
use super::target::{InIntegration, name};
use crate::ids::YubicoClientId;
use crate::service::name::Name;
use crate::store::error::StoreError;
use crate::store::verbs::tenants::Removed;
use crate::store::verbs::yubico_clients::{
    CreateYubicoClient, CreatedYubicoClient, ListYubicoClients, MOST, RemoveYubicoClient,
    YubicoClient as Found,
};

/// Random bytes of a key: as many as YubiCloud's have.
const KEY: usize = 20;

/// Clients of the validation protocol of Yubico, as pam_yubico: an id and a key each
#[derive(Debug, Subcommand)]
pub(crate) enum YubicoClient {
    /// Show the clients of an integration
    List {
        #[command(flatten)]
        integration: InIntegration,
    },
    /// Make a client; its key is shown this once
    Create {
        /// What it is, for people
        #[arg(value_parser = name)]
        name: Name,
        #[command(flatten)]
        integration: InIntegration,
    },
    /// Remove a client; what it asks is refused within seconds
    Remove {
        /// Its id
        id: i64,
        #[command(flatten)]
        integration: InIntegration,
    },
}

impl YubicoClient {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List { integration } => list(context, integration),
            Self::Create { name, integration } => create(context, name, integration),
            Self::Remove { id, integration } => remove(context, YubicoClientId(*id), integration),
        }
    }
}

fn list(context: &mut Context<'_, '_>, integration: &InIntegration) -> Result<(), Failure> {
    let store = context.open()?;
    let (tenant, integration) = integration.find(context, &store)?;
    let all = store.read(ListYubicoClients { tenant: tenant.pk, integration: integration.pk })?;
    let rows: Vec<_> =
        all.iter().map(|one| [one.id.to_string(), date(one.created_at), one.name.clone()]).collect();
    let empty = format!(
        "The integration {:?} has no client of the validation protocol. Make one with: {}",
        integration.name,
        context.hint("yubico-client create NAME")
    );
    context.list(&all, &table::lines(["ID", "CREATED", "NAME"], &rows), &empty)
}

/// A client on its way out.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    client: &'a Found,
    key: &'a SecretText,
}

fn create(context: &mut Context<'_, '_>, name: &Name, integration: &InIntegration) -> Result<(), Failure> {
    let store = context.open()?;
    let (tenant, integration) = integration.find(context, &store)?;
    let mut key = vec![0; KEY];
    context.environment.random.fill(&mut key).map_err(StoreError::from)?;
    let key = SecretBytes::new(key);
    let text = SecretText::new(BASE64.encode(key.expose()));
    let create = CreateYubicoClient {
        doer: context.doer(tenant.pk),
        integration: integration.pk,
        name: name.as_str().to_owned(),
        key,
    };
    let client = match store.write(create)? {
        CreatedYubicoClient::New(client) => client,
        CreatedYubicoClient::TooMany => {
            let what = format!("the integration {:?} has {MOST} clients: remove one first", integration.name);
            return Err(Failure::new(Code::StillUsed, what));
        }
        CreatedYubicoClient::NotThere => {
            let what = format!("the integration {:?} was removed by somebody else", integration.name);
            return Err(Failure::not_there(what));
        }
    };
    if context.form == Form::Json {
        return context.console.json(&Shown { client: &client, key: &text });
    }
    let lines = [
        format!("The client {:?} of {:?} is made.", client.name, integration.name),
        format!("  id:  {}", client.id),
        format!("  key: {}", text.expose()),
        "Requests go to https://SERVER/wsapi/2.0/verify. The key is shown this once: keep it where only the \
         client reads it."
            .to_owned(),
    ];
    lines.iter().try_for_each(|line| context.console.say(line))
}

fn remove(
    context: &mut Context<'_, '_>,
    id: YubicoClientId,
    integration: &InIntegration,
) -> Result<(), Failure> {
    let store = context.open()?;
    let (tenant, integration) = integration.find(context, &store)?;
    let remove = RemoveYubicoClient { doer: context.doer(tenant.pk), integration: integration.pk, id };
    match store.write(remove)? {
        Removed::Done => context.done(&format!("The client {id} is removed.")),
        Removed::NotThere => Err(Failure::not_there(format!(
            "the integration {:?} has no client {id}: see {}",
            integration.name,
            context.hint("yubico-client list")
        ))),
    }
}
