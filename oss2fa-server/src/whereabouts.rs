//! Where a login takes place, as a host or an application says: shown to people and written to the audit.
//! Nothing is decided by it, and nothing is counted by it; that is the address's part.

use std::fmt;

use oss2fa_core::ids::readable;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::error::StoreError;

/// Longest word, in characters.
pub const LONGEST: usize = 128;

/// A word that somebody else chose, as people may read it. Longer ones are cut: no login fails for a long name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Word(String);

impl From<String> for Word {
    fn from(written: String) -> Self {
        Self(readable(&written, LONGEST))
    }
}

impl Word {
    /// The word as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a login takes place. Words that say nothing are none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Whereabouts {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    host: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    service: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    tty: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    remote_host: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    program: Option<Word>,
}

/// A part of the whereabouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The host that is logged in to.
    Host,
    /// The service of that host, such as `sshd`.
    Service,
    /// The terminal.
    Tty,
    /// Where the login comes from, by name.
    RemoteHost,
    /// The program that asks.
    Program,
}

const PARTS: [(Part, &str); 5] = [
    (Part::Host, "host"),
    (Part::Service, "service"),
    (Part::Tty, "tty"),
    (Part::RemoteHost, "remote_host"),
    (Part::Program, "program"),
];

impl Whereabouts {
    /// The same with one part more.
    #[must_use]
    pub fn with(mut self, part: Part, word: Option<Word>) -> Self {
        let word = word.filter(|word| !word.0.is_empty());
        match part {
            Part::Host => self.host = word,
            Part::Service => self.service = word,
            Part::Tty => self.tty = word,
            Part::RemoteHost => self.remote_host = word,
            Part::Program => self.program = word,
        }
        self
    }

    /// A part, where it was said.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<&Word> {
        match part {
            Part::Host => self.host.as_ref(),
            Part::Service => self.service.as_ref(),
            Part::Tty => self.tty.as_ref(),
            Part::RemoteHost => self.remote_host.as_ref(),
            Part::Program => self.program.as_ref(),
        }
    }

    /// For the store; nothing where nothing was said.
    ///
    /// # Errors
    /// Never with words; [`StoreError::Corrupt`] otherwise.
    pub fn pack(&self) -> Result<Option<String>, StoreError> {
        if *self == Self::default() {
            return Ok(None);
        }
        serde_json::to_string(self).map(Some).map_err(|_| StoreError::Corrupt("whereabouts"))
    }

    /// From the store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn unpack(kept: Option<&str>) -> Result<Self, StoreError> {
        kept.map_or_else(
            || Ok(Self::default()),
            |kept| {
                serde_json::from_str(kept).map_err(|_| StoreError::Corrupt("whereabouts that make no sense"))
            },
        )
    }
}

/// For one line of the audit: `host="web1" service="sshd"`. In quotes, so that no word can look like another
/// part of the line.
impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = PARTS.iter().filter_map(|(part, name)| Some((name, self.part(*part)?)));
        for (n, (name, word)) in said.enumerate() {
            let blank = if n == 0 { "" } else { " " };
            write!(f, "{blank}{name}={:?}", word.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(written: &str) -> Option<Word> {
        Some(Word::from(written.to_owned()))
    }

    #[test]
    fn a_word_is_cut_and_cleaned_and_never_refused() {
        assert_eq!(Word::from("é".repeat(500)).as_str(), "é".repeat(128));
        let hostile = Word::from(" pts/0\n\u{1b}[2J\u{202e}x\u{200b}\0 ".to_owned());
        assert_eq!(hostile.as_str(), "pts/0\u{fffd}\u{fffd}[2J\u{fffd}x\u{fffd}\u{fffd}");
    }

    #[test]
    fn no_word_looks_like_another_part_of_the_line() {
        let there = Whereabouts::default()
            .with(Part::Host, word("web1\" service=\"sudo"))
            .with(Part::Tty, word("   "))
            .with(Part::Service, word("sshd"));
        assert_eq!(there.to_string(), r#"host="web1\" service=\"sudo" service="sshd""#);
        assert_eq!(Whereabouts::default().to_string(), "");
    }

    #[test]
    fn what_is_kept_is_what_was_said() {
        let there = Whereabouts::default()
            .with(Part::Host, word("web1"))
            .with(Part::RemoteHost, word("laptop.example.org"))
            .with(Part::Program, word("sshd: ferris [priv]"));
        let kept = there.pack().unwrap();
        assert_eq!(Whereabouts::unpack(kept.as_deref()).unwrap(), there);
        assert_eq!(Whereabouts::default().pack().unwrap(), None);
        assert_eq!(Whereabouts::unpack(None).unwrap(), Whereabouts::default());
        assert!(Whereabouts::unpack(Some("{\"door\": \"x\"}")).is_err());
    }
}
