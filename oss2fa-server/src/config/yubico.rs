//! `[yubico]`: the validation servers that judge passwords of YubiKeys whose secrets are not here.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::password_file::PasswordFile;
use super::place::Place;
use super::{ConfigError, raw};

/// `[yubico]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YubicoConfig {
    /// Who is asked, all at once: `https`, or `http` to this machine. Never empty.
    pub urls: Vec<Url>,
    /// The id that they gave us.
    pub client_id: u32,
    /// Where the key is that they gave us with it, in base64.
    pub secret: PasswordFile,
    /// For all of them together.
    pub timeout: Duration,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// Most servers that are asked.
const MOST: usize = 10;

const SECRET_FILE: &str = "[yubico] secret_file";

pub(super) fn yubico(at: &Place<'_>, section: raw::Yubico) -> Result<YubicoConfig, ConfigError> {
    const URLS: &str = "[yubico] urls";
    if section.urls.is_empty() || section.urls.len() > MOST {
        return at.refuse(URLS, format!("{} of them", section.urls.len()), &format!("1 to {MOST} URLs"));
    }
    let urls = section.urls.iter().map(|text| url(at, URLS, text)).collect::<Result<_, _>>()?;
    Ok(YubicoConfig {
        urls,
        client_id: at.whole("[yubico] client_id", section.client_id, 1, i64::from(u32::MAX))?,
        secret: PasswordFile::new(at.absolute(SECRET_FILE, section.secret_file)?, SECRET_FILE),
        timeout: at.seconds("[yubico] timeout", section.timeout, 1, 60)?,
        ca_file: at.optional_absolute("[yubico] ca_file", section.ca_file)?,
    })
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
            "URLs such as \"https://api.yubico.com/wsapi/2.0/verify\": https, or http to this machine, without a query",
        ),
    }
}
