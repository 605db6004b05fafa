//! `integration policy`: the rules of an integration, shown and changed.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::context::{Context, Form};
use super::dotted;
use super::failure::{Code, Failure};
use super::target::{InTenant, doer_in, integration_named, name};
use crate::device::Kinds;
use crate::policy::Policy;
use crate::service::name::Name;
use crate::store::verbs::integrations::SetPolicy;
use crate::store::verbs::tenants::Removed;

/// Show or change the rules of an integration
///
/// Without --set and --file it shows them. Changes hold from the next request on, within seconds.
#[derive(Debug, clap::Args)]
pub(crate) struct PolicyOf {
    /// Name of the integration
    #[arg(value_parser = name)]
    name: Name,
    #[command(flatten)]
    tenant: InTenant,
    /// Change one key, such as code_length=8, locks.free_attempts=3 or device_kinds=totp,hotp; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Take all rules from a JSON file, as --json shows them; what it leaves out has its default. "-" is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    file: Option<PathBuf>,
}

/// More than any policy needs.
const LARGEST: u64 = 1024 * 1024;

fn setting(written: &str) -> Result<(String, String), String> {
    written
        .split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .ok_or_else(|| "write KEY=VALUE".to_owned())
}

impl PolicyOf {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let store = context.open()?;
        let tenant = self.tenant.find(context, &store)?;
        let integration = integration_named(context, &store, &tenant, &self.name)?;
        let Some(wanted) = self.wanted(context, &integration.policy)? else {
            return show(context, &integration.policy);
        };
        let kinds: Vec<&str> = Kinds::all().descriptions().map(|kind| kind.name).collect();
        let policy =
            wanted.checked(&kinds).map_err(|error| Failure::new(Code::BadUsage, error.to_string()))?;
        let doer = doer_in(context, &integration);
        let set = SetPolicy { doer, integration: integration.pk, policy: policy.clone() };
        match store.write(set)? {
            Removed::Done => show(context, &policy),
            Removed::NotThere => Err(Failure::not_there(format!(
                "the integration {:?} was removed by somebody else",
                integration.name
            ))),
        }
    }

    fn wanted(&self, context: &mut Context<'_, '_>, now: &Policy) -> Result<Option<Policy>, Failure> {
        let bad = |what: String| Failure::new(Code::BadUsage, what);
        if let Some(file) = &self.file {
            let text = read(context, file)?;
            return serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| bad(format!("{} is no policy: {error}", file.display())));
        }
        if self.set.is_empty() {
            return Ok(None);
        }
        let mut tree = tree(now)?;
        for (key, value) in &self.set {
            dotted::set(&mut tree, key, value).map_err(bad)?;
        }
        serde_json::from_value(tree).map(Some).map_err(|error| bad(format!("that is no policy: {error}")))
    }
}

fn read(context: &mut Context<'_, '_>, file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        Read::take(&mut *context.console.stdin, LARGEST).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(LARGEST).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::new(Code::BadFile, format!("{} cannot be read: {error}", file.display())))?;
    Ok(text)
}

fn tree(policy: &Policy) -> Result<Value, Failure> {
    serde_json::to_value(policy)
        .map_err(|error| Failure::new(Code::StoreUnavailable, format!("the policy cannot be shown: {error}")))
}

fn show(context: &mut Context<'_, '_>, policy: &Policy) -> Result<(), Failure> {
    if context.form == Form::Json {
        return context.console.json(policy);
    }
    dotted::lines(&tree(policy)?).iter().try_for_each(|line| context.console.say(line))
}
