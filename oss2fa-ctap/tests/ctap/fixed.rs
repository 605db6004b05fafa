//! Randomness that is none, vectors out of files, and keys that play a script.

use std::sync::Mutex;
use std::time::Instant;

use oss2fa_core::ids::DeviceId;
use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::replay::Replay;
use oss2fa_ctap::transport::{Go, Meanwhile, Patience};
use oss2fa_ctap::verify::Credential;
use serde::de::DeserializeOwned;

pub(crate) const RP: &str = "oss2fa.test";

/// Gives out these bytes, and fails when there are no more.
pub(crate) struct Fixed(Mutex<Vec<u8>>);

impl Fixed {
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self(Mutex::new(bytes.to_vec()))
    }

    /// 0, 1, 2 and so on: what the vectors have for a challenge.
    pub(crate) fn counting() -> Self {
        Self::bytes(&(0..32).collect::<Vec<u8>>())
    }
}

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        let mut left = self.0.lock().unwrap();
        if left.len() < bytes.len() {
            return Err(NoRandomness);
        }
        let given: Vec<u8> = left.drain(..bytes.len()).collect();
        bytes.copy_from_slice(&given);
        Ok(())
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

pub(crate) fn vectors<V: DeserializeOwned>(text: &str) -> Vec<V> {
    serde_json::from_str(text).unwrap()
}

/// Plays `script` to `play`; gives its result, and what the key was about meanwhile. The first time that it is
/// about `cancel_at`, nobody waits any more.
pub(crate) fn watched<A>(
    script: &str,
    cancel_at: Option<Meanwhile>,
    play: impl FnOnce(Replay, &mut Patience<'_>) -> Result<A, KeyError>,
) -> (Result<A, KeyError>, Vec<Meanwhile>) {
    let mut seen = Vec::new();
    let mut watch = |what| {
        seen.push(what);
        if cancel_at == Some(what) { Go::Cancel } else { Go::On }
    };
    let result = play(Replay::script(script), &mut Patience::until(Instant::now(), &mut watch));
    (result, seen)
}

/// The same where nobody cancels and nobody looks.
pub(crate) fn played<A>(
    script: &str,
    play: impl FnOnce(Replay, &mut Patience<'_>) -> Result<A, KeyError>,
) -> Result<A, KeyError> {
    watched(script, None, play).0
}

/// Whose key the stories are of, as a store knows it.
pub(crate) fn ferris() -> Credential {
    #[derive(serde::Deserialize)]
    struct Case {
        credential: Stored,
    }
    #[derive(serde::Deserialize)]
    struct Stored {
        key: String,
    }
    let all: Vec<Case> = vectors(include_str!("../data/assertions.json"));
    Credential {
        device: DeviceId(1),
        id: b"credential of ferris".to_vec(),
        public_key: PublicKey::from_cose(&hex(&all[0].credential.key)).unwrap(),
        sign_count: 7,
        user_id: None,
    }
}
