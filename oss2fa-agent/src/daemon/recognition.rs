//! What comes next where a security key has not recognised its user: it may look once more, or another way is taken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use oss2fa_core::wire::DisplayText;
use oss2fa_ctap::ctap2::client_pin::TRIES_KEPT;

/// How often a key looks in one conversation, however many tries it has. One look it always has: there are keys that have
/// three tries in all.
const MOST_LOOKS: u8 = 3;

/// How often keys have not recognised their user, in one login or enrolment. Its clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Misses(Arc<Mutex<HashMap<PathBuf, u8>>>);

/// What comes after a miss.
pub(super) enum Next {
    /// The key may look once more, once its owner has heard this.
    Again(DisplayText),
    /// It looks no more.
    Enough,
}

impl Misses {
    /// Whether the key at this path may look.
    pub(super) fn may_look(&self, key: &Path) -> bool {
        let misses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        misses.get(key).is_none_or(|missed| *missed < MOST_LOOKS)
    }

    /// What comes after one more miss; `left` are the tries that the key says it has.
    pub(super) fn after(&self, key: &Path, left: Option<u8>) -> Next {
        let mut misses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = misses.entry(key.to_owned()).or_default();
        *missed = match left {
            Some(left) if left <= TRIES_KEPT => MOST_LOOKS,
            Some(_) | None => missed.saturating_add(1),
        };
        if *missed >= MOST_LOOKS {
            return Next::Enough;
        }
        let tries = left.map(|left| format!(" {left} tries left.")).unwrap_or_default();
        let words = format!("The security key did not recognise you. Try again.{tries}");
        Next::Again(DisplayText::new(&words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(left: &[Option<u8>]) -> Vec<bool> {
        let (misses, key) = (Misses::default(), Path::new("/dev/hidraw0"));
        assert!(misses.may_look(key));
        let looked = left.iter().map(|left| matches!(misses.after(key, *left), Next::Again(_)));
        let looked = looked.collect();
        assert!(!misses.may_look(key));
        assert!(misses.may_look(Path::new("/dev/hidraw1")), "each key for itself");
        looked
    }

    #[test]
    fn a_key_looks_three_times_at_most_and_keeps_three_tries() {
        assert_eq!(looks(&[Some(24), Some(23), Some(22)]), [true, true, false]);
        assert_eq!(looks(&[None, None, None]), [true, true, false]);
        assert_eq!(looks(&[Some(4), Some(3)]), [true, false]);
        assert_eq!(looks(&[Some(2)]), [false]);
    }
}
