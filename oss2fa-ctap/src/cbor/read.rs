//! Reads canonical CBOR and nothing else (CTAP 2.1 section 8).
//!
//! Refused: a number or length that could be shorter, indefinite lengths, keys out of order or twice, text
//! that is not UTF-8, floating-point numbers, tags, null, more than [`MAX_DEPTH`] levels, bytes after the end. So two
//! readers cannot disagree about what a key has said.

use super::write::key_order;
use super::{MAX_DEPTH, Value};
use crate::error::Malformed;
use crate::hid::MAX_MESSAGE;

const WHAT: Malformed = Malformed("canonical CBOR");

/// Reads one value that fills `bytes`.
///
/// # Errors
/// [`Malformed`].
pub fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    match parse_first(bytes)? {
        (value, []) => Ok(value),
        (_, _) => Err(WHAT),
    }
}

/// Reads one value, and gives the bytes after it.
///
/// # Errors
/// [`Malformed`].
pub fn parse_first(bytes: &[u8]) -> Result<(Value, &[u8]), Malformed> {
    if bytes.len() > MAX_MESSAGE {
        return Err(WHAT);
    }
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0)?;
    Ok((value, reader.rest))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(WHAT)?;
        self.rest = rest;
        let (major, minor) = (first >> 5, first & 0x1f);
        if major == 7 {
            return match minor {
                20 => Ok(Value::Bool(false)),
                21 => Ok(Value::Bool(true)),
                _ => Err(WHAT),
            };
        }
        let argument = self.argument(minor)?;
        match major {
            0 => Ok(Value::Unsigned(argument)),
            1 => Ok(Value::Negative(argument)),
            2 => self.bytes(argument).map(|bytes| Value::Bytes(bytes.to_vec())),
            3 => {
                let text = std::str::from_utf8(self.bytes(argument)?).map_err(|_| WHAT)?;
                Ok(Value::Text(text.to_owned()))
            }
            4 => self.array(argument, depth),
            5 => self.map(argument, depth),
            _ => Err(WHAT),
        }
    }

    fn array(&mut self, count: u64, depth: usize) -> Result<Value, Malformed> {
        let count = self.count(count, 1, depth)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(items))
    }

    fn map(&mut self, count: u64, depth: usize) -> Result<Value, Malformed> {
        let count = self.count(count, 2, depth)?;
        let mut entries = Vec::with_capacity(count);
        let mut before: Option<&[u8]> = None;
        for _ in 0..count {
            let from = self.rest;
            let key = self.value(depth + 1)?;
            let spelled = from.get(..from.len() - self.rest.len()).ok_or(WHAT)?;
            if before.is_some_and(|before| key_order(before) >= key_order(spelled)) {
                return Err(WHAT);
            }
            before = Some(spelled);
            entries.push((key, self.value(depth + 1)?));
        }
        Ok(Value::Map(entries))
    }

    // Each item takes a byte at least: what is announced and cannot be there is refused before room is made.
    fn count(&self, announced: u64, bytes_each: usize, depth: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(announced).map_err(|_| WHAT)?;
        if depth >= MAX_DEPTH || count > self.rest.len() / bytes_each {
            return Err(WHAT);
        }
        Ok(count)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(length).map_err(|_| WHAT)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WHAT)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn argument(&mut self, minor: u8) -> Result<u64, Malformed> {
        let (argument, least) = match minor {
            0..=23 => return Ok(u64::from(minor)),
            24 => (u64::from(u8::from_be_bytes(self.number()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.number()?)), 1 << 8),
            26 => (u64::from(u32::from_be_bytes(self.number()?)), 1 << 16),
            27 => (u64::from_be_bytes(self.number()?), 1 << 32),
            _ => return Err(WHAT),
        };
        if argument < least { Err(WHAT) } else { Ok(argument) }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (number, rest) = self.rest.split_first_chunk::<N>().ok_or(WHAT)?;
        self.rest = rest;
        Ok(*number)
    }
}
