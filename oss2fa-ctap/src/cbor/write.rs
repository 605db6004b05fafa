//! Writes canonical CBOR: shortest numbers, definite lengths, keys in order (CTAP 2.1 section 8).

use super::Value;

/// The one spelling of `value`. Keys of maps are put in order; two of the same must not be given.
#[must_use]
pub fn encode(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(value, &mut bytes);
    bytes
}

fn write(value: &Value, to: &mut Vec<u8>) {
    match value {
        Value::Unsigned(number) => head(0, *number, to),
        Value::Negative(below) => head(1, *below, to),
        Value::Bytes(bytes) => {
            head(2, length(bytes.len()), to);
            to.extend_from_slice(bytes);
        }
        Value::Text(text) => {
            head(3, length(text.len()), to);
            to.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            head(4, length(items.len()), to);
            for item in items {
                write(item, to);
            }
        }
        Value::Map(entries) => {
            head(5, length(entries.len()), to);
            let mut written: Vec<(Vec<u8>, &Value)> =
                entries.iter().map(|(key, value)| (encode(key), value)).collect();
            written.sort_by(|(one, _), (other, _)| key_order(one).cmp(&key_order(other)));
            for (key, value) in written {
                to.extend_from_slice(&key);
                write(value, to);
            }
        }
        Value::Bool(truth) => to.push(if *truth { 0xf5 } else { 0xf4 }),
    }
}

/// What encoded keys are ordered by: the major type, then the length, then the bytes.
pub(super) fn key_order(encoded: &[u8]) -> (u8, usize, &[u8]) {
    (encoded.first().map_or(0, |first| first >> 5), encoded.len(), encoded)
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn head(major: u8, argument: u64, to: &mut Vec<u8>) {
    let major = major << 5;
    if let Ok(short) = u8::try_from(argument) {
        if short < 24 {
            to.push(major | short);
        } else {
            to.extend([major | 24, short]);
        }
    } else if let Ok(short) = u16::try_from(argument) {
        to.push(major | 25);
        to.extend(short.to_be_bytes());
    } else if let Ok(short) = u32::try_from(argument) {
        to.push(major | 26);
        to.extend(short.to_be_bytes());
    } else {
        to.push(major | 27);
        to.extend(argument.to_be_bytes());
    }
}
