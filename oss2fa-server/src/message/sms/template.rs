//! What is asked of a gateway: a template that was proved at the start, and each value escaped for its place.

use std::collections::BTreeMap;

use oss2fa_core::secret::SecretText;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use zeroize::Zeroizing;

use super::super::settings::SettingError;

/// RFC 3986 section 2.3: all but the unreserved characters are encoded, which is right for forms, too.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const URL: &str = "[sms] url";
const BODY: &str = "[sms] body";
const HEADERS: &str = "[sms] headers";

/// Values that break a template which does not quote: used to prove it.
const TRIAL: Values<'static> =
    Values { phone: "+4915112345678", text: "\"a' &<b>\\=1\n", secret: "\"s'&<\\" };

/// The template as it stands in [sms]; `{phone}`, `{text}` and `{secret}` are replaced. It may hold a
/// gateway's key: no error and no Debug shows it.
#[derive(Clone)]
pub struct SmsTemplate<'a> {
    /// GET, POST, PUT or PATCH.
    pub method: &'a str,
    /// Where to; placeholders behind the host only.
    pub url: &'a str,
    /// More headers.
    pub headers: &'a BTreeMap<String, SecretText>,
    /// The body; empty sends none.
    pub body: &'a str,
    /// What the body is: decides how values are escaped in it.
    pub content_type: &'a str,
}

/// A template that was proved: each placeholder is known and stands where it can be escaped.
#[derive(Debug, Clone)]
pub struct SmsRequest {
    method: Method,
    url: Pattern,
    target: Target,
    headers: Vec<(HeaderName, Pattern)>,
    body: Option<(Pattern, Syntax, HeaderValue)>,
}

impl SmsRequest {
    /// Proves a template.
    ///
    /// # Errors
    /// [`SettingError`] for what could not be sent or not be escaped, and for a template without the text or
    /// the number.
    pub fn prove(template: &SmsTemplate<'_>) -> Result<Self, SettingError> {
        let method = match template.method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => return Err(SettingError::new("[sms] method", "GET, POST, PUT or PATCH")),
        };
        let url = Pattern::parse(URL, template.url)?;
        let target = prove_url(&url, template.url)?;
        let headers = template
            .headers
            .iter()
            .map(|(name, value)| Ok((header_name(name)?, header_pattern(value.expose())?)))
            .collect::<Result<Vec<_>, SettingError>>()?;
        let body = prove_body(&method, template)?;
        let request = Self { method, url, target, headers, body };
        if !request.uses(Place::Phone) || !request.uses(Place::Text) {
            return Err(SettingError::new(
                BODY,
                "{phone} and {text} must stand in it, or in `url` or `headers`",
            ));
        }
        Ok(request)
    }

    /// Scheme, host and port: what may be shown of where messages go.
    pub(in crate::message) fn origin(&self) -> &str {
        &self.target.origin
    }

    pub(in crate::message) fn is_https(&self) -> bool {
        self.target.origin.starts_with("https:")
    }

    pub(in crate::message) fn needs_secret(&self) -> bool {
        self.uses(Place::Secret)
    }

    /// The request for these values; the error says why they cannot be written.
    pub(super) fn write(&self, values: &Values<'_>) -> Result<Written, String> {
        let url = self.url.filled(values, percent);
        let url = Url::parse(&url).map_err(|_| "the message does not fit into `url` in [sms]".to_owned())?;
        // "." and ".." are taken out of a path, percent or not: such a text would reach another address.
        if depth(&url) != self.target.depth {
            return Err(
                "the message changes the path of `url` in [sms]: let it stand behind the ?".to_owned()
            );
        }
        let mut headers = HeaderMap::new();
        for (name, pattern) in &self.headers {
            headers.append(name.clone(), header_value(name, &pattern.filled(values, str::to_owned))?);
        }
        let (body, content_type) = match &self.body {
            Some((pattern, syntax, content_type)) => {
                (Some(pattern.filled(values, |value| syntax.escaped(value))), Some(content_type.clone()))
            }
            None => (None, None),
        };
        Ok(Written {
            method: self.method.clone(),
            url,
            headers,
            body: body.map(|body| body.to_string()),
            content_type,
        })
    }

    fn uses(&self, place: Place) -> bool {
        let in_body = self.body.iter().map(|(pattern, ..)| pattern);
        let in_headers = self.headers.iter().map(|(_, pattern)| pattern);
        std::iter::once(&self.url).chain(in_headers).chain(in_body).any(|pattern| pattern.uses(place))
    }
}

/// What no value changes in a URL.
#[derive(Debug, Clone)]
struct Target {
    /// Scheme, host and port.
    origin: String,
    /// How many segments the path has.
    depth: usize,
}

/// What the placeholders stand for.
pub(super) struct Values<'a> {
    pub(super) phone: &'a str,
    pub(super) text: &'a str,
    pub(super) secret: &'a str,
}

/// A request whose values are in place.
pub(super) struct Written {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) content_type: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Phone,
    Text,
    Secret,
}

// The fixed text may hold a key, as an administrator wrote it there.
#[derive(Debug, Clone)]
enum Piece {
    Fixed(SecretText),
    Value(Place),
}

#[derive(Debug, Clone)]
struct Pattern(Vec<Piece>);

impl Pattern {
    /// A word in braces is a placeholder; other braces, as JSON has them, are themselves.
    fn parse(key: &'static str, text: &str) -> Result<Self, SettingError> {
        let mut pieces = Vec::new();
        let mut fixed = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            fixed.push_str(before);
            rest = after;
            let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_word(name)) else {
                fixed.push('{');
                continue;
            };
            let place = match name {
                "phone" => Place::Phone,
                "text" => Place::Text,
                "secret" => Place::Secret,
                _ => {
                    let problem =
                        format!("{{{name}}} is unknown: there are {{phone}}, {{text}} and {{secret}}");
                    return Err(SettingError::new(key, problem));
                }
            };
            pieces.push(Piece::Fixed(SecretText::new(std::mem::take(&mut fixed))));
            pieces.push(Piece::Value(place));
            rest = behind;
        }
        fixed.push_str(rest);
        pieces.push(Piece::Fixed(SecretText::new(fixed)));
        Ok(Self(pieces))
    }

    fn filled(&self, values: &Values<'_>, escape: impl Fn(&str) -> String) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for piece in &self.0 {
            match piece {
                Piece::Fixed(fixed) => text.push_str(fixed.expose()),
                Piece::Value(Place::Phone) => text.push_str(&escape(values.phone)),
                Piece::Value(Place::Text) => text.push_str(&Zeroizing::new(escape(values.text))),
                Piece::Value(Place::Secret) => text.push_str(&Zeroizing::new(escape(values.secret))),
            }
        }
        text
    }

    fn uses(&self, place: Place) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(other) if *other == place))
    }

    fn has_values(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Value(_)))
    }

    /// What stands before the first placeholder.
    fn head(&self) -> &str {
        match self.0.first() {
            Some(Piece::Fixed(fixed)) => fixed.expose(),
            _ => "",
        }
    }
}

/// Also what was meant to be a placeholder: `{ Phone }` is a mistake to tell, not a text to send.
fn is_word(name: &str) -> bool {
    let name = name.trim_matches(' ');
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// How values are escaped in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    Form,
    Xml,
    Plain,
}

impl Syntax {
    fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Some(Self::Form),
            "text/plain" => Some(Self::Plain),
            "application/json" => Some(Self::Json),
            "application/xml" | "text/xml" => Some(Self::Xml),
            other if other.ends_with("+json") => Some(Self::Json),
            other if other.ends_with("+xml") => Some(Self::Xml),
            _ => None,
        }
    }

    fn escaped(self, value: &str) -> String {
        match self {
            Self::Json => json(value),
            Self::Form => percent(value),
            Self::Xml => xml(value),
            Self::Plain => value.to_owned(),
        }
    }
}

fn percent(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// The inside of a JSON string, RFC 8259 section 7.
fn json(value: &str) -> String {
    let quoted = Zeroizing::new(serde_json::Value::from(value).to_string());
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// Text and attribute values of XML 1.0 section 2.4; characters that XML cannot say become blanks.
fn xml(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&apos;"),
            '\n' => text.push_str("&#10;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => text.push(' '),
            other => text.push(other),
        }
    }
    text
}

fn depth(url: &Url) -> usize {
    url.path_segments().map_or(0, Iterator::count)
}

fn prove_url(pattern: &Pattern, template: &str) -> Result<Target, SettingError> {
    const FORM: &str = "https://HOST/PATH, with placeholders behind the host only";
    let refused = |problem: &str| Err(SettingError::new(URL, problem));
    let Some((_, behind)) = pattern.head().split_once("://") else { return refused(FORM) };
    if pattern.has_values() && !behind.contains(['/', '?']) {
        return refused(FORM);
    }
    if template.contains(['#', '\\']) || template.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refused("no blanks, no backslash, and no part behind a #, which is never sent");
    }
    if behind.split(['/', '?']).next().is_some_and(|authority| authority.contains('@')) {
        return refused("no user and password in it: put them in `headers` and `secret_file`");
    }
    let Ok(url) = Url::parse(&pattern.filled(&TRIAL, percent)) else { return refused(FORM) };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return refused(
                "https:// for a gateway on another machine: codes must not be readable on the way",
            );
        }
        _ => return refused("https://, or http:// for a gateway on this machine"),
    }
    Ok(Target { origin: url.origin().ascii_serialization(), depth: depth(&url) })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || plain.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn prove_body(
    method: &Method,
    template: &SmsTemplate<'_>,
) -> Result<Option<(Pattern, Syntax, HeaderValue)>, SettingError> {
    if template.body.is_empty() {
        return Ok(None);
    }
    if *method == Method::GET {
        return Err(SettingError::new(BODY, "empty with GET: put the placeholders in `url`, or use POST"));
    }
    let types = "application/json, application/x-www-form-urlencoded, an XML type or text/plain";
    let header = HeaderValue::from_str(template.content_type).ok();
    let Some((syntax, content_type)) = Syntax::of(template.content_type).zip(header) else {
        return Err(SettingError::new("[sms] content_type", types));
    };
    let pattern = Pattern::parse(BODY, template.body)?;
    let trial = pattern.filled(&TRIAL, |value| syntax.escaped(value));
    if syntax == Syntax::Json && serde_json::from_str::<serde::de::IgnoredAny>(&trial).is_err() {
        return Err(SettingError::new(BODY, "JSON, each placeholder within the quotes of a string"));
    }
    Ok(Some((pattern, syntax, content_type)))
}

fn header_name(name: &str) -> Result<HeaderName, SettingError> {
    let refused = |problem: String| Err(SettingError::new(HEADERS, problem));
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return refused(format!("{name:?} is not the name of a header"));
    };
    match parsed.as_str() {
        "content-type" => refused("Content-Type has a key of its own, `content_type`".to_owned()),
        "host" | "content-length" | "transfer-encoding" | "connection" | "te" | "trailer" | "upgrade" => {
            refused(format!("{name} belongs to the connection and is set by itself"))
        }
        _ => Ok(parsed),
    }
}

fn header_pattern(value: &str) -> Result<Pattern, SettingError> {
    let pattern = Pattern::parse(HEADERS, value)?;
    if is_visible(value) {
        return Ok(pattern);
    }
    Err(SettingError::new(HEADERS, "values of visible ASCII characters and blanks on one line"))
}

/// Values are not escaped in a header, for there is no such escaping: what does not fit is not sent.
fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    let value = is_visible(text).then(|| HeaderValue::from_str(text).ok()).flatten();
    let mut value = value.ok_or_else(|| {
        format!("the message cannot stand in the header {name}: it is not visible ASCII on one line")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}
