//! `app import` and `app export`: the apps of the original, as Django's `dumpdata` writes them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::app::{all, home_made};
use super::context::{Context, Form};
use super::failure::{Code, Failure};
use super::target::doer_in;
use crate::device::app::Seed;
use crate::ids::{AppUuid, Username};
use crate::service::apps::own::AppName;
use crate::store::verbs::apps::{RegisterApp, Registered, TakeSeed, TakenSeed, Trusted};

/// The model's label in what is exported.
const MODEL: &str = "ungleichotp.app";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// An entry of `dumpdata`.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    model: String,
    #[serde(default)]
    pk: Value,
    #[serde(default)]
    fields: Value,
}

/// An app as the original has it.
#[derive(Serialize)]
struct Fields<'a> {
    appuuid: &'a AppUuid,
    appname: &'a str,
    username: &'a Username,
    seed: SecretText,
    trusted: Trusted,
}

/// An entry as it is written.
#[derive(Serialize)]
struct Written<'a> {
    model: &'static str,
    pk: &'a AppUuid,
    fields: Fields<'a>,
}

/// An app that was read.
struct Known {
    app: AppUuid,
    name: AppName,
    username: Username,
    seed: Seed,
    trusted: Trusted,
}

/// What came of an import.
#[derive(Default, Serialize)]
struct Report {
    imported: usize,
    already_there: usize,
    not_apps: usize,
    refused: Vec<String>,
}

pub(super) fn import(context: &mut Context<'_, '_>, file: &Path) -> Result<(), Failure> {
    let mut report = Report::default();
    let apps = read(file, &mut report)?;
    let store = context.open()?;
    let home = home_made(context, &store)?;
    for Known { app, name, username, seed, trusted } in apps {
        let register = RegisterApp {
            doer: doer_in(context, &home),
            app: app.clone(),
            name: name.as_str().to_owned(),
            username,
            trusted,
            device: seed.device(),
            // The app has it.
            seed_reads: 1,
            most: u32::MAX,
        };
        match store.write(register)? {
            Registered::New(_) => report.imported += 1,
            Registered::Taken => report.already_there += 1,
            Registered::SeedInUse if is_there(&store, &app)? => report.already_there += 1,
            Registered::SeedInUse | Registered::TooMany => {
                report.refused.push(format!("{app}: another app or device has this seed"));
            }
        }
    }
    if context.form == Form::Json {
        context.console.json(&report)?;
    } else {
        let Report { imported, already_there, not_apps, .. } = &report;
        context.console.say(&format!(
            "Imported {imported}; {already_there} were there already and stay as they are; {not_apps} entries \
             of the file are no apps."
        ))?;
    }
    if report.refused.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Code::NameTaken, format!("not imported: {}", report.refused.join("; "))))
}

fn is_there(store: &super::opened::Opened, app: &AppUuid) -> Result<bool, Failure> {
    let known = all(store, None)?.map(|(_, apps)| apps).unwrap_or_default();
    Ok(known.iter().any(|known| known.appuuid == *app))
}

/// All apps of the file; nothing is imported of a file in which one cannot be.
fn read(file: &Path, report: &mut Report) -> Result<Vec<Known>, Failure> {
    let bad = |what: String| Failure::new(Code::BadFile, format!("{}: {what}", file.display()));
    let mut text = Zeroizing::new(Vec::new());
    File::open(file)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
        .map_err(|error| bad(format!("it cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST {
        return Err(bad(format!("it is longer than {LARGEST} bytes")));
    }
    let entries: Vec<Entry> = serde_json::from_slice(&text).map_err(|error| {
        // The place alone: the text of the error could repeat a seed.
        bad(format!(
            "it is not what dumpdata writes, a JSON list of objects with model, pk and fields: line {} column {}",
            error.line(),
            error.column()
        ))
    })?;
    let mut apps = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        if entry.fields.get("seed").is_none() {
            report.not_apps += 1;
            continue;
        }
        let app =
            app_of(entry).map_err(|what| bad(format!("entry {} ({:?}): {what}", number + 1, entry.model)))?;
        apps.push(app);
    }
    if apps.is_empty() {
        return Err(bad("it has no entry with a seed: nothing was imported".to_owned()));
    }
    Ok(apps)
}

fn app_of(entry: &Entry) -> Result<Known, String> {
    let text = |field: &str| {
        entry.fields.get(field).and_then(Value::as_str).ok_or_else(|| format!("{field} must be a text"))
    };
    let uuid = match entry.fields.get("appuuid") {
        Some(_) => text("appuuid")?,
        None => entry.pk.as_str().ok_or("it has no appuuid, neither as a field nor as pk")?,
    };
    let trusted = match entry.fields.get("trusted") {
        None => false,
        Some(Value::Bool(trusted)) => *trusted,
        Some(_) => return Err("trusted must be true or false".to_owned()),
    };
    Ok(Known {
        app: AppUuid::parse(uuid).map_err(|error| error.to_string())?,
        name: AppName::parse(text("appname")?).map_err(|error| error.to_string())?,
        username: Username::parse(text("username")?).map_err(|error| format!("username: {error}"))?,
        seed: Seed::parse(text("seed")?).map_err(|error| error.to_string())?,
        trusted: Trusted::from(trusted),
    })
}

pub(super) fn export(context: &mut Context<'_, '_>) -> Result<(), Failure> {
    let store = context.open()?;
    let Some((home, apps)) = all(&store, None)? else { return context.console.json(&Vec::<Value>::new()) };
    let mut entries = Vec::with_capacity(apps.len());
    let mut without = 0;
    for app in &apps {
        let take =
            TakeSeed { doer: doer_in(context, &home), app: app.appuuid.clone(), username: None, reads: None };
        let TakenSeed::Material(material) = store.write(take)? else {
            without += 1;
            continue;
        };
        let fields = Fields {
            appuuid: &app.appuuid,
            appname: &app.appname,
            username: &app.username,
            seed: Seed::of(&material)?.text(),
            trusted: app.trusted,
        };
        entries.push(Written { model: MODEL, pk: &app.appuuid, fields });
    }
    context.console.json(&entries)?;
    if without > 0 {
        context.console.note(&format!("{without} apps have no seed any more and are left out"))?;
    }
    Ok(())
}
