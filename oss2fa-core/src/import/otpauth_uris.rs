//! A list of provisioning URIs, one on each line, as authenticator applications export them.

use super::{ImportError, ImportedDevice, MAX_ENTRIES};
use crate::otpauth;

/// Reads every line; the user is the account part of the label. Blank lines and lines that begin
/// with `#` are skipped. A bad line is an error of its own and changes nothing about the others.
///
/// A URI says nothing of time steps that were used before: a time-based device may be asked for a
/// code that it has already shown elsewhere.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<ImportedDevice, ImportError>> {
    super::entries(text)
        .take(MAX_ENTRIES)
        .map(|(line, uri)| {
            let found = otpauth::parse(uri).map_err(|error| ImportError::at(line, error))?;
            Ok(ImportedDevice {
                line,
                user: Some(found.account),
                kind: found.kind,
                secret: found.secret,
                parameters: found.parameters,
                next_position: found.counter,
                drift: 0,
            })
        })
        .chain(super::too_many(text))
        .collect()
}
