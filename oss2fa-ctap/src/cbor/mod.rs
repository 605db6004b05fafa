//! CBOR as CTAP2 speaks it: one canonical spelling, written and demanded (CTAP 2.1 section 8).

mod read;
mod write;

use std::fmt;

pub use read::{parse, parse_first};
pub use write::encode;

use crate::error::Malformed;

/// How deep arrays and maps may nest (CTAP 2.1 section 8).
pub const MAX_DEPTH: usize = 4;

/// What CTAP2's messages are made of. Floating-point numbers, tags, null and undefined do not occur in them.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number from 0.
    Unsigned(u64),
    /// The number -1 - n.
    Negative(u64),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Text.
    Text(String),
    /// A list.
    Array(Vec<Value>),
    /// Keys with their values.
    Map(Vec<(Value, Value)>),
    /// True or false.
    Bool(bool),
}

// What stands in a message may be a key agreement or an encrypted PIN.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsigned(_) | Self::Negative(_) => "number",
            Self::Bytes(_) => "bytes",
            Self::Text(_) => "text",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Bool(_) => "bool",
        })
    }
}

impl Value {
    /// A whole number.
    #[must_use]
    pub fn number(number: i64) -> Self {
        match u64::try_from(number) {
            Ok(from_zero) => Self::Unsigned(from_zero),
            Err(_) => Self::Negative((-1 - number).unsigned_abs()),
        }
    }

    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }

    pub(crate) fn into_bytes(self, what: &'static str) -> Result<Vec<u8>, Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed(what)),
        }
    }

    pub(crate) fn into_text(self, what: &'static str) -> Result<String, Malformed> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Malformed(what)),
        }
    }

    pub(crate) fn into_array(self, what: &'static str) -> Result<Vec<Self>, Malformed> {
        match self {
            Self::Array(items) => Ok(items),
            _ => Err(Malformed(what)),
        }
    }

    pub(crate) fn into_number(self, what: &'static str) -> Result<i64, Malformed> {
        let number = match self {
            Self::Unsigned(number) => i64::try_from(number).ok(),
            Self::Negative(below) => i64::try_from(below).ok().map(|below| -1 - below),
            _ => None,
        };
        number.ok_or(Malformed(what))
    }

    pub(crate) fn into_fields(self, what: &'static str) -> Result<Fields, Malformed> {
        match self {
            Self::Map(entries) => Ok(Fields { entries, what }),
            _ => Err(Malformed(what)),
        }
    }
}

/// The entries of a map while they are taken out of it.
pub(crate) struct Fields {
    entries: Vec<(Value, Value)>,
    what: &'static str,
}

impl Fields {
    pub(crate) fn take(&mut self, key: i64) -> Option<Value> {
        self.take_at(&Value::number(key))
    }

    pub(crate) fn take_named(&mut self, key: &str) -> Option<Value> {
        self.take_at(&Value::text(key))
    }

    pub(crate) fn demand(&mut self, key: i64) -> Result<Value, Malformed> {
        self.take(key).ok_or(Malformed(self.what))
    }

    pub(crate) fn demand_named(&mut self, key: &str) -> Result<Value, Malformed> {
        self.take_named(key).ok_or(Malformed(self.what))
    }

    /// Entries that nobody took.
    pub(crate) fn rest(self) -> Vec<(Value, Value)> {
        self.entries
    }

    fn take_at(&mut self, key: &Value) -> Option<Value> {
        let place = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.remove(place).1)
    }
}
