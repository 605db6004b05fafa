//! `list`: devices, as a table or as JSON.

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::verdict::FactorKind;

use super::arguments::shown_id;
use super::connection::Agent;
use super::context::{Context, Form, Output, Whose};
use super::date::{counted, date};
use super::failure::Failure;
use super::table;
use crate::admin::{DeviceView, More, Request, Response};

/// Show your devices; as root and without --user, everybody's
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl List {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let everybody = self.whose.user.is_none() && context.is_root();
        let user = if everybody { None } else { Some(context.user(&self.whose)?) };
        let devices = all(&context.agent()?, user.as_deref())?;
        match (context.form, user) {
            (Form::Json, _) => context.console.json(&devices),
            (Form::Words, None) if devices.is_empty() => context.console.say("Nobody has a device yet."),
            (Form::Words, Some(user)) if devices.is_empty() => context
                .console
                .say(&format!("{user} has no device. Add one with: {}", context.hint("enroll totp", &user))),
            (Form::Words, None) => {
                let rows: Vec<_> = devices.iter().map(|device| with_user(device, row(device))).collect();
                print(context, &table::lines(with_column("USER", HEADING), &rows))
            }
            (Form::Words, Some(_)) => {
                let rows: Vec<_> = devices.iter().map(row).collect();
                print(context, &table::lines(HEADING, &rows))
            }
        }
    }
}

/// The devices of a user, or of everybody, page by page.
pub(crate) fn all(agent: &Agent, user: Option<&str>) -> Result<Vec<DeviceView>, Failure> {
    let mut all: Vec<DeviceView> = Vec::new();
    loop {
        let after = all.last().map(|device| device.device);
        match agent.done(&Request::List { user: user.map(str::to_owned), after })? {
            Response::Devices { devices, more } => {
                let last = devices.last().map(|device| device.device);
                let moved_on = last.is_some() && last != after;
                all.extend(devices);
                // A page that does not move on would be asked for without end.
                if more == More::No || !moved_on {
                    return Ok(all);
                }
            }
            other => return Err(Failure::out_of_place(&other)),
        }
    }
}

const HEADING: [&str; 6] = ["ID", "NAME", "KIND", "STATUS", "LAST USED", "ADDED"];

fn row(device: &DeviceView) -> [String; 6] {
    [
        shown_id(device.device),
        device.name.to_string(),
        kind(device),
        device.status.as_str().to_owned(),
        device.last_used_at.map_or_else(|| "never".to_owned(), date),
        date(device.created_at),
    ]
}

fn with_user(device: &DeviceView, row: [String; 6]) -> [String; 7] {
    let [id, rest @ ..] = row;
    let [name, kind, status, used, added] = rest;
    [id, device.user.clone(), name, kind, status, used, added]
}

fn with_column<'a>(column: &'a str, heading: [&'a str; 6]) -> [&'a str; 7] {
    let [id, name, kind, status, used, added] = heading;
    [id, column, name, kind, status, used, added]
}

// What differs from the defaults is worth a word; what does not is not.
fn kind(device: &DeviceView) -> String {
    if let Some(words) = &device.shown_as {
        return words.clone();
    }
    if let Some(left) = device.codes_left {
        return format!("{}, {} left", device.kind, counted(left, "code"));
    }
    let mut words = vec![device.kind.to_string()];
    if let Some(parameters) = device.parameters {
        let usual = OtpParameters::default();
        if parameters.digits != usual.digits {
            words.push(format!("{} digits", parameters.digits));
        }
        if parameters.algorithm != usual.algorithm {
            words.push(parameters.algorithm.to_string());
        }
        if device.kind == FactorKind::Totp && parameters.period != usual.period {
            words.push(format!("{} s", parameters.period));
        }
    }
    words.join(", ")
}

fn print(context: &mut Context<'_, '_>, lines: &[String]) -> Result<(), Failure> {
    lines.iter().try_for_each(|line| context.console.say(line))
}
