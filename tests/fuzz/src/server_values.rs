//! What the server takes apart of a request: names, addresses, policies, where it comes from.
//!
//! The first byte chooses which.

use std::net::IpAddr;
use std::path::Path;

use axum::http::{HeaderValue, Request};
use oss2fa_server::config::{Config, Overrides};
use oss2fa_server::http::peer::Proxies;
use oss2fa_server::ids::{MAX_USERNAME, Username};
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::message::{EmailAddress, PhoneNumber};
use oss2fa_server::policy::Policy;
use oss2fa_server::service::name::Name;

/// What is taken has one form, within its bounds, and nothing in it that drives a terminal or a mail.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [which, rest @ ..] = data else { return };
    if which % 6 == 5 {
        return proxied(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match which % 6 {
        0 => username(text),
        1 => name(text),
        2 => email(text),
        3 => phone(text),
        _ => policy(text),
    }
}

fn username(text: &str) {
    let Ok(name) = Username::parse(text) else { return };
    let name = name.as_str();
    assert!(!name.is_empty() && name.len() <= MAX_USERNAME && !name.starts_with('-'));
    assert!(!name.chars().any(|c| c.is_control() || c.is_whitespace() || "/:\"'<>".contains(c)));
    assert_eq!(
        Username::parse(name).map(|again| again.as_str().to_owned()),
        Ok(name.to_owned()),
        "another form"
    );
    // Written large it is the same person.
    if name.is_ascii() {
        assert_eq!(Username::parse(&name.to_ascii_uppercase()).unwrap().as_str(), name);
    }
}

fn name(text: &str) {
    let Ok(name) = Name::parse(text) else { return };
    assert!((1..=64).contains(&name.as_str().chars().count()));
    assert!(!name.as_str().chars().any(|c| c.is_control() || c == ':'));
    assert_eq!(Name::parse(name.as_str()).unwrap(), name);
}

fn email(text: &str) {
    let Ok(address) = EmailAddress::parse(text) else { return };
    let whole = address.as_str();
    assert!(whole.len() <= 254 && !whole.chars().any(|c| c.is_control() || c == ' '));
    assert!(whole.ends_with(address.domain()) && whole.contains('@'));
    assert_eq!(EmailAddress::parse(whole).unwrap().as_str(), whole);
    assert!(whole.contains('*') || address.masked() != whole, "nothing is masked");
}

fn phone(text: &str) {
    let Ok(number) = PhoneNumber::parse(text) else { return };
    let digits = number.as_str().strip_prefix('+').expect("international");
    assert!((7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(PhoneNumber::parse(number.as_str()).unwrap().as_str(), number.as_str());
    assert!(!number.masked().contains(digits), "nothing is masked");
}

fn policy(text: &str) {
    let Ok(policy) = serde_json::from_str::<Policy>(text) else { return };
    let kinds = ["TOTP", "HOTP", "EMAIL", "SMS", "RECOVERY"];
    let Ok(policy) = policy.checked(&kinds) else { return };
    assert!((6..=10).contains(&policy.code_length));
    assert!((1..=20).contains(&policy.attempts) && policy.locks.free_attempts >= 1);
    assert!(policy.locks.first_pause >= 1 && policy.locks.longest_pause >= policy.locks.first_pause);
    let kept = serde_json::to_string(&policy).unwrap();
    let again: Policy = serde_json::from_str(&kept).unwrap();
    assert_eq!(again.clone().checked(&kinds).unwrap(), policy);
    assert_eq!(again, policy);
}

/// The rest is values of the header, split at zeros; the last is what the proxy itself has added.
fn proxied(bytes: &[u8]) {
    for header in ["X-Forwarded-For", "Forwarded"] {
        let text = format!("[proxy]\ntrusted = ['10.0.0.0/8']\nheader = '{header}'\n");
        let path = Path::new("/etc/oss2fa/server.toml");
        let config = Config::parse(path, &text, Overrides::default()).unwrap();
        let proxies = Proxies::new(config.proxy.as_ref());
        let honest = if header == "Forwarded" { "for=192.0.2.7" } else { "192.0.2.7" };
        let seen = |peer: &str, added: Option<&str>| {
            let mut request = Request::builder();
            for value in
                bytes.split(|byte| *byte == 0).filter_map(|value| HeaderValue::from_bytes(value).ok())
            {
                request = request.header(header, value);
            }
            if let Some(added) = added {
                request = request.header(header, added);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            parts.extensions.insert(ClientSocket(peer.parse().unwrap()));
            proxies.address(&parts).unwrap()
        };
        let (stranger, client): (IpAddr, IpAddr) =
            ("203.0.113.9".parse().unwrap(), "192.0.2.7".parse().unwrap());
        assert_eq!(seen("203.0.113.9:1", None), stranger, "a stranger was believed");
        assert_eq!(seen("10.0.0.1:1", Some(honest)), client, "the proxy was not believed");
    }
}
