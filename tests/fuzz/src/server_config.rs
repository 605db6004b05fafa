//! The configuration file of the server.

use std::path::Path;

use oss2fa_server::config::{Config, ConfigError, Overrides, TlsConfig};

const PATH: &str = "/etc/oss2fa/server.toml";

/// Stands in the text for a password; no text about the file may repeat it.
const PASSWORD: &str = "hunter2-hunter2-hunter2";

/// Whatever can be parsed is within its bounds and never serves the network in the clear without a proxy;
/// whatever cannot names the file. Passwords are in no text about either.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = text.replace('\u{1}', PASSWORD);
    // Where a URL has it before its only `@`: elsewhere it is a host or a path like any other, which are named.
    let is_hidden = text.matches(PASSWORD).count() == 1
        && text.lines().any(|line| {
            let is_url = line.starts_with("store = \"postgres://") || line.starts_with("url = \"https://");
            let password = format!(":{PASSWORD}@");
            is_url && line.matches(['@', ':', '/']).count() == 5 && line.contains(&password)
        });
    match Config::parse(Path::new(PATH), &text, Overrides::default()) {
        Ok(config) => {
            assert!(config.data_dir.is_absolute());
            assert!(
                config.tls != TlsConfig::Off || config.listen.ip().is_loopback() || config.proxy.is_some()
            );
            let limits = config.limits;
            assert!((1024..=16 * 1024 * 1024).contains(&limits.body));
            assert!(
                (1..=600).contains(&limits.request_timeout.as_secs()) && limits.stop_grace.as_secs() <= 600
            );
            let shown = format!("{:?} {}", config, serde_json::to_string(&config.summary()).unwrap());
            assert!(!is_hidden || !shown.contains(PASSWORD), "a password is shown");
        }
        Err(error) => {
            assert!(
                matches!(
                    error,
                    ConfigError::Syntax { .. } | ConfigError::Value { .. } | ConfigError::Empty { .. }
                ),
                "{error:?} without a file that was read"
            );
            assert!(error.to_string().contains(PATH));
            let shown = format!("{error} {error:?}");
            assert!(!is_hidden || !shown.contains(PASSWORD), "a password is shown: {shown}");
        }
    }
}
