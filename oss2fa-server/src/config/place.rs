//! The checks that several keys share; each refusal names file, key, value and what is allowed.

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::ConfigError;

/// The file whose values are being checked.
pub(super) struct Place<'a> {
    pub(super) path: &'a Path,
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

    /// At least one; no number means "without limit".
    pub(super) fn count(&self, key: &str, value: i64, most: i64) -> Result<NonZeroU32, ConfigError> {
        let number = self.whole::<u32>(key, value, 1, most)?;
        // `whole` has refused zero.
        Ok(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    }

    pub(super) fn seconds(
        &self,
        key: &str,
        value: i64,
        least: i64,
        most: i64,
    ) -> Result<Duration, ConfigError> {
        self.whole(key, value, least, most).map(Duration::from_secs)
    }

    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        value: &str,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == value) {
            return Ok(*chosen);
        }
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        let allowed = match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        };
        self.refuse(key, format!("{value:?}"), &allowed)
    }

    pub(super) fn absolute(&self, key: &str, value: PathBuf) -> Result<PathBuf, ConfigError> {
        // A NUL ends a path for the system, and a line end in one is a typing error.
        if value.is_absolute() && !value.to_string_lossy().contains(char::is_control) {
            return Ok(value);
        }
        self.refuse(key, format!("{value:?}"), "an absolute path")
    }

    pub(super) fn optional_absolute(
        &self,
        key: &str,
        value: Option<PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        value.map(|path| self.absolute(key, path)).transpose()
    }

    pub(super) fn networks(&self, key: &str, values: &[String]) -> Result<Vec<IpNet>, ConfigError> {
        values.iter().map(|value| self.network(key, value)).collect()
    }

    fn network(&self, key: &str, value: &str) -> Result<IpNet, ConfigError> {
        let net = value.parse::<IpNet>().or_else(|_| value.parse::<IpAddr>().map(IpNet::from));
        match net.map(unmapped) {
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
    }
}

/// IPv4 addresses in the clothes of IPv6 (`::ffff:192.0.2.0/120`, RFC 4291 section 2.5.5.2) are IPv4 networks:
/// a peer's address is compared in its plain form.
fn unmapped(net: IpNet) -> IpNet {
    if let IpNet::V6(six) = net
        && let Some(four) = six.addr().to_ipv4_mapped()
        && let Some(length) = six.prefix_len().checked_sub(96)
        && let Ok(four) = Ipv4Net::new(four, length)
    {
        return IpNet::V4(four);
    }
    net
}
