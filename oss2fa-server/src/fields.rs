//! Objects of JSON in which each field stands by its name, and once.
//!
//! What serde derives takes the values of a list for those of the fields, in the order in which these happen to stand
//! in the source; and a [`Value`] keeps the last of two fields of one name. The functions are for `deserialize_with`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Something that is read from an object alone.
struct Named<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByName(PhantomData)).map(Self)
    }
}

struct ByName<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ByName<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// Reads an object.
///
/// # Errors
/// Those of the reader; for a list, too.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Named::deserialize(deserializer).map(|Named(read)| read)
}

/// Reads an object, or null.
///
/// # Errors
/// Those of the reader; for a list, too.
pub fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::<Named<T>>::deserialize(deserializer).map(|read| read.map(|Named(read)| read))
}

/// Reads a list of objects.
///
/// # Errors
/// Those of the reader; for a list of lists, too.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Named<T>>::deserialize(deserializer).map(|read| read.into_iter().map(|Named(read)| read).collect())
}

/// Reads whatever it is, as deep as it goes.
///
/// # Errors
/// Those of the reader; for an object that has a field twice, too.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    Once::deserialize(deserializer).map(|Once(read)| read)
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EachOnce).map(Self)
    }
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without fields of one name")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Once(element)) = elements.next_element()? {
            read.push(element);
        }
        Ok(Value::from(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((name, Once(value))) = fields.next_entry::<String, Once>()? {
            if read.insert(name, value).is_some() {
                return Err(Error::custom("a field stands twice"));
            }
        }
        Ok(Value::from(read))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    #[derive(Deserialize)]
    struct Any(#[serde(deserialize_with = "super::value")] Value);

    #[test]
    fn what_stands_once_comes_as_it_is() {
        for written in [
            "null",
            "true",
            "-1",
            "18446744073709551615",
            "1.5",
            r#""a\u0000""#,
            r#"[{"a":{"b":[]}},{"a":1}]"#,
        ] {
            let Any(read) = serde_json::from_str(written).unwrap();
            assert_eq!(read, serde_json::from_str::<Value>(written).unwrap(), "{written}");
        }
        for written in [r#"{"a":1,"a":1}"#, r#"[{"b":{"a":1,"\u0061":2}}]"#] {
            assert!(serde_json::from_str::<Any>(written).is_err(), "{written}");
        }
    }
}
