//! What the agent's own configuration says about who is not asked.

use super::phase;
use super::stack::Stack;
use crate::config::Config;
use crate::policy::{Unenrolled, family};

/// For one service, whose stack asks the agent.
pub(super) fn notes(config: &Result<Config, String>, service: &str, stack: &Stack) -> Vec<String> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            return vec![format!(
                "the agent refuses every login as long as its configuration is unusable: {error}"
            )];
        }
    };
    let mut notes = Vec::new();
    for (link, socket) in phase::sockets(&stack.auth).chain(phase::sockets(&stack.account)) {
        if std::path::Path::new(socket) != config.agent.socket {
            notes.push(format!(
                "{} asks at {socket}, and the agent of {} listens at {}",
                link.place,
                config.path.display(),
                config.agent.socket.display()
            ));
        }
    }
    let (rules, path) = (config.policy.rules(service), config.path.display());
    if rules.unenrolled == Unenrolled::Skip {
        let unless = match rules.required_groups.as_slice() {
            [] => String::new(),
            groups => format!(", unless they are in {}", groups.join(", ")),
        };
        notes.push(format!(
            "whoever has never enrolled is not asked{unless} (`unenrolled = \"skip\"` in {path})"
        ));
    }
    if !rules.exempt_groups.is_empty() {
        notes.push(format!(
            "members of {} are not asked (`exempt_groups` in {path})",
            rules.exempt_groups.join(", ")
        ));
    }
    if !rules.skip_networks.is_empty() {
        let networks: Vec<String> = rules.skip_networks.iter().map(ToString::to_string).collect();
        notes.push(format!(
            "whoever comes from {} is not asked (`skip_networks` in {path})",
            networks.join(", ")
        ));
    }
    if let Some(server) = &config.server {
        if server.fail_open_services.contains(family(service)) {
            notes.push(format!(
                "WHILE NO SERVER CAN BE REACHED NOBODY IS ASKED: whoever keeps this host from its server needs no second \
                 factor (`fail_open_services` in {path})"
            ));
        }
        if config.policy.enrolls_at_login(service) {
            notes.push(format!(
                "whoever has no device at the server enrols one in the login, knowing no more than the password \
                 (`enroll_at_login` in {path})"
            ));
        }
    }
    if rules.factors.is_empty() {
        notes.push(format!("no factor counts, so nobody who is asked gets in (`factors` in {path})"));
    }
    notes
}
