//! Fills a new store with many enrolled users, for measurements: `fill_agent_store CONFIG COUNT`.
//!
//! Through the store's own verbs, as the user that the agent runs as; the users need not exist.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use data_encoding::BASE32_NOPAD;
use oss2fa_agent::admin::{ImportResult, Imported, OtpKind};
use oss2fa_agent::config::Config;
use oss2fa_agent::outside::{Random, System};
use oss2fa_agent::privileges::{drop_to, owner_when_serving};
use oss2fa_agent::store::open::prepare_folder;
use oss2fa_agent::store::writer::EventSink;
use oss2fa_agent::store::{AuditEntry, Context, Store, master_key};
use oss2fa_core::ids::{DeviceName, UserName};
use oss2fa_core::secret::SecretText;

const THREADS: u32 = 64;

struct NoLog;

impl EventSink for NoLog {
    fn event(&mut self, _entry: &AuditEntry) {}
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, count] = arguments.as_slice() else { bail!("usage: fill_agent_store CONFIG COUNT") };
    let config = Config::load(Path::new(config))?;
    let owner = owner_when_serving(&config.agent.user)?;
    prepare_folder(&config.store.path, owner)?;
    let master = master_key::find(&config.store.master_key, owner, None)?;
    drop_to(owner, &config.agent.user)?;
    let system = Arc::new(System);
    let store = Store::open(&config.store, master, owner, system.clone(), system, Box::new(NoLog))?;
    fill(&store, count.parse()?)
}

/// Several threads, so that their users share commits.
fn fill(store: &Store, count: u32) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS)
            .map(|part| {
                scope.spawn(move || {
                    (0..count)
                        .filter(|number| number % THREADS == part)
                        .try_for_each(|number| one(store, number))
                })
            })
            .collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

fn one(store: &Store, number: u32) -> anyhow::Result<()> {
    let user = UserName::from_directory(&format!("u{number:06}"))?;
    let context = Context {
        now: store.now(),
        user: user.as_str().to_owned(),
        service: "fill".to_owned(),
        source: String::new(),
    };
    match store.import(context, user, DeviceName::new("filled")?, secret()?)? {
        ImportResult::Imported(_) => Ok(()),
        other => bail!("not imported: {other:?}"),
    }
}

fn secret() -> anyhow::Result<Imported> {
    let mut bytes = [0; 20];
    System.fill(&mut bytes)?;
    Ok(Imported::Otp {
        kind: OtpKind::Totp,
        secret: SecretText::new(BASE32_NOPAD.encode(&bytes)),
        parameters: oss2fa_core::factor::otp::OtpParameters::default(),
        next_position: 0,
        drift: 0,
    })
}
