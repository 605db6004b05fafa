//! Names and numbers that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Number of a device in one store; never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub i64);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of an account in its canonical form, as the user directory spells it.
///
/// Made once, at the border, from `pw_name`. Everything behind the border takes this type, so that
/// look-up, lock, policy and audit cannot disagree about who is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

/// Longest account name, in bytes (`LOGIN_NAME_MAX` on Linux).
pub const MAX_USER_NAME: usize = 256;

/// Longest device name, in characters.
pub const MAX_DEVICE_NAME: usize = 64;

/// A name that no account or device may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is empty, too long, or has characters that a name cannot have")
    }
}

impl std::error::Error for BadName {}

impl UserName {
    /// Takes the name that the user directory gave.
    ///
    /// # Errors
    /// [`BadName`] for a name that could be read as something else in a path, a list or a log:
    /// empty, too long, with a control character, a slash or a colon, or beginning with a dash.
    pub fn from_directory(name: &str) -> Result<Self, BadName> {
        let odd = |c: char| c.is_control() || matches!(c, '/' | ':' | ',') || c.is_whitespace();
        if name.is_empty()
            || name.len() > MAX_USER_NAME
            || name.starts_with('-')
            || matches!(name, "." | "..")
            || name.chars().any(odd)
        {
            return Err(BadName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Characters of the general category Cf (format), first and last of each range: Unicode 17.0,
/// `extracted/DerivedGeneralCategory.txt`. Zero-width characters, bidirectional controls and tags are among
/// them.
const FORMAT: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Letters and signs that are drawn as nothing: the fillers of Hangul, in each of their forms, and the empty pattern of
/// Braille.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

// Controls, format characters, the line and paragraph separators, and what is drawn as nothing.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || BLANK.contains(&c)
        || FORMAT.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Somebody else's text as people read it: blanks around it are dropped, each character that cannot be seen
/// becomes U+FFFD, and what is longer than `most` characters is cut.
#[must_use]
pub fn readable(text: &str, most: usize) -> String {
    let shown = |c: char| if is_unseen(c) { char::REPLACEMENT_CHARACTER } else { c };
    let cut: String = text.trim().chars().map(shown).take(most).collect();
    cut.trim_end().to_owned()
}

/// What a person calls one of their devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes a name of 1 to [`MAX_DEVICE_NAME`] characters, each of which can be seen where it stands:
    /// without control characters, without those of Unicode's categories Cf, Zl and Zp, and without letters that
    /// are drawn as nothing, with which two names look alike or a line is turned around.
    ///
    /// # Errors
    /// [`BadName`] for any other.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_DEVICE_NAME || name.chars().any(is_unseen) {
            return Err(BadName);
        }
        Ok(Self(name.to_owned()))
    }

    /// Takes a name out of a store, where earlier releases let in what [`DeviceName::new`] refuses today:
    /// each such character becomes U+FFFD, so that the device goes on working and can be renamed.
    ///
    /// # Errors
    /// [`BadName`] for what no release has written.
    pub fn from_store(name: &str) -> Result<Self, BadName> {
        let shown = |c: char| if is_unseen(c) && !c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        Self::new(&name.chars().map(shown).collect::<String>())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
