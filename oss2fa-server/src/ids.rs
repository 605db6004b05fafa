//! Names and numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

id! {
    /// Number of a tenant.
    TenantId;
    /// Number of an integration: an application that is protected.
    IntegrationId;
    /// Number of a client: a person who proves to be themselves.
    ClientId;
    /// Number of an enrollment.
    EnrollmentId;
    /// Number of a challenge.
    ChallengeId;
    /// Number of an administrator.
    AdministratorId;
    /// Number of a webhook.
    WebhookId;
}

/// The server itself, in audit and keys: what belongs to no tenant.
pub const SERVER: TenantId = TenantId(0);

/// Longest name of a client, in bytes.
pub const MAX_USERNAME: usize = 256;

/// The name of a client in its one canonical form.
///
/// Made once, where a request comes in: Unicode NFKC, lower case. So "Ferris", "ferris" and the wide
/// letters are one person, with one lock and one policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Username(String);

/// A name that nothing may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a name is 1 to 256 bytes of letters, digits and . _ - + @ $ \\, and does not begin with a dash",
        )
    }
}

impl std::error::Error for BadName {}

impl Username {
    /// Takes a name as somebody wrote it.
    ///
    /// # Errors
    /// [`BadName`] where it has another character than letters, digits and `. _ - + @ $ \`.
    pub fn parse(written: &str) -> Result<Self, BadName> {
        if written.len() > MAX_USERNAME {
            return Err(BadName);
        }
        // Lower case can leave the normal form (as with a dotted capital I): normalised once more.
        let lower = written.nfkc().collect::<String>().to_lowercase();
        let name: String = lower.nfkc().collect();
        // Letters alone may carry marks; a mark alone, or a sign without width, is no letter.
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@' | '$' | '\\');
        if name.is_empty()
            || name.len() > MAX_USERNAME
            || name.starts_with('-')
            || matches!(name.as_str(), "." | "..")
            || !name.chars().all(fits)
        {
            return Err(BadName);
        }
        Ok(Self(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Username;

    #[test]
    fn one_person_has_one_name() {
        let canonical = Username::parse("john.doe").unwrap();
        for written in ["John.Doe", "JOHN.DOE", "ｊｏｈｎ.doe", "john．doe"] {
            assert_eq!(Username::parse(written).unwrap(), canonical, "{written}");
        }
    }

    #[test]
    fn what_could_look_like_another_name_is_none() {
        for written in [
            "",
            " john",
            "john ",
            "jo hn",
            "jo\u{200b}hn",
            "jo\u{202e}hn",
            "john\n",
            "a/b",
            "-x",
            "..",
            "jo:hn",
        ] {
            assert!(Username::parse(written).is_err(), "{written:?}");
        }
        assert!(Username::parse(&"x".repeat(257)).is_err());
    }
}
