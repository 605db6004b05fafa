//! The configuration file.

use std::path::Path;

use oss2fa_agent::config::{Config, ConfigError, MasterKeySource};
use oss2fa_agent::policy::{Policy, Rules, Unenrolled};

const PATH: &str = "/etc/oss2fa/agent.toml";

/// Whatever can be parsed is within its bounds, and its policy never grows laxer for a service that
/// nobody thought of. Whatever cannot names the file.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(Path::new(PATH), text) {
        Ok(config) => {
            bounded(&config);
            guarded(&config.policy);
        }
        Err(error) => {
            assert!(
                matches!(error, ConfigError::Syntax { .. } | ConfigError::Value { .. }),
                "{error:?} without a file that was read"
            );
            assert!(error.to_string().contains(PATH));
        }
    }
}

fn bounded(config: &Config) {
    assert!(config.agent.socket.is_absolute() && config.store.path.is_absolute());
    assert!(config.agent.user != "root" && !config.agent.user.is_empty());
    assert!((5..=600).contains(&config.agent.login_timeout.as_secs()));
    match &config.store.master_key {
        MasterKeySource::File(path) => assert!(path.is_absolute()),
        MasterKeySource::Credential(name) => assert!(!name.is_empty() && !name.contains('/')),
    }
    let locks = config.locks;
    assert!(locks.free_attempts >= 1 && locks.first_pause >= 1);
    assert!((locks.first_pause..=86_400).contains(&locks.longest_pause));
    assert!(config.policy.totp_skew <= 3);
    for rules in all(&config.policy) {
        assert!(rules.skip_networks.iter().all(|network| network.prefix_len() > 0), "everybody is skipped");
        assert!(!rules.factors.is_empty());
    }
}

fn guarded(policy: &Policy) {
    let mut unheard_of = "unheard-of".to_owned();
    while policy.services().any(|(name, _)| name == unheard_of) {
        unheard_of.push('-');
    }
    let default = policy.rules(&unheard_of);
    for rules in all(policy) {
        assert!(default.unenrolled == Unenrolled::Deny || rules.unenrolled == Unenrolled::Skip);
        assert!(rules.required_groups.iter().all(|group| default.required_groups.contains(group)));
        assert!(default.exempt_groups.iter().all(|group| rules.exempt_groups.contains(group)));
        assert!(default.skip_networks.iter().all(|network| rules.skip_networks.contains(network)));
        assert!(default.factors.iter().all(|factor| rules.factors.contains(factor)));
    }
    for (name, rules) in policy.services() {
        assert_eq!(policy.rules(name), rules, "a rule that holds for nothing");
    }
}

fn all(policy: &Policy) -> impl Iterator<Item = &Rules> {
    std::iter::once(policy.base()).chain(policy.services().map(|(_, rules)| rules))
}
