//! What the templates of `[sms]` may look like. No refusal shows one: it may hold a key.

use oss2fa_core::secret::SecretText;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::ConfigError;
use super::host_name::is_loopback;
use super::place::Place;
use super::sms::SmsEscaping;

pub(super) const NOT_SHOWN: &str = "(not shown)";

const URL: &str = "[sms] url";
const PLACES: [&str; 3] = ["{phone}", "{text}", "{secret}"];

/// Gives the host of the URL.
pub(super) fn check_url(at: &Place<'_>, url: &str) -> Result<String, ConfigError> {
    only_known_places(at, URL, url)?;
    let refuse = |allowed: &str| at.refuse(URL, NOT_SHOWN, allowed);
    let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else {
        return refuse("a URL that begins with https://");
    };
    let Some((host, _)) = rest.split_once(['/', '?', '#', '\\']) else {
        return refuse("a URL with a path, at least \"/\"");
    };
    // A user's phone number must not choose who is told the code.
    if host.contains(['{', '}', '@']) {
        return refuse(
            "a URL whose host is fixed and has no \"user:password@\"; use headers = { Authorization = \"Basic {secret}\" }",
        );
    }
    if rest.contains(['#', '\\']) || rest.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return refuse("a URL without blanks, line ends, \"#\" and \"\\\"; write them as %XX");
    }
    let Some(host) = Url::parse(filled(url).expose()).ok().and_then(|url| url.host_str().map(str::to_owned))
    else {
        return refuse("a URL that begins with https:// and names a host");
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    if scheme == "http" && !is_loopback(address) {
        return at.refuse(
            URL,
            format!("\"http://{host}...\""),
            "https; http only to this machine: codes could be read on the way",
        );
    }
    Ok(host)
}

pub(super) fn check_header(at: &Place<'_>, name: &str, value: &str) -> Result<(), ConfigError> {
    let key = format!("[sms.headers] {name:?}");
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return at.refuse(&key, NOT_SHOWN, "names of headers as in RFC 9110, such as Authorization");
    };
    // What frames the request is the client's business; `Content-Type` has a key of its own.
    let framing = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    if framing.contains(&parsed.as_str()) {
        return at.refuse(
            &key,
            NOT_SHOWN,
            "other headers than those that the request sets itself (the type of the body is content_type)",
        );
    }
    only_known_places(at, &key, value)?;
    if HeaderValue::from_str(value).is_err() || !value.is_ascii() {
        return at.refuse(&key, NOT_SHOWN, "one line of visible ASCII");
    }
    Ok(())
}

pub(super) fn check_body(at: &Place<'_>, escaping: SmsEscaping, template: &str) -> Result<(), ConfigError> {
    const KEY: &str = "[sms] body";
    only_known_places(at, KEY, template)?;
    match escaping {
        // Outside of a string the filling makes no JSON, and an escaped value would not be safe.
        SmsEscaping::Json
            if serde_json::from_str::<serde::de::IgnoredAny>(filled(template).expose()).is_err() =>
        {
            at.refuse(KEY, NOT_SHOWN, "JSON, with {phone}, {text} and {secret} only within quotes")
        }
        SmsEscaping::Form if !template.bytes().all(|byte| matches!(byte, b'!'..=b'~')) => at.refuse(
            KEY,
            NOT_SHOWN,
            "a form such as \"to={phone}&text={text}\" of visible ASCII without blanks; write others as %XX",
        ),
        _ => Ok(()),
    }
}

/// `{word}` is a place to fill; a misspelt one would be sent to people as it stands.
fn only_known_places(at: &Place<'_>, key: &str, template: &str) -> Result<(), ConfigError> {
    for (start, _) in template.match_indices('{') {
        let rest = template.get(start..).unwrap_or_default();
        let Some(place) = rest.find('}').and_then(|end| rest.get(..=end)) else { continue };
        let word = place.trim_matches(['{', '}', ' ']);
        let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if is_word && !word.is_empty() && !PLACES.contains(&place) {
            let allowed = format!("only {}", PLACES.join(", "));
            return at.refuse(key, format!("a template with {place}"), &allowed);
        }
    }
    Ok(())
}

/// As it may look when it is sent; an `x` needs no escaping anywhere.
fn filled(template: &str) -> SecretText {
    let mut text = template.to_owned();
    for place in PLACES {
        text = text.replace(place, "x");
    }
    SecretText::new(text)
}
