//! The mapping file of pam_yubico, its `authfile`: usually `/etc/yubikey_mappings` or `~/.yubico/authorized_yubikeys`.
//!
//! A line is `USER:ID[:ID...]`, an id the public id of a YubiKey in modhex. There is no secret in it: whether a password
//! of such a key is right, validation servers say.

use super::{ImportError, MAX_ENTRIES};
use crate::factor::yubico_otp::PublicId;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// A key that a file gives to a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedYubikey {
    /// Line of the file, from 1.
    pub line: usize,
    /// Whose it is, as the file spells it. Not yet a canonical name.
    pub user: String,
    /// Its public id.
    pub public_id: PublicId,
}

/// Reads every id of every line. Blank lines and lines that begin with `#` are skipped. A bad id is an error of its own
/// and changes nothing about the others.
#[must_use]
pub fn parse(text: &str) -> Vec<Result<AuthorizedYubikey, ImportError>> {
    let mut found: Vec<_> = super::entries(text)
        .take(MAX_ENTRIES)
        .flat_map(|(number, line)| ids(number, line))
        .take(MAX_ENTRIES + 1)
        .collect();
    if found.len() > MAX_ENTRIES {
        let last = found.pop().map_or(0, |last| last.map_or_else(|error| error.line, |key| key.line));
        found.push(Err(ImportError::at(last, "there are too many ids: split the file")));
    }
    found.into_iter().chain(super::too_many(text)).collect()
}

fn ids(line: usize, text: &str) -> Vec<Result<AuthorizedYubikey, ImportError>> {
    let bad = |reason: &str| vec![Err(ImportError::at(line, reason))];
    if text.len() > MAX_LINE {
        return bad("the line is longer than 64 KiB");
    }
    let text = text.trim_end();
    // `v2:CHALLENGE:...`, all in hexadecimal: `~/.yubico/challenge` and its like.
    if ["v1:", "v2:"].iter().any(|begin| text.starts_with(begin)) && text.len() > 2 * 63 {
        return bad(
            "this is the state of challenge-response, which counts for that one file: enrol the key anew with \
             `oss2fa-agent enroll yubikey-hmac`",
        );
    }
    let Some((user, rest)) = text.split_once(':') else {
        return bad("there is no colon behind the user name");
    };
    if user.is_empty() || user.chars().any(char::is_control) {
        return bad("the user name is empty or has control characters");
    }
    let key = |id: &str| match PublicId::parse(id) {
        Ok(public_id) => Ok(AuthorizedYubikey { line, user: user.to_owned(), public_id }),
        Err(reason) => Err(ImportError::at(line, reason)),
    };
    let found: Vec<_> = rest.split(':').map(str::trim).filter(|id| !id.is_empty()).map(key).collect();
    if found.is_empty() { bad("the user has no key in this line") } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let words = |found: Result<AuthorizedYubikey, ImportError>| match found {
            Ok(key) => format!("{} {} {}", key.line, key.user, key.public_id),
            Err(error) => error.to_string(),
        };
        parse(text).into_iter().map(words).collect()
    }

    #[test]
    fn every_id_of_a_line_is_a_key_of_its_user() {
        let text =
            "# staff\nferris:vvccccccbcgu:CCCCCCDUCRRN\n\ncorro:ccccccducrrn\r\nroot: vvccccccbcgu :\n";
        assert_eq!(
            said(text),
            ["2 ferris vvccccccbcgu", "2 ferris ccccccducrrn", "4 corro ccccccducrrn", "5 root vvccccccbcgu"]
        );
    }

    #[test]
    fn what_is_no_id_says_so_and_the_others_are_read() {
        let found = said("ferris:vvccccccbcgu:12345678:cc\n:vvccccccbcgu\nnobody\ncorro:\n");
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found[1].starts_with("line 1: a public id is 2 to 32 letters of modhex"), "{found:?}");
        assert_eq!(found[2], "1 ferris cc");
        assert!(found[3].contains("empty") && found[4].contains("colon") && found[5].contains("no key"));
    }

    #[test]
    fn the_state_of_challenge_response_is_told_apart() {
        let state = format!("v2:{}:{}:{}:10000:2\n", "0f".repeat(63), "1f".repeat(20), "2f".repeat(32));
        let found = said(&state);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("enroll yubikey-hmac"), "{found:?}");
        assert!(!found[0].contains("1f1f"), "{found:?}");
    }
}
