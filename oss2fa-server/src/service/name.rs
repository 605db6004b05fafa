//! Names of tenants, integrations and administrators.

use std::fmt;

use oss2fa_core::ids::DeviceName;
use unicode_normalization::UnicodeNormalization;

use super::refusal::Refusal;

/// A name that people give: 1 to 64 characters that can be seen, in Unicode's NFC.
///
/// Names are shown in lists, mails and authenticator apps: what would turn a line around or add one is
/// refused here, once. Markup is text like any other; whoever makes a page of it escapes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Takes a name as somebody wrote it; blanks around it are dropped.
    ///
    /// # Errors
    /// [`Refusal::BadName`] for one that is empty or too long, or has control or format characters or a
    /// colon, which ends the issuer's name in an authenticator app.
    pub fn parse(written: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadName(WORDS.to_owned());
        // Measured before anything is done with it: NFC can be three times as long.
        if written.len() > 1024 || written.contains(':') {
            return Err(bad());
        }
        let composed: String = written.nfc().collect();
        let name = DeviceName::new(&composed).map_err(|_| bad())?;
        Ok(Self(name.as_str().to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const WORDS: &str =
    "a name is 1 to 64 characters, without a colon and without characters that cannot be seen";

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::Name;

    #[test]
    fn one_name_has_one_form() {
        let composed = Name::parse("Caf\u{e9}").unwrap();
        assert_eq!(Name::parse(" Cafe\u{301} ").unwrap(), composed);
        assert_eq!(Name::parse("<b>VPN & \"Co\"</b>").unwrap().as_str(), "<b>VPN & \"Co\"</b>");
    }

    #[test]
    fn what_cannot_be_seen_is_no_name() {
        let long = "x".repeat(65);
        for written in
            ["", "   ", &long, "a\nb", "a\0b", "a\u{1b}[2J", "a\u{202e}b", "a\u{200b}b", "a\u{2028}b", "a:b"]
        {
            assert!(Name::parse(written).is_err(), "{written:?}");
        }
    }
}
