//! `import`: devices of other systems, read from their files.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use oss2fa_core::import::yubikey_csv;
use serde::Serialize;
use zeroize::Zeroizing;

use super::context::{Context, Form};
use super::failure::{Code, Failure};
use super::target::{InIntegration, doer_in};
use crate::device::yubikey::Secrets;
use crate::ids::Username;
use crate::store::error::StoreError;
use crate::store::verbs::yubikeys::{ImportYubikey, ImportedYubikey};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Take over devices of other systems
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// YubiKeys: the log of the YubiKey Personalization Tool ("traditional" or "Yubico" format), or of ykman
    ///
    /// Each key becomes the device of a client that is named by its public id.
    YubikeyCsv {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        integration: InIntegration,
    },
}

/// What came of a line.
#[derive(Debug, Serialize)]
struct Line {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_id: Option<String>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Import {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        match self {
            Self::YubikeyCsv { file, integration } => yubikey_csv(context, file, integration),
        }
    }
}

fn yubikey_csv(
    context: &mut Context<'_, '_>,
    file: &Path,
    integration: &InIntegration,
) -> Result<(), Failure> {
    let text = read(file)?;
    let found = yubikey_csv::parse(&text);
    if found.is_empty() {
        let what = format!("{}: it has no entry: nothing was imported", file.display());
        return Err(Failure::new(Code::BadFile, what));
    }
    let store = context.open()?;
    let (_, integration) = integration.find(context, &store)?;
    let mut report = Vec::with_capacity(found.len());
    for entry in found {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let reason = Some(error.reason);
                report.push(Line { line: error.line, public_id: None, result: "refused", reason });
                continue;
            }
        };
        let yubikey_csv::ImportedYubikey { line, public_id, private_id, key, .. } = entry;
        let username = Username::parse(public_id.as_str())
            .map_err(|_| StoreError::Corrupt("a public id that is no name"))?;
        let device = Secrets { public_id: public_id.clone(), private_id, key }.device(0)?;
        let import = ImportYubikey { doer: doer_in(context, &integration), username, device };
        let (result, reason) = match store.write(import)? {
            ImportedYubikey::New(..) => ("imported", None),
            ImportedYubikey::Taken => {
                ("there", Some("a device has this public id already, and stays as it is"))
            }
            ImportedYubikey::SecretInUse => ("refused", Some("another device has this key")),
            ImportedYubikey::NotThere => ("refused", Some("the integration was removed by somebody else")),
        };
        let reason = reason.map(str::to_owned);
        report.push(Line { line, public_id: Some(public_id.to_string()), result, reason });
    }
    tell(context, &report)?;
    let refused = report.iter().filter(|line| line.result == "refused").count();
    match refused {
        0 => Ok(()),
        _ => Err(Failure::new(
            Code::BadFile,
            format!("{}: {refused} of {} entries were not imported", file.display(), report.len()),
        )),
    }
}

fn tell(context: &mut Context<'_, '_>, report: &[Line]) -> Result<(), Failure> {
    if context.form == Form::Json {
        return context.console.json(&report);
    }
    for Line { line, public_id, result, reason } in report {
        let whose = public_id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
        let why = reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let word = if *result == "there" { "already there" } else { result };
        context.console.say(&format!("line {line}:{whose} {word}{why}"))?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let bad = |what: String| Failure::new(Code::BadFile, format!("{}: {what}", file.display()));
    let mut text = Zeroizing::new(String::new());
    File::open(file)
        .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
        .map_err(|error| bad(format!("it cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST {
        return Err(bad(format!("it is longer than {LARGEST} bytes")));
    }
    Ok(text)
}
