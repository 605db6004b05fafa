//! `check-config`: whether the agent can use its configuration, and what it means, in words.

use nix::unistd::{Group, User};
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::verify::UserVerification;
use serde::Serialize;

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use crate::config::{Config, ConfigError, MasterKeySource, ServerConfig, Trust};
use crate::policy::{Messages, Policy, Rules, SelfService, Unenrolled};
use crate::validation::ValidationServers;

/// Check the configuration file and say in words what it means
#[derive(Debug, clap::Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What the check prints as JSON.
#[derive(Debug, Serialize)]
struct Report {
    status: &'static str,
    config: String,
    socket: String,
    store: String,
    master_key: String,
    user: String,
    rules: RuleReport,
    services: Vec<RuleReport>,
    self_service: Vec<&'static str>,
    /// Services of sshd in which the touch of an ssh key counts.
    ssh_touch_services: Vec<String>,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerReport>,
    /// The validation servers for YubiKeys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    yubico: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ServerReport {
    urls: Vec<String>,
    token_file: String,
    trust: String,
    timeout: u64,
    fail_open_services: Vec<String>,
    enroll_at_login: Vec<String>,
    host: String,
}

#[derive(Debug, Serialize)]
struct RuleReport {
    /// `None` for the rules where no service has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    unenrolled: &'static str,
    required_groups: Vec<String>,
    exempt_groups: Vec<String>,
    skip_networks: Vec<String>,
    factors: Vec<&'static str>,
    user_verification: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'static str>,
}

/// Stands for the services that have no rules of their own.
const OTHERS: &str = "(every other service)";

impl CheckConfig {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let config = context.config()?;
        let unusable = |error: ConfigError| Failure::new(OwnCode::BadConfiguration, error.to_string());
        let _readable = config.keys.attestation.demand().map_err(unusable)?;
        // The daemon would not start with it.
        if let Some(Err(problem)) = config.yubico.as_ref().map(ValidationServers::check) {
            return Err(Failure::new(OwnCode::BadConfiguration, problem));
        }
        let report = Report::of(&config);
        if context.form == Form::Json {
            return context.console.json(&report);
        }
        for line in report.words() {
            context.console.say(&line)?;
        }
        report.warnings.iter().try_for_each(|warning| context.console.note(&format!("warning: {warning}")))
    }
}

impl Report {
    fn of(config: &Config) -> Self {
        let policy = &config.policy;
        let mut services: Vec<RuleReport> =
            policy.services().map(|(name, rules)| RuleReport::of(policy, Some(name), rules)).collect();
        if !services.is_empty() {
            services.push(RuleReport::of(policy, Some(OTHERS), policy.rules(OTHERS)));
        }
        let self_service = [
            (SelfService::Enroll, "enroll"),
            (SelfService::List, "list"),
            (SelfService::Remove, "remove"),
            (SelfService::Rename, "rename"),
        ];
        Self {
            status: "ok",
            config: config.path.display().to_string(),
            socket: config.agent.socket.display().to_string(),
            store: config.store.path.display().to_string(),
            master_key: match &config.store.master_key {
                MasterKeySource::File(path) => path.display().to_string(),
                MasterKeySource::Credential(name) => format!("credential:{name}"),
            },
            user: config.agent.user.clone(),
            rules: RuleReport::of(policy, None, policy.base()),
            services,
            self_service: self_service
                .into_iter()
                .filter(|(verb, _)| policy.allows(*verb))
                .map(|(_, word)| word)
                .collect(),
            ssh_touch_services: policy
                .ssh_touch_services()
                .filter(|service| config.counts_ssh_touch(service))
                .map(str::to_owned)
                .collect(),
            mode: config.mode(),
            server: config.server.as_ref().map(|server| ServerReport::of(server, policy)),
            yubico: config.yubico.iter().flat_map(|yubico| &yubico.urls).map(ToString::to_string).collect(),
            warnings: warnings(config),
        }
    }

    fn words(&self) -> Vec<String> {
        let mut lines = vec![format!("{}: ok", self.config), String::new()];
        if self.services.is_empty() {
            lines.push("For every service:".to_owned());
            lines.extend(self.rules.words());
        }
        for rules in &self.services {
            lines.push(format!(
                "For {}:",
                rules.service.as_deref().unwrap_or_default().trim_matches(['(', ')'])
            ));
            lines.extend(rules.words());
        }
        lines.push(match self.self_service.as_slice() {
            [] => "Users may do nothing for themselves: root acts for them.".to_owned(),
            verbs => format!("Users may do for themselves: {}.", verbs.join(", ")),
        });
        if !self.ssh_touch_services.is_empty() {
            lines.push(format!(
                "In logins to {}, the touch of an enrolled ssh key that lives on a security key counts, where sshd insists \
                 on it.",
                self.ssh_touch_services.join(", ")
            ));
        }
        if let Some(server) = &self.server {
            lines.extend(server.words(self.mode));
        }
        if !self.yubico.is_empty() {
            lines.push(format!(
                "What YubiKeys type whose secrets are not on this host is judged by {}.",
                self.yubico.join(", ")
            ));
        }
        lines.push(format!(
            "The agent runs as {}, listens on {}, stores in {}, sealed with the key in {}.",
            self.user, self.socket, self.store, self.master_key
        ));
        lines
    }
}

impl ServerReport {
    fn of(server: &ServerConfig, policy: &Policy) -> Self {
        Self {
            urls: server.urls.iter().map(|url| url.as_str().to_owned()).collect(),
            token_file: server.token_file.display().to_string(),
            trust: match &server.trust {
                Trust::System => "the system's authorities".to_owned(),
                Trust::Authorities(path) => format!("the authorities in {}", path.display()),
                Trust::Pinned(_) => "its pinned certificate".to_owned(),
            },
            timeout: server.timeout.as_secs(),
            fail_open_services: server.fail_open_services.iter().cloned().collect(),
            enroll_at_login: policy.enroll_at_login().map(str::to_owned).collect(),
            host: server.host.clone(),
        }
    }

    fn words(&self, mode: &str) -> Vec<String> {
        let who = match mode {
            "remote-then-local" => "about whoever has no device on this host",
            _ => "about everybody",
        };
        let mut lines = vec![format!(
            "The server decides {who} whom the rules above do not let pass (mode = \"{mode}\"): {}, known by {}, as the \
             host {}, within {} s.",
            self.urls.join(", "),
            self.trust,
            self.host,
            self.timeout
        )];
        lines.push(match self.fail_open_services.as_slice() {
            [] => "While no server can be reached, nobody passes without a code.".to_owned(),
            services => format!(
                "WHILE NO SERVER CAN BE REACHED, {} LETS EVERYBODY PASS WITHOUT A SECOND FACTOR.",
                services.join(", ")
            ),
        });
        if !self.enroll_at_login.is_empty() {
            lines.push(format!(
                "Whoever has no device at the server enrols one in a login to {}.",
                self.enroll_at_login.join(", ")
            ));
        }
        lines
    }
}

const TOUCH: &str = "touch";

impl RuleReport {
    fn of(policy: &Policy, service: Option<&str>, rules: &Rules) -> Self {
        // Allowed everywhere by default, it counts where policy names the service as well.
        let touched_afar = match service {
            Some(service) => policy.counts_ssh_touch(service),
            None => policy.ssh_touch_services().any(|service| policy.counts_ssh_touch(service)),
        };
        let counts = |kind: &&FactorKind| **kind != FactorKind::SshSk || touched_afar;
        Self {
            service: service.map(str::to_owned),
            unenrolled: rules.unenrolled.as_str(),
            required_groups: rules.required_groups.clone(),
            exempt_groups: rules.exempt_groups.clone(),
            skip_networks: rules.skip_networks.iter().map(ToString::to_string).collect(),
            factors: rules.factors.iter().filter(counts).map(|kind| kind.as_str()).collect(),
            user_verification: match rules.user_verification {
                UserVerification::NotAsked => TOUCH,
                UserVerification::Required => "required",
            },
            messages: rules.messages.map(|messages| match messages {
                Messages::Show => "show",
                Messages::Hide => "hide",
            }),
        }
    }

    fn words(&self) -> Vec<String> {
        let mut lines = vec!["Whoever has enrolled, now or once, must show a second factor.".to_owned()];
        let required = &self.required_groups;
        if !required.is_empty() {
            lines.push(format!("Members of {} must, enrolled or not.", required.join(", ")));
        }
        lines.push(if self.unenrolled == Unenrolled::Skip.as_str() {
            "Whoever has never enrolled passes without one (unenrolled = \"skip\").".to_owned()
        } else {
            "Whoever has never enrolled is refused (unenrolled = \"deny\").".to_owned()
        });
        if !self.exempt_groups.is_empty() {
            let unless = if required.is_empty() { "" } else { ", unless they must as above" };
            lines.push(format!("Members of {} are not asked{unless}.", self.exempt_groups.join(", ")));
        }
        if !self.skip_networks.is_empty() {
            lines.push(format!("Whoever comes from {} is not asked.", self.skip_networks.join(", ")));
        }
        if self.exempt_groups.is_empty() && self.skip_networks.is_empty() {
            lines.push("No group and no network is exempt.".to_owned());
        }
        lines.push(match self.factors.as_slice() {
            [] => "No factor counts: nobody who must show one gets in.".to_owned(),
            factors => format!("What counts: {}.", factors.join(", ")),
        });
        if self.user_verification != TOUCH {
            lines.push("A security key asks for its PIN, or for a finger: a touch is too little.".to_owned());
        }
        lines.iter().map(|line| format!("  {line}")).collect()
    }
}

/// What is allowed, and yet is most likely not what was meant.
fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(server) = &config.server
        && let Err(problem) = crate::server::tls::settings(&server.trust)
    {
        warnings.push(problem);
    }
    if config.server.is_none() && config.policy.enroll_at_login().next().is_some() {
        warnings.push("enroll_at_login holds where a server decides, and there is none".to_owned());
    }
    if let Ok(None) = User::from_name(&config.agent.user) {
        warnings.push(format!("this host has no user {}, which [agent] user names", config.agent.user));
    }
    let policy = &config.policy;
    let all = || std::iter::once(policy.base()).chain(policy.services().map(|(_, rules)| rules));
    let mut groups: Vec<&String> =
        all().flat_map(|rules| rules.required_groups.iter().chain(&rules.exempt_groups)).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        match Group::from_name(group) {
            Ok(Some(_)) => {}
            Ok(None) if all().any(|rules| rules.required_groups.contains(group)) => warnings.push(format!(
                "this host has no group {group}, which required_groups names: every login is refused until there is one"
            )),
            Ok(None) => warnings.push(format!(
                "this host has no group {group}, which exempt_groups names: nobody is exempt by it"
            )),
            Err(error) => warnings.push(format!("the group {group} could not be looked up: {error}")),
        }
    }
    for service in policy.ssh_touch_services().filter(|service| !policy.counts_ssh_touch(service)) {
        warnings.push(format!("ssh_touch_services names {service}, whose factors leave ssh_sk out"));
    }
    if policy
        .ssh_touch_services()
        .any(|service| policy.counts_ssh_touch(service) && !config.counts_ssh_touch(service))
    {
        warnings.push(
            "ssh_touch_services counts for nothing where the server decides about everybody".to_owned(),
        );
    }
    let none_counts = |rules: &Rules| !rules.factors.iter().any(|kind| kind.is_made_by_device());
    if all().any(none_counts) || none_counts(policy.rules(OTHERS)) {
        warnings.push("there is a service where neither totp nor hotp counts".to_owned());
    }
    warnings
}
