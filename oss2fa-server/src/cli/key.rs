//! `key`: the keys of the tenants, and the master key that wraps them.

use clap::Subcommand;
use serde::Serialize;

use super::context::{Context, Form};
use super::date::{counted, date};
use super::failure::{Code, Failure};
use super::opened::Opened;
use super::rotate_master::RotateMaster;
use super::table;
use super::target::{InTenant, tenants};
use crate::ids::{SERVER, TenantId};
use crate::service::rotation::{self, OldKeys, Tally};
use crate::store::verbs::keys::{KeyEntry, ListKeys};
use crate::store::verbs::tenants::Tenant;

/// Keys: a master key in a file wraps those of the tenants, which seal their secrets
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Show which keys there are, and by which master key each is wrapped; no key itself
    List,
    /// Make a new master key, and wrap the keys of all tenants by it
    RotateMaster(RotateMaster),
    /// Finish what rotations have left: seal the rest anew, and drop old keys that nothing needs
    Tidy {
        #[command(flatten)]
        tenant: InTenant,
    },
}

impl Key {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::List => list(context),
            Self::RotateMaster(rotate) => rotate.run(context),
            Self::Tidy { tenant } => tidy(context, tenant),
        }
    }
}

#[derive(Debug, Serialize)]
struct MasterEntry {
    id: String,
    /// Keys of tenants that it wraps.
    wraps: usize,
}

#[derive(Debug, Serialize)]
struct KeyList {
    master_key: String,
    master_keys: Vec<MasterEntry>,
    keys: Vec<KeyEntry>,
}

fn list(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let store = context.open()?;
    let keys = store.read(ListKeys { tenant: None })?;
    let ring = store.store().ring();
    let masters: Vec<MasterEntry> = ring
        .master_ids()
        .iter()
        .map(|id| {
            let id = data_encoding::HEXLOWER.encode(id);
            MasterEntry { wraps: keys.iter().filter(|key| key.master == id).count(), id }
        })
        .collect();
    let master_key = ring.source().path().display().to_string();
    if context.form == Form::Json {
        return context.console.json(&KeyList { master_key, master_keys: masters, keys });
    }
    context.console.say(&format!("Master keys in {master_key}, the newest first:"))?;
    let rows: Vec<_> = masters.iter().map(|master| [master.id.clone(), master.wraps.to_string()]).collect();
    print(context, &table::lines(["ID", "WRAPS"], &rows))?;
    let names = tenants(&store)?;
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            [
                name_of(&names, key.tenant),
                key.purpose.as_str().to_owned(),
                key.version.to_string(),
                key.master.clone(),
                date(key.created_at),
            ]
        })
        .collect();
    context.console.say("")?;
    print(context, &table::lines(["TENANT", "PURPOSE", "VERSION", "WRAPPED BY", "CREATED"], &rows))
}

fn name_of(tenants: &[Tenant], pk: TenantId) -> String {
    if pk == SERVER {
        return "(server)".to_owned();
    }
    tenants.iter().find(|tenant| tenant.pk == pk).map_or_else(|| pk.to_string(), |tenant| tenant.name.clone())
}

fn print(context: &mut Context<'_, '_>, lines: &[String]) -> Result<(), Failure> {
    lines.iter().try_for_each(|line| context.console.say(line))
}

#[derive(Debug, Serialize)]
struct Tidied {
    tenant: String,
    resealed: u64,
    unreadable: u64,
    dropped: Vec<u32>,
    still_used: Vec<u32>,
    too_recent: Vec<u32>,
}

fn tidy(context: &mut Context<'_, '_>, tenant: &InTenant) -> Result<(), Failure> {
    let store = context.open()?;
    let which = match tenant.tenant {
        Some(_) => vec![tenant.find(context, &store)?],
        None => tenants(&store)?,
    };
    let (mut report, mut unreadable) = (Vec::new(), None);
    for tenant in which {
        let tally = reseal(context, &store, tenant.pk)?;
        let old = store.run(rotation::drop_unused(store.store(), &context.doer(tenant.pk)))?;
        if context.form == Form::Words {
            let resealed = counted(tally.resealed, "value");
            context.console.say(&format!("{:?}: {resealed} sealed anew.", tenant.name))?;
            say_old(context, &old)?;
        }
        if tally.unreadable > 0 {
            unreadable = Some((tenant.name.clone(), tally));
        }
        report.push(Tidied {
            tenant: tenant.name,
            resealed: tally.resealed,
            unreadable: tally.unreadable,
            dropped: old.dropped,
            still_used: old.used,
            too_recent: old.recent,
        });
    }
    if context.form == Form::Json {
        context.console.json(&report)?;
    }
    unreadable.map_or(Ok(()), |(name, tally)| complain(context, &name, tally))
}

/// Reseals what older keys of a tenant have sealed, with a bar.
pub(crate) fn reseal(context: &Context<'_, '_>, store: &Opened, tenant: TenantId) -> Result<Tally, Failure> {
    let bar = context.console.bar("sealing anew");
    let tally = store.run(rotation::reseal(store.store(), tenant, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    }));
    bar.finish_and_clear();
    tally
}

/// What has become of old keys, in words.
pub(crate) fn say_old(context: &mut Context<'_, '_>, old: &OldKeys) -> Result<(), Failure> {
    let versions = |versions: &[u32]| {
        let words: Vec<String> = versions.iter().map(ToString::to_string).collect();
        format!("version{} {}", if words.len() == 1 { "" } else { "s" }, words.join(", "))
    };
    if !old.dropped.is_empty() {
        context
            .console
            .say(&format!("Old keys that nothing needs are dropped: {}.", versions(&old.dropped)))?;
    }
    if !old.used.is_empty() {
        context.console.say(&format!(
            "Something is still sealed by {}: stored answers for retried requests, for a day at most, or a value \
             that does not open. Later: {}",
            versions(&old.used),
            context.hint("key tidy")
        ))?;
    }
    if let Some(at) = old.settled_at {
        context.console.say(&format!(
            "Key {} may still be in the memory of a running server. From {} on, drop it with: {}",
            versions(&old.recent),
            date(at),
            context.hint("key tidy")
        ))?;
    }
    Ok(())
}

/// Fails where values did not open.
pub(crate) fn complain(context: &Context<'_, '_>, tenant: &str, tally: Tally) -> Result<(), Failure> {
    if tally.unreadable == 0 {
        return Ok(());
    }
    Err(Failure::new(
        Code::SealedValuesLeft,
        format!(
            "{} of the tenant {tenant:?} did not open, and stay as they are with the key that they name: rows were \
             changed by hand, or a key is gone. Look at {}, and put a backup back beside the store to compare",
            counted(tally.unreadable, "sealed value"),
            context.hint("key list")
        ),
    ))
}
