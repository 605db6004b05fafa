//! What a host may be called, and which hosts are this machine.

use std::net::IpAddr;

/// A name of the DNS: labels of letters, digits, `-` and `_` (RFC 1123 section 2.1; `_` occurs in containers' networks).
pub(super) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

/// Whether `name`, an address or a name, never leaves this machine (`localhost`: RFC 6761 section 6.3).
pub(super) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
