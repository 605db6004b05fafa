//! `[yubico]`: the validation servers that judge passwords of YubiKeys whose secrets are not on this host.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::parse::Place;
use super::{ConfigError, Trust, raw};

/// `[yubico]` of a host that asks validation servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YubicoConfig {
    /// Who is asked, all at once: `https`, or `http` to this machine. Never empty.
    pub urls: Vec<Url>,
    /// The id that they gave this host.
    pub client_id: u32,
    /// The file with the key that they gave with it, in base64.
    pub secret_file: PathBuf,
    /// For all of them together.
    pub timeout: Duration,
    /// Whom they must be vouched for by.
    pub trust: Trust,
}

/// Most servers that are asked.
const MOST: usize = 10;

/// Checks the section; `None` where it names no client.
pub(super) fn yubico(at: &Place<'_>, section: raw::Yubico) -> Result<Option<YubicoConfig>, ConfigError> {
    const URLS: &str = "[yubico] urls";
    // Also what is not used is checked: it is meant to be, some day.
    if section.urls.is_empty() || section.urls.len() > MOST {
        return at.refuse(URLS, format!("{} of them", section.urls.len()), &format!("1 to {MOST} addresses"));
    }
    let urls = section.urls.iter().map(|text| url(at, URLS, text)).collect::<Result<Vec<_>, _>>()?;
    let secret_file = at.absolute("[yubico] secret_file", section.secret_file)?;
    let timeout = Duration::from_secs(at.whole("[yubico] timeout", section.timeout, 1, 20)?);
    let trust = match section.ca_file {
        Some(file) => Trust::Authorities(at.absolute("[yubico] ca_file", file)?),
        None => Trust::System,
    };
    let Some(client_id) = section.client_id else { return Ok(None) };
    let client_id = at.whole("[yubico] client_id", client_id, 1, i64::from(u32::MAX))?;
    Ok(Some(YubicoConfig { urls, client_id, secret_file, timeout, trust }))
}

fn url(at: &Place<'_>, key: &str, text: &str) -> Result<Url, ConfigError> {
    let here = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let parsed = Url::parse(text).ok().filter(|url| {
        (url.scheme() == "https" || (url.scheme() == "http" && here(url)))
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    match parsed {
        Some(url) => Ok(url),
        None => at.refuse(
            key,
            format!("{text:?}"),
            "addresses such as \"https://api.yubico.com/wsapi/2.0/verify\": https, or http to this machine, without a \
             query",
        ),
    }
}
