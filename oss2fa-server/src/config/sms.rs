//! `[sms]`: how codes go out as text messages, by any gateway that speaks HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use oss2fa_core::secret::SecretText;

use super::password_file::PasswordFile;
use super::place::Place;
use super::sms_template::{NOT_SHOWN, check_body, check_header, check_url};
use super::{ConfigError, raw};

/// `[sms]`. What may hold a gateway's key is a secret: Debug does not show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsConfig {
    /// How the gateway is asked.
    pub method: SmsMethod,
    /// The gateway's host, which no template changes.
    pub host: String,
    /// A URL of `https`, or `http` to this machine, with `{phone}`, `{text}`, `{secret}` after the host.
    pub url: SecretText,
    /// Names and values; a value may hold the same places, where its text can stand in a header.
    pub headers: BTreeMap<String, SecretText>,
    /// What is sent, if anything.
    pub body: Option<SmsBody>,
    /// Where `{secret}` is, if a template names it.
    pub secret: Option<PasswordFile>,
    /// An answer with one of these (all 200 to 299) is a success. Never empty.
    pub success_status: BTreeSet<u16>,
    /// And its body must contain this.
    pub success_body: Option<String>,
    /// For the whole of one message.
    pub timeout: Duration,
    /// Certificates (PEM) that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a gateway is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsMethod {
    /// `GET`; everything stands in the URL.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `PATCH`.
    Patch,
}

impl SmsMethod {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// What is sent to a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsBody {
    /// How `{phone}`, `{text}` and `{secret}` are escaped.
    pub escaping: SmsEscaping,
    /// The header `Content-Type` as it is sent.
    pub content_type: String,
    /// With `{phone}`, `{text}`, `{secret}`.
    pub template: SecretText,
}

/// How a value is written into a body, so that it cannot become more than a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsEscaping {
    /// As part of a JSON string (RFC 8259 section 7).
    Json,
    /// As a value of `application/x-www-form-urlencoded`.
    Form,
    /// As text of XML 1.0 (section 2.4).
    Xml,
    /// Not at all: the body is nothing but text.
    Plain,
}

impl SmsEscaping {
    /// That of a media type, with or without parameters.
    fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/json" => Some(Self::Json),
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "application/xml" | "text/xml" => Some(Self::Xml),
            "text/plain" => Some(Self::Plain),
            other if other.ends_with("+json") => Some(Self::Json),
            other if other.ends_with("+xml") => Some(Self::Xml),
            _ => None,
        }
    }
}

impl SmsConfig {
    /// The gateway's key, read now; `None` where no template names `{secret}`.
    ///
    /// # Errors
    /// As [`PasswordFile::read`].
    pub fn read_secret(&self) -> Result<Option<SecretText>, ConfigError> {
        self.secret.as_ref().map(PasswordFile::read).transpose()
    }
}

pub(super) fn sms(at: &Place<'_>, sms: raw::Sms) -> Result<SmsConfig, ConfigError> {
    let methods = [SmsMethod::Get, SmsMethod::Post, SmsMethod::Put, SmsMethod::Patch]
        .map(|method| (method.name(), method));
    let method = at.choice("[sms] method", &sms.method, &methods)?;
    let host = check_url(at, sms.url.expose())?;
    for (name, value) in &sms.headers {
        check_header(at, name, value.expose())?;
    }
    let body = body(at, method, sms.body, sms.content_type)?;
    let mut templates = vec![&sms.url];
    templates.extend(sms.headers.values());
    templates.extend(body.as_ref().map(|body| &body.template));
    let names = |place: &str| templates.iter().any(|template| template.expose().contains(place));
    if let Some(place) = ["{phone}", "{text}"].into_iter().find(|place| !names(place)) {
        let allowed = format!("templates that have {place} in one of them");
        return at.refuse("[sms] url, headers and body", NOT_SHOWN, &allowed);
    }
    let names_secret = if names("{secret}") { NamesSecret::Yes } else { NamesSecret::No };
    let secret = secret(at, at.optional_absolute(SECRET_FILE, sms.secret_file)?, names_secret)?;
    Ok(SmsConfig {
        method,
        host,
        success_status: success_status(at, &sms.success_status)?,
        success_body: (!sms.success_body.is_empty()).then_some(sms.success_body),
        timeout: at.seconds("[sms] timeout", sms.timeout, 1, 60)?,
        ca_file: at.optional_absolute("[sms] ca_file", sms.ca_file)?,
        url: sms.url,
        headers: sms.headers,
        body,
        secret,
    })
}

fn body(
    at: &Place<'_>,
    method: SmsMethod,
    body: Option<SecretText>,
    content_type: Option<String>,
) -> Result<Option<SmsBody>, ConfigError> {
    let (template, content_type) = match (body, content_type) {
        (None, None) => return Ok(None),
        (None, Some(content_type)) => {
            return at.refuse("[sms] content_type", format!("{content_type:?}"), "none without body");
        }
        (Some(template), _) if template.expose().is_empty() => return Ok(None),
        (Some(_), _) if method == SmsMethod::Get => {
            return at.refuse("[sms] body", NOT_SHOWN, "none with method = \"GET\"");
        }
        (Some(template), content_type) => (template, content_type.unwrap_or_default()),
    };
    let visible = content_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let Some(escaping) = SmsEscaping::of(&content_type).filter(|_| visible) else {
        return at.refuse(
            "[sms] content_type",
            format!("{content_type:?}"),
            "with body \"application/json\", \"application/x-www-form-urlencoded\", \"text/xml\" or \"text/plain\": it says how values are escaped",
        );
    };
    check_body(at, escaping, template.expose())?;
    Ok(Some(SmsBody { escaping, content_type, template }))
}

const SECRET_FILE: &str = "[sms] secret_file";

fn secret(
    at: &Place<'_>,
    file: Option<PathBuf>,
    templates: NamesSecret,
) -> Result<Option<PasswordFile>, ConfigError> {
    match (file, templates) {
        (Some(path), NamesSecret::Yes) => Ok(Some(PasswordFile::new(path, SECRET_FILE))),
        (None, NamesSecret::No) => Ok(None),
        (None, NamesSecret::Yes) => {
            at.refuse(SECRET_FILE, "(nothing)", "the file with what {secret} stands for")
        }
        (Some(path), NamesSecret::No) => {
            at.refuse(SECRET_FILE, format!("{path:?}"), "only with {secret} in url, headers or body")
        }
    }
}

enum NamesSecret {
    Yes,
    No,
}

fn success_status(at: &Place<'_>, values: &[i64]) -> Result<BTreeSet<u16>, ConfigError> {
    const KEY: &str = "[sms] success_status";
    if values.is_empty() {
        return at.refuse(KEY, "[]", "at least one status from 200 to 299");
    }
    values.iter().map(|value| at.whole(KEY, *value, 200, 299)).collect()
}
