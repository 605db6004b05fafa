//! `status`: how the daemon is doing.

use super::context::{Context, Form, Output};
use super::date::duration;
use super::failure::Failure;
use super::table;
use crate::admin::{self, Request, Response};

/// Show how the agent is doing (root)
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Status {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let agent = context.agent()?;
        let status = match agent.done(&Request::Status {})? {
            Response::Status(status) => status,
            other => return Err(Failure::out_of_place(&other)),
        };
        if context.form == Form::Json {
            return context.console.json(&status);
        }
        context.console.say(&format!(
            "The agent is running: version {}, up for {}.",
            status.version,
            duration(status.uptime)
        ))?;
        let socket = agent.socket().display().to_string();
        for line in table::lines(["", "", ""], &rows(&status, socket)).iter().skip(1) {
            context.console.say(line)?;
        }
        match &status.reload_error {
            None => Ok(()),
            Some(error) => context.console.say(&format!(
                "\nThe last reload was refused, and the settings from before it stay in force:\n  {error}"
            )),
        }
    }
}

fn rows(status: &admin::Status, socket: String) -> Vec<[String; 3]> {
    let unenrolled = match status.unenrolled.as_str() {
        "skip" => "skip: they pass without a second factor",
        _ => "deny: they are refused and told how to enrol",
    };
    let mut rows = vec![
        ("Socket", socket),
        ("Configuration", status.config.clone()),
        ("Store", status.store.clone()),
        ("Users", format!("{} enrolled, now or once", status.users)),
        ("Devices", format!("{} active", status.devices)),
        ("Locks", format!("{} in force", status.locks)),
        ("Audit events", status.audit_events.to_string()),
        ("Never enrolled", unenrolled.to_owned()),
    ];
    for server in &status.servers {
        let health = match &server.away {
            None => "not known to be away".to_owned(),
            Some(why) => format!("away: {why}"),
        };
        rows.push(("Server", format!("{}, {health}", server.url)));
    }
    if !status.servers.is_empty() {
        rows.push(("Mode", status.mode.clone()));
        rows.push((
            "To be told",
            format!("{} events that the server has not heard of", status.waiting_events),
        ));
    }
    for touch in &status.ssh_touch {
        let counts = match &touch.not_counted {
            None => "a touch of an ssh key counts".to_owned(),
            Some(why) => format!("no touch of an ssh key counts, or not for everybody: {why}"),
        };
        rows.push(("Ssh keys", format!("{}: {counts}", touch.service)));
    }
    rows.into_iter().map(|(name, value)| [String::new(), name.to_owned(), value]).collect()
}
