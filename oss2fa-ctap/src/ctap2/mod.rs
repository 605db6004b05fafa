//! CTAP2: the commands of FIDO2 keys (CTAP 2.1 section 6).
//!
//! A request has `to_bytes` and an answer `parse`, both without a key; the functions put them together over
//! a [`Channel`].

pub mod client_pin;
pub mod get_assertion;
pub mod info;
pub mod make_credential;
pub mod pin_protocol;
pub mod selection;
pub mod status;

use zeroize::Zeroizing;

use crate::cbor::{self, Value};
use crate::error::KeyError;
use crate::hid::{Channel, Command};
use crate::transport::{HidTransport, Patience};
use status::Status;

/// Bytes of a request: its command, and its parameters in canonical CBOR (CTAP 2.1 section 8.1).
pub(crate) fn request(command: u8, parameters: Vec<(i64, Option<Value>)>) -> Zeroizing<Vec<u8>> {
    let given: Vec<(Value, Value)> =
        parameters.into_iter().filter_map(|(key, value)| Some((Value::number(key), value?))).collect();
    let mut bytes = Zeroizing::new(vec![command]);
    bytes.extend(cbor::encode(&Value::Map(given)));
    bytes
}

/// Sends a request; gives what stands after the status of the answer (CTAP 2.1 section 8.2).
pub(crate) fn call<T: HidTransport>(
    channel: &mut Channel<T>,
    request: &[u8],
    patience: &mut Patience<'_>,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut answer = channel.transact(Command::CBOR, request, patience)?;
    match answer.first() {
        None => Err(KeyError::Malformed(crate::error::Malformed("answer of CTAP2"))),
        Some(&status) if Status(status) == Status::OK => Ok(Zeroizing::new(answer.drain(1..).collect())),
        Some(&status) => Err(Status(status).into()),
    }
}

// The list of what credentials are asked for or must not be there (WebAuthn section 5.8.3).
fn descriptors(ids: &[Vec<u8>]) -> Option<Value> {
    let one = |id: &Vec<u8>| {
        Value::Map(vec![
            (Value::text("id"), Value::bytes(id)),
            (Value::text("type"), Value::text("public-key")),
        ])
    };
    (!ids.is_empty()).then(|| Value::Array(ids.iter().map(one).collect()))
}

fn options(set: &[(&str, Option<bool>)]) -> Option<Value> {
    let given: Vec<(Value, Value)> = set
        .iter()
        .filter_map(|(name, value)| value.map(|value| (Value::text(name), Value::Bool(value))))
        .collect();
    (!given.is_empty()).then_some(Value::Map(given))
}
