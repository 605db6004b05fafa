//! `[ungleich_otp]`: apps that prove themselves with time-based tokens, over REST and over the bus.

use std::path::PathBuf;

use oss2fa_core::secret::SecretText;
use reqwest::Url;

use super::host_name::is_host_name;
use super::place::Place;
use super::{ConfigError, raw};

/// `[ungleich_otp]`, where it is enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UngleichOtpConfig {
    /// Steps of 30 seconds before and after the current one whose tokens are taken.
    pub window: u8,
    /// How often a token works.
    pub tokens: TokenUse,
    /// How often a seed can be read.
    pub seed_reads: SeedReads,
    /// The bus; `None`: there is none.
    pub bus: Option<BusConfig>,
}

/// How often a token works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenUse {
    /// As often as it is shown while its step is within the window.
    WithinStep,
    /// Once.
    Once,
}

/// How often the seed of an app can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedReads {
    /// Always.
    Always,
    /// Once.
    Once,
    /// Until a token of the app was accepted for the first time.
    UntilFirstUse,
}

impl SeedReads {
    /// Its name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Once => "once",
            Self::UntilFirstUse => "until-first-use",
        }
    }
}

/// Where the bus is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusConfig {
    /// `amqp://` or `amqps://`, with user and password.
    pub url: SecretText,
    /// What may be shown of that.
    pub broker: String,
    /// The authorities of `amqps`; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// The service's name on the bus.
    pub service: String,
    /// The exchange.
    pub exchange: String,
    /// How many calls are taken from the broker before they are answered. Never 0, which would be no limit.
    pub prefetch: u16,
}

/// Longest name of a service or an exchange: a routing key has at most 255 bytes (AMQP 0-9-1 section 4.2.5.3).
const LONGEST_NAME: usize = 100;

pub(super) fn ungleich_otp(
    at: &Place<'_>,
    section: raw::UngleichOtp,
) -> Result<Option<UngleichOtpConfig>, ConfigError> {
    let policies =
        [SeedReads::Always, SeedReads::Once, SeedReads::UntilFirstUse].map(|policy| (policy.name(), policy));
    // A dot ends the service in a routing key, and "*" and "#" stand for others.
    let service = name(at, "[ungleich_otp] bus_service", section.bus_service, "-_")?;
    let exchange = name(at, "[ungleich_otp] bus_exchange", section.bus_exchange, "-_.:")?;
    let prefetch = at.whole("[ungleich_otp] bus_prefetch", section.bus_prefetch, 1, 65_535)?;
    let ca_file = at.optional_absolute("[ungleich_otp] bus_ca_file", section.bus_ca_file)?;
    let bus = match section.bus_url {
        None => None,
        Some(url) => {
            let broker = broker(at, url.expose())?;
            Some(BusConfig { url, broker, ca_file, service, exchange, prefetch })
        }
    };
    let checked = UngleichOtpConfig {
        window: at.whole("[ungleich_otp] window", section.window, 0, 10)?,
        tokens: if section.single_use_tokens { TokenUse::Once } else { TokenUse::WithinStep },
        seed_reads: at.choice("[ungleich_otp] seed_reads", &section.seed_reads, &policies)?,
        bus,
    };
    // Also what is not enabled is checked: it is meant to be, some day.
    Ok(section.enabled.then_some(checked))
}

fn name(at: &Place<'_>, key: &str, value: String, signs: &str) -> Result<String, ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || signs.as_bytes().contains(&byte);
    if !value.is_empty() && value.len() <= LONGEST_NAME && value.bytes().all(plain) {
        return Ok(value);
    }
    let allowed = format!("a name of 1 to {LONGEST_NAME} letters, digits and signs of {signs:?}");
    at.refuse(key, format!("{value:?}"), &allowed)
}

/// What may be shown of the URL. No refusal repeats any of it: a password with an unescaped `@` could stand
/// anywhere.
fn broker(at: &Place<'_>, text: &str) -> Result<String, ConfigError> {
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "amqp" | "amqps")
            && text.matches('@').count() <= 1
            && url.host_str().is_some_and(|host| host.starts_with('[') || is_host_name(host))
            && url.fragment().is_none()
    });
    match parsed.as_ref().and_then(|url| url.host_str().map(|host| (url, host))) {
        Some((url, host)) => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Ok(format!("{}://{host}{port}", url.scheme()))
        }
        None => at.refuse(
            "[ungleich_otp] bus_url",
            "(not shown)",
            "\"amqp://USER:PASSWORD@HOST:PORT/VHOST\" or the same with \"amqps\"; write what is no letter or digit in \
             USER, PASSWORD and VHOST as %XX",
        ),
    }
}
