//! A mail address that can stand in a command and a header, and what of it may be shown.

use std::fmt;

use lettre::Address;
use thiserror::Error;

/// RFC 5321 section 4.5.3.1.3: a path has at most 256 octets, two of them its angle brackets.
const LONGEST: usize = 254;

/// A mail address of plain ASCII without quoting: `local@domain`, the domain in small letters.
///
/// Mail systems that know quoted or international local parts are rare, and addresses that only look alike
/// are a way to steal an account: both are refused.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(Address);

/// A text is no mail address that this server sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "this is not a mail address such as \"name@example.org\": one @, plain ASCII without quotes or blanks, \
     at most 254 characters"
)]
pub struct NoEmailAddress;

impl EmailAddress {
    /// Reads an address; nothing is trimmed.
    ///
    /// # Errors
    /// [`NoEmailAddress`]
    pub fn parse(text: &str) -> Result<Self, NoEmailAddress> {
        if text.len() > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NoEmailAddress);
        }
        let (local, domain) = text.split_once('@').ok_or(NoEmailAddress)?;
        if !is_dot_atom(local) || !is_host_name(domain) {
            return Err(NoEmailAddress);
        }
        Address::new(local, domain.to_ascii_lowercase()).map(Self).map_err(|_| NoEmailAddress)
    }

    /// The part behind the @, in small letters.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.domain()
    }

    /// What people may see of it: `j***@example.org`. The number of stars says nothing.
    #[must_use]
    pub fn masked(&self) -> String {
        let first: String = self.0.user().chars().take(1).collect();
        format!("{first}***@{}", self.domain())
    }

    /// The whole address. Personal data: for the store and the mail server, not for logs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    pub(super) fn address(&self) -> &Address {
        &self.0
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.masked())
    }
}

/// RFC 5322 section 3.2.3 (dot-atom-text), within the 64 octets of RFC 5321 section 4.5.3.1.1.
fn is_dot_atom(local: &str) -> bool {
    let atom = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    local.len() <= 64 && local.split('.').all(atom)
}

/// RFC 1123 section 2.1: labels of letters, digits and inner hyphens; the last is no number.
fn is_host_name(domain: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    domain.split('.').all(label) && !domain.split('.').next_back().is_none_or(numeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::EmailAddress;

    #[test]
    fn addresses_that_people_have() {
        for (text, masked) in [
            ("john@example.org", "j***@example.org"),
            ("j@example.org", "j***@example.org"),
            ("first.last+tag@Mail.Example.ORG", "f***@mail.example.org"),
            ("o'neil@xn--bcher-kva.example", "o***@xn--bcher-kva.example"),
            ("root@localhost", "r***@localhost"),
        ] {
            let address = EmailAddress::parse(text).expect(text);
            assert_eq!(address.masked(), masked);
            assert_eq!(format!("{address:?}"), format!("EmailAddress({masked})"));
            assert!(address.as_str().eq_ignore_ascii_case(text));
        }
    }

    #[test]
    fn addresses_that_are_traps() {
        let long = format!("a@{}.org", "b.".repeat(125));
        let local = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "@",
            "john",
            "john@",
            "@example.org",
            "a@b@example.org",
            "\"a b\"@example.org",
            "\"a\"@example.org",
            "john@example.org\r\nBcc: eve@example.org",
            "john\n@example.org",
            "john@example.org ",
            " john@example.org",
            "john@example.org\0",
            "john@exa\u{b}mple.org",
            "jöhn@example.org",
            "john@exämple.org",
            "john@еxample.org",
            "a..b@example.org",
            ".a@example.org",
            "a.@example.org",
            "a@-example.org",
            "a@example..org",
            "a@.org",
            "a@org.",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@exa_mple.org",
            "<a@example.org>",
            "a,b@example.org",
            "a@example.org,b@example.org",
            "a@example.org>",
            "a%0d%0a@exa mple.org",
            &long,
            &local,
        ] {
            assert!(EmailAddress::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_mask_shows_the_first_character_and_the_domain(
            local in "[a-z0-9]{1,20}(\\.[a-z0-9_+-]{1,10}){0,2}", domain in "[a-z]{1,10}(\\.[a-z]{2,8}){1,3}"
        ) {
            let address = EmailAddress::parse(&format!("{local}@{domain}")).unwrap();
            prop_assert_eq!(address.masked(), format!("{}***@{domain}", &local[..1]));
        }

        #[test]
        fn what_is_taken_cannot_end_a_line_or_a_bracket(text in "\\PC{0,40}|[a-z@.<> \r\n\"(),:;]{0,30}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert!(address.as_str().is_ascii());
                prop_assert_eq!(address.as_str().matches('@').count(), 1);
                let ends = |c: char| c.is_control() || c.is_whitespace() || "<>()[]\\,;:\"".contains(c);
                prop_assert!(!address.as_str().contains(ends));
            }
        }
    }
}
