//! The mapping file of pam_u2f (pam-u2f of Yubico), usually `/etc/u2f_mappings` or `~/.config/Yubico/u2f_keys`.
//!
//! A line is `USER:CREDENTIAL[:CREDENTIAL...]`. Since release 1.1 a credential is `ID,KEY,TYPE,OPTIONS`: id and public
//! key in base64, the type `es256` or `eddsa`, options each with a `+` before it. Before, it was `ID,KEY`: a key
//! handle of U2F in the base64 of URLs, and the point in hexadecimal; such lines work to this day.

use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use super::{ImportError, MAX_ENTRIES};

/// Longest line, in bytes: some dozens of credentials.
pub const MAX_LINE: usize = 64 * 1024;

/// Longest credential id, in bytes (WebAuthn section 7.1).
pub const MAX_ID: usize = 1023;

/// A credential that was found in a file. Nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedKey {
    /// Line of the file, from 1.
    pub line: usize,
    /// Whose it is, as the file spells it. Not yet a canonical name.
    pub user: String,
    /// Its id on the key: the key handle of U2F. Empty for a resident credential of FIDO2 (`*`), which is found on its key
    /// by its public key.
    pub id: Vec<u8>,
    /// Its public key; not yet known to be a point of the curve.
    pub public_key: PublicKeyBytes,
    /// Which protocol has made it.
    pub made_by: MadeBy,
    /// What pam_u2f asks of it at each login.
    pub asks: Asks,
}

/// A public key as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKeyBytes {
    /// Both coordinates on P-256.
    Es256([u8; 64]),
    /// Of Ed25519.
    EdDsa([u8; 32]),
}

/// Which protocol has made a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeBy {
    /// CTAP2: bound to the origin.
    Fido2,
    /// U2F: bound to the application id.
    U2f,
}

/// What is asked of a key at each login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// A touch at the most.
    Touch,
    /// That it verifies its user (`+pin` or `+verification`).
    User,
}

/// Reads every credential of every line. Blank lines and lines that begin with `#` are skipped. A bad credential is
/// an error of its own and changes nothing about the others.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<ImportedKey, ImportError>> {
    let mut found: Vec<_> = super::entries(text)
        .take(MAX_ENTRIES)
        .flat_map(|(number, line)| credentials(number, line))
        .take(MAX_ENTRIES + 1)
        .collect();
    if found.len() > MAX_ENTRIES {
        let last = found.pop().map_or(0, |last| last.map_or_else(|error| error.line, |key| key.line));
        found.push(Err(ImportError::at(last, "there are too many credentials: split the file")));
    }
    found.into_iter().chain(super::too_many(text)).collect()
}

fn credentials(line: usize, text: &str) -> Vec<Result<ImportedKey, ImportError>> {
    let bad = |reason: &str| vec![Err(ImportError::at(line, reason))];
    if text.len() > MAX_LINE {
        return bad("the line is longer than 64 KiB");
    }
    let Some((user, rest)) = text.trim_end().split_once(':') else {
        return bad("there is no colon behind the user name");
    };
    if user.is_empty() || user.chars().any(char::is_control) {
        return bad("the user name is empty or has control characters");
    }
    let found = rest.split(':').filter(|part| !part.is_empty());
    let keys: Vec<_> = found
        .map(|part| credential(line, user, part).map_err(|reason| ImportError::at(line, reason)))
        .collect();
    if keys.is_empty() { bad("the user has no credential in this line") } else { keys }
}

fn credential(line: usize, user: &str, text: &str) -> Result<ImportedKey, &'static str> {
    let mut parts = text.splitn(4, ',');
    let id = parts.next().unwrap_or_default();
    let key = parts.next().ok_or("a credential ends before its public key")?;
    let id = match id {
        "*" => Vec::new(),
        id => base64(id)
            .filter(|id| (1..=MAX_ID).contains(&id.len()))
            .ok_or("the id of a credential is not base64 of 1 to 1023 bytes")?,
    };
    let (made_by, public_key, options) = match parts.next() {
        None => (MadeBy::U2f, whole_point(HEXLOWER_PERMISSIVE.decode(key.as_bytes()).ok()), ""),
        Some("es256") => (MadeBy::Fido2, coordinates(base64(key)), parts.next().unwrap_or_default()),
        Some("eddsa") => {
            let bytes = base64(key).and_then(|bytes| bytes.try_into().ok());
            (MadeBy::Fido2, bytes.map(PublicKeyBytes::EdDsa), parts.next().unwrap_or_default())
        }
        Some(_) => return Err("the type of a credential is neither es256 nor eddsa"),
    };
    let public_key = public_key.ok_or("the public key of a credential does not have the form of its type")?;
    if id.is_empty() && made_by == MadeBy::U2f {
        return Err("a key of U2F has no resident credential (*)");
    }
    let asks = asks(options)?;
    Ok(ImportedKey { line, user: user.to_owned(), id, public_key, made_by, asks })
}

// What is not known may be a condition: a key must not count for more here than there.
fn asks(options: &str) -> Result<Asks, &'static str> {
    let mut asks = Asks::Touch;
    for option in options.split(['+', ',']).filter(|option| !option.is_empty()) {
        match option {
            "presence" => {}
            "pin" | "verification" => asks = Asks::User,
            _ => return Err("a credential has an option that is none of +presence, +pin and +verification"),
        }
    }
    Ok(asks)
}

fn coordinates(bytes: Option<Vec<u8>>) -> Option<PublicKeyBytes> {
    bytes?.try_into().ok().map(PublicKeyBytes::Es256)
}

// Before its coordinates it says by a byte that both follow.
fn whole_point(bytes: Option<Vec<u8>>) -> Option<PublicKeyBytes> {
    match bytes?.split_first() {
        Some((4, rest)) => coordinates(Some(rest.to_vec())),
        _ => None,
    }
}

// Of files or of URLs, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let usual: String = text
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    BASE64_NOPAD.decode(usual.as_bytes()).ok()
}
