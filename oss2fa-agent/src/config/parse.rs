//! From the raw file to checked values; each error names file, key, value and what is allowed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::verify::UserVerification;

use super::{
    AgentConfig, AuditConfig, Config, ConfigError, LockLimits, MasterKeySource, StoreConfig, SystemLog, keys,
    raw, server,
};
use crate::policy::{Messages, Policy, Rules, SelfService, Unenrolled, family};

pub(super) fn config(path: &Path, file: raw::File) -> Result<Config, ConfigError> {
    let at = Place { path };
    Ok(Config {
        path: path.to_owned(),
        agent: agent(&at, file.agent)?,
        store: store(&at, file.store)?,
        policy: policy(&at, file.policy)?,
        locks: locks(&at, &file.locks)?,
        keys: keys::keys(&at, file.keys)?,
        server: server::server(&at, file.server)?,
        audit: AuditConfig { syslog: if file.audit.syslog { SystemLog::On } else { SystemLog::Off } },
    })
}

pub(super) struct Place<'a> {
    path: &'a Path,
}

impl Place<'_> {
    pub(super) fn refuse<T>(&self, key: &str, value: impl Display, allowed: &str) -> Result<T, ConfigError> {
        Err(ConfigError::Value {
            path: self.path.to_owned(),
            key: key.to_owned(),
            value: value.to_string(),
            allowed: allowed.to_owned(),
        })
    }

    pub(super) fn whole<T: TryFrom<i64>>(
        &self,
        key: &str,
        value: i64,
        least: i64,
        most: i64,
    ) -> Result<T, ConfigError> {
        match T::try_from(value) {
            Ok(number) if (least..=most).contains(&value) => Ok(number),
            _ => self.refuse(key, value, &format!("a whole number from {least} to {most}")),
        }
    }

    pub(super) fn absolute(&self, key: &str, value: PathBuf) -> Result<PathBuf, ConfigError> {
        if value.is_absolute() {
            return Ok(value);
        }
        self.refuse(key, value.display(), "an absolute path")
    }

    fn groups(&self, key: &str, names: Vec<String>) -> Result<Vec<String>, ConfigError> {
        for name in &names {
            if name.is_empty() || name.chars().any(|c| c.is_control() || matches!(c, ':' | ',')) {
                return self.refuse(key, format!("{name:?}"), "names of groups");
            }
        }
        Ok(names)
    }

    fn networks(&self, key: &str, values: &[String]) -> Result<Vec<IpNet>, ConfigError> {
        values
            .iter()
            .map(|value| {
                let net =
                    value.parse::<IpNet>().or_else(|_| value.parse::<std::net::IpAddr>().map(IpNet::from));
                match net {
                    // One typing error in a prefix length must not open the door to everybody.
                    Ok(net) if net.prefix_len() == 0 => {
                        self.refuse(key, format!("{value:?}"), "networks smaller than the whole Internet")
                    }
                    Ok(net) => Ok(net.trunc()),
                    Err(_) => self.refuse(
                        key,
                        format!("{value:?}"),
                        "addresses and networks such as \"192.0.2.0/24\"; names are not taken",
                    ),
                }
            })
            .collect()
    }
}

fn agent(at: &Place<'_>, agent: raw::Agent) -> Result<AgentConfig, ConfigError> {
    let socket = at.absolute("[agent] socket", agent.socket)?;
    // sockaddr_un holds 107 bytes and a NUL.
    if socket.as_os_str().len() > 107 {
        return at.refuse("[agent] socket", socket.display(), "a path of at most 107 bytes");
    }
    let Ok(log_level) = agent.log_level.parse() else {
        return at.refuse("[agent] log_level", agent.log_level, "error, warn, info, debug or trace");
    };
    if agent.user.is_empty() || agent.user == "root" {
        return at.refuse("[agent] user", format!("{:?}", agent.user), "a system user other than root");
    }
    Ok(AgentConfig {
        socket,
        user: agent.user,
        login_timeout: Duration::from_secs(at.whole("[agent] login_timeout", agent.login_timeout, 5, 600)?),
        log_level,
    })
}

fn store(at: &Place<'_>, store: raw::Store) -> Result<StoreConfig, ConfigError> {
    let master_key = match store.master_key.strip_prefix("credential:") {
        Some(name) if !name.is_empty() && !name.contains('/') => MasterKeySource::Credential(name.to_owned()),
        Some(_) => {
            return at.refuse(
                "[store] master_key",
                store.master_key,
                "\"credential:NAME\" with a plain name",
            );
        }
        None => MasterKeySource::File(at.absolute("[store] master_key", PathBuf::from(&store.master_key))?),
    };
    Ok(StoreConfig { path: at.absolute("[store] path", store.path)?, master_key })
}

fn policy(at: &Place<'_>, policy: raw::Policy) -> Result<Policy, ConfigError> {
    let base = Rules {
        unenrolled: unenrolled(at, "[policy] unenrolled", &policy.unenrolled)?,
        required_groups: at.groups("[policy] required_groups", policy.required_groups)?,
        exempt_groups: at.groups("[policy] exempt_groups", policy.exempt_groups)?,
        skip_networks: at.networks("[policy] skip_networks", &policy.skip_networks)?,
        factors: FACTORS.to_vec(),
        messages: None,
        user_verification: user_verification(at, "[policy] user_verification", &policy.user_verification)?,
    };
    let mut services: BTreeMap<String, Rules> = BTreeMap::new();
    for (name, service) in policy.service {
        // Two names for one program: one of the two rules would hold for nothing.
        if services.keys().any(|other| family(other) == family(&name)) {
            let allowed = format!("one rule for {}, which holds for its login shells, too", family(&name));
            return at.refuse(&format!("[policy.service.{name}]"), "a second rule", &allowed);
        }
        let rules = service_rules(at, &name, service, &base)?;
        services.insert(name, rules);
    }
    let self_service = policy
        .self_service
        .iter()
        .map(|verb| match verb.as_str() {
            "enroll" => Ok(SelfService::Enroll),
            "list" => Ok(SelfService::List),
            "remove" => Ok(SelfService::Remove),
            "rename" => Ok(SelfService::Rename),
            _ => {
                at.refuse("[policy] self_service", format!("{verb:?}"), "any of enroll, list, remove, rename")
            }
        })
        .collect::<Result<_, _>>()?;
    let totp_skew = at.whole("[policy] totp_skew", policy.totp_skew, 0, 3)?;
    let enroll_at_login = server::services(at, "[policy] enroll_at_login", &policy.enroll_at_login)?;
    let ssh_touch = server::services(at, "[policy] ssh_touch_services", &policy.ssh_touch_services)?;
    let policy = Policy::new(base, services, self_service, totp_skew);
    Ok(policy.enrolling_at_login(enroll_at_login).counting_ssh_touches(ssh_touch))
}

fn service_rules(
    at: &Place<'_>,
    name: &str,
    service: raw::Service,
    base: &Rules,
) -> Result<Rules, ConfigError> {
    let key = |part: &str| format!("[policy.service.{name}] {part}");
    let mut rules = base.clone();
    if let Some(value) = service.unenrolled {
        rules.unenrolled = unenrolled(at, &key("unenrolled"), &value)?;
    }
    if let Some(groups) = service.required_groups {
        rules.required_groups = at.groups(&key("required_groups"), groups)?;
    }
    if let Some(groups) = service.exempt_groups {
        rules.exempt_groups = at.groups(&key("exempt_groups"), groups)?;
    }
    if let Some(networks) = service.skip_networks {
        rules.skip_networks = at.networks(&key("skip_networks"), &networks)?;
    }
    if let Some(factors) = service.factors {
        rules.factors =
            factors.iter().map(|name| factor(at, &key("factors"), name)).collect::<Result<_, _>>()?;
        if rules.factors.is_empty() {
            return at.refuse(&key("factors"), "[]", &format!("at least one of {}", all_factors()));
        }
    }
    if let Some(messages) = service.messages {
        rules.messages = Some(match messages.as_str() {
            "show" => Messages::Show,
            "hide" => Messages::Hide,
            _ => return at.refuse(&key("messages"), format!("{messages:?}"), "\"show\" or \"hide\""),
        });
    }
    if let Some(value) = service.user_verification {
        rules.user_verification = user_verification(at, &key("user_verification"), &value)?;
    }
    Ok(rules)
}

fn user_verification(at: &Place<'_>, key: &str, value: &str) -> Result<UserVerification, ConfigError> {
    match value {
        "touch" => Ok(UserVerification::NotAsked),
        "required" => Ok(UserVerification::Required),
        _ => at.refuse(key, format!("{value:?}"), "\"touch\" or \"required\""),
    }
}

fn unenrolled(at: &Place<'_>, key: &str, value: &str) -> Result<Unenrolled, ConfigError> {
    match value {
        "deny" => Ok(Unenrolled::Deny),
        "skip" => Ok(Unenrolled::Skip),
        _ => at.refuse(key, format!("{value:?}"), "\"deny\" or \"skip\""),
    }
}

fn factor(at: &Place<'_>, key: &str, value: &str) -> Result<FactorKind, ConfigError> {
    match FACTORS.iter().find(|kind| kind.as_str() == value) {
        Some(kind) => Ok(*kind),
        None => at.refuse(key, format!("{value:?}"), &format!("any of {}", all_factors())),
    }
}

const FACTORS: [FactorKind; 6] = [
    FactorKind::Totp,
    FactorKind::Hotp,
    FactorKind::RecoveryCode,
    FactorKind::Fido2,
    FactorKind::U2f,
    FactorKind::SshSk,
];

fn all_factors() -> String {
    FACTORS.map(FactorKind::as_str).join(", ")
}

fn locks(at: &Place<'_>, locks: &raw::Locks) -> Result<LockLimits, ConfigError> {
    let limits = LockLimits {
        free_attempts: at.whole("[locks] free_attempts", locks.free_attempts, 1, 100)?,
        free_attempts_per_source: at.whole(
            "[locks] free_attempts_per_source",
            locks.free_attempts_per_source,
            1,
            10_000,
        )?,
        free_attempts_per_user: at.whole(
            "[locks] free_attempts_per_user",
            locks.free_attempts_per_user,
            1,
            100_000,
        )?,
        first_pause: at.whole("[locks] first_pause", locks.first_pause, 1, 3600)?,
        longest_pause: at.whole("[locks] longest_pause", locks.longest_pause, 1, 86_400)?,
    };
    if limits.longest_pause < limits.first_pause {
        return at.refuse("[locks] longest_pause", limits.longest_pause, "at least first_pause");
    }
    Ok(limits)
}
