//! A tree of settings as lines, `locks.free_attempts = 5`, and one of them changed by its name.

use serde_json::{Map, Value};

/// Each leaf as a line; lists and texts as JSON writes them.
pub(crate) fn lines(tree: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    collect(tree, "", &mut lines);
    lines
}

fn collect(tree: &Value, before: &str, lines: &mut Vec<String>) {
    match tree {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
                collect(value, &name, lines);
            }
        }
        leaf => lines.push(format!("{before} = {leaf}")),
    }
}

/// Sets one leaf from what somebody wrote. Lists are written as JSON or with commas between; a text that may
/// be missing is taken away by an empty one.
///
/// # Errors
/// A sentence: there is no such key, or the value is of another kind.
pub(crate) fn set(tree: &mut Value, key: &str, written: &str) -> Result<(), String> {
    let known = || {
        let names =
            lines(tree).into_iter().filter_map(|line| line.split_once(" = ").map(|(n, _)| n.to_owned()));
        format!("there is no key {key:?}; there are: {}", names.collect::<Vec<_>>().join(", "))
    };
    let unknown = known();
    let mut place = tree;
    for part in key.split('.') {
        place =
            place.as_object_mut().and_then(|fields: &mut Map<_, _>| fields.get_mut(part)).ok_or(&unknown)?;
    }
    *place = match place {
        Value::Object(_) => return Err(unknown),
        Value::Number(_) => written
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("{key} is {written:?}; it must be a whole number"))?,
        Value::Bool(_) => written
            .parse()
            .map(Value::Bool)
            .map_err(|_| format!("{key} is {written:?}; it must be true or false"))?,
        Value::Array(_) => list(written),
        Value::Null | Value::String(_) if written.is_empty() || written == "null" => Value::Null,
        Value::Null | Value::String(_) => Value::String(written.to_owned()),
    };
    Ok(())
}

fn list(written: &str) -> Value {
    match serde_json::from_str(written) {
        Ok(Value::Array(items)) => Value::Array(items),
        _ => Value::Array(
            written
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_leaf_is_changed_and_the_others_stay() {
        let mut tree = json!({ "issuer": null, "length": 6, "kinds": [], "locks": { "free": 5 } });
        for (key, value) in
            [("issuer", "Acme VPN"), ("length", "8"), ("kinds", "totp, hotp"), ("locks.free", "3")]
        {
            set(&mut tree, key, value).unwrap();
        }
        assert_eq!(
            tree,
            json!({ "issuer": "Acme VPN", "length": 8, "kinds": ["totp", "hotp"], "locks": { "free": 3 } })
        );
        set(&mut tree, "issuer", "").unwrap();
        set(&mut tree, "kinds", "[\"sms\"]").unwrap();
        assert_eq!(
            lines(&tree),
            ["issuer = null", "kinds = [\"sms\"]", "length = 8", "locks.free = 3"].map(str::to_owned)
        );
    }

    #[test]
    fn what_is_no_key_or_no_number_is_refused() {
        let mut tree = json!({ "length": 6, "locks": { "free": 5 } });
        for (key, value) in
            [("lenght", "8"), ("locks", "8"), ("locks.free.x", "8"), ("length", "long"), ("", "1")]
        {
            assert!(set(&mut tree, key, value).is_err(), "{key}={value}");
        }
        assert!(set(&mut tree, "lenght", "8").unwrap_err().contains("length, locks.free"));
    }
}
