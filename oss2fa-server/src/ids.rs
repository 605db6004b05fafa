//! Names and numbers that must not be mixed up.

use std::fmt;

use oss2fa_core::ids::readable;
use oss2fa_core::random::{NoRandomness, Random};
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
    /// Number of an offline credential.
    CredentialId;
    /// Number of a client of the validation protocol: the id that it sends.
    YubicoClientId;
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
        let name = canonical(written);
        // Letters alone may carry marks; a mark alone, or a sign without width, is no letter. The fillers of Hangul
        // are letters to Unicode, and nothing is seen of them.
        let fits = |c: char| match c {
            '.' | '_' | '-' | '+' | '@' | '$' | '\\' => true,
            '\u{115f}' | '\u{1160}' => false,
            other => other.is_alphanumeric(),
        };
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

/// Unicode NFKC, lower case.
fn canonical(written: &str) -> String {
    // ASCII is in every normal form (UAX #15 section 1.2), and nearly all names are.
    if written.is_ascii() {
        return written.to_ascii_lowercase();
    }
    // Lower case can leave the normal form (as with a dotted capital I): normalised once more.
    let lower = written.nfkc().collect::<String>().to_lowercase();
    lower.nfkc().collect()
}

/// The name of a host, as it calls itself: 1 to 256 characters that can be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostName(String);

/// A text that names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHost;

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a host is 1 to 256 characters, without those that cannot be seen")
    }
}

impl std::error::Error for BadHost {}

impl HostName {
    /// Takes a name as a host sent it. None is cut or mended: two hosts must not become one.
    ///
    /// # Errors
    /// [`BadHost`].
    pub fn parse(written: &str) -> Result<Self, BadHost> {
        if written.is_empty() || readable(written, 256) != written || written.contains('\u{fffd}') {
            return Err(BadHost);
        }
        Ok(Self(written.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The UUID of an app of ungleich-otp (RFC 9562), in lower case with its four dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AppUuid(String);

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUuid;

impl fmt::Display for BadUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID is 32 hexadecimal digits with dashes: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
    }
}

impl std::error::Error for BadUuid {}

impl AppUuid {
    /// A new one, of version 4: at random (RFC 9562 section 5.4).
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(random: &dyn Random) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        let number = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
        let digits = format!("{number:032x}");
        let (a, rest) = digits.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        Ok(Self(format!("{a}-{b}-{c}-{d}-{e}")))
    }

    /// Takes one as somebody wrote it, in any case; of any version, as there are imported ones.
    ///
    /// # Errors
    /// [`BadUuid`].
    pub fn parse(written: &str) -> Result<Self, BadUuid> {
        let fits = written.len() == 36
            && written.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if fits { Ok(Self(written.to_ascii_lowercase())) } else { Err(BadUuid) }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the app's client.
    #[must_use]
    pub fn username(&self) -> Username {
        // Lower-case hexadecimal digits and dashes are a name, in its canonical form.
        Username(self.0.clone())
    }
}

impl fmt::Display for AppUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{AppUuid, HostName, Username};
    use crate::outside::System;

    #[test]
    fn a_new_uuid_is_of_version_4_and_an_app_s_is_a_name() {
        let made: Vec<AppUuid> = (0..64).map(|_| AppUuid::generate(&System).unwrap()).collect();
        for uuid in &made {
            let text = uuid.as_str();
            assert_eq!((&text[14..15], text.len()), ("4", 36), "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
            assert_eq!(AppUuid::parse(&text.to_ascii_uppercase()).as_ref(), Ok(uuid));
            assert_eq!(Username::parse(text).unwrap(), uuid.username());
        }
        assert!(made.iter().any(|uuid| uuid != &made[0]));
    }

    #[test]
    fn what_is_no_uuid_is_none() {
        for written in [
            "",
            "f47ac10b58cc4372a5670e02b2c3d479",
            "f47ac10b-58cc-4372-a567-0e02b2c3d47",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479 ",
            "{f47ac10b-58cc-4372-a567-0e02b2c3d479}",
            "f47ac10b-58cc-4372-a567-0e02b2c3d47g",
            "f47ac10b-58cc-4372-a5670-e02b2c3d479",
            "f47ac10b\u{2010}58cc-4372-a567-0e02b2c3d4",
        ] {
            assert!(AppUuid::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn no_two_hosts_become_one() {
        assert_eq!(HostName::parse("web1.example.org").unwrap().as_str(), "web1.example.org");
        for written in
            ["", " web1", "web1 ", "web\n1", "web\u{200b}1", "web\u{fffd}1", "web\0", &"x".repeat(257)]
        {
            assert!(HostName::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn one_person_has_one_name() {
        let canonical = Username::parse("john.doe").unwrap();
        for written in ["John.Doe", "JOHN.DOE", "ｊｏｈｎ.doe", "john．doe"] {
            assert_eq!(Username::parse(written).unwrap(), canonical, "{written}");
        }
    }

    #[test]
    fn what_is_ascii_is_in_its_normal_form() {
        use unicode_normalization::UnicodeNormalization;

        let all: String = (0..=127_u8).map(char::from).collect();
        let general = all.nfkc().collect::<String>().to_lowercase().nfkc().collect::<String>();
        assert_eq!(super::canonical(&all), general);
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
            "john\u{115f}",
            "john\u{1160}",
            "john\u{3164}",
            "\u{ffa0}",
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
