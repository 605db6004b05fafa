//! Keys that a server keeps: it asks and judges them through this host; without it, this host does by what it knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use oss2fa_core::ids::DeviceId;
use oss2fa_core::session::Codes;
use oss2fa_core::verdict::FactorKind;
use oss2fa_core::wire;
use oss2fa_ctap::auth_data::AuthenticatorData;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Proof};
use oss2fa_ctap::verify::{Credential, UserVerification};
use serde_json::Value;

use super::{Asked, Found, Judge, Keyring, is_local};
use crate::daemon::live::Live;
use crate::policy::Rules;
use crate::server::security_keys::{KeyChallenge, KeyOpening, ServerKey, assertion_token, kind_of};
use crate::server::{Binding, Server};
use crate::store::Device;
use crate::token::ports::Port;
use crate::token::wanted::Wanted;

/// What a key has signed for a challenge of the server.
pub(in crate::daemon) struct Signed {
    /// The challenge.
    pub(in crate::daemon) challenge: i64,
    /// What the server takes.
    pub(in crate::daemon) token: Value,
}

/// The way from a key to the server. Challenges that are open when nobody holds it any more are given up.
pub(in crate::daemon) struct Relay {
    server: Arc<Server>,
    binding: Binding,
    deadline: Instant,
    open: Mutex<HashMap<DeviceId, KeyChallenge>>,
}

impl Relay {
    pub(in crate::daemon) fn new(server: Arc<Server>, binding: Binding, deadline: Instant) -> Self {
        Self { server, binding, deadline, open: Mutex::default() }
    }

    // One that waits already is gone on with, as long as the server takes its answer: a key gives up sooner than whoever
    // logs in, and whoever logs in may have longer than a challenge.
    fn open(&self, device: DeviceId) -> Option<KeyChallenge> {
        let waiting = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&device);
        match waiting {
            Some(challenge) if !challenge.is_over() => return Some(challenge),
            Some(over) => self.server.cancel(over.pk),
            None => {}
        }
        match self.server.open_key(&self.binding, device.0, self.deadline) {
            Ok(KeyOpening::Open(challenge)) => Some(challenge),
            Ok(KeyOpening::Refused) => None,
            Err(fault) => {
                tracing::error!(code = fault.code(), error = %fault, "the server gave no challenge for a security key");
                None
            }
        }
    }

    fn keep(&self, device: DeviceId, challenge: KeyChallenge) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(device, challenge);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        for challenge in open.values() {
            self.server.cancel(challenge.pk);
        }
    }
}

impl Keyring {
    /// The keys that the server has told of, for a login at this host's own seats.
    pub(in crate::daemon) fn at_server(
        keys: &[ServerKey],
        codes: Codes,
        relay: Relay,
        rules: &Rules,
    ) -> Option<Self> {
        let mut keyring = Self { codes, ..Self::empty(Judge::Server(Arc::new(relay))) };
        for key in keys.iter().filter(|key| rules.factors.contains(&key.kind)) {
            let known = Credential {
                device: DeviceId(key.device),
                id: key.credential.id.clone(),
                public_key: key.credential.public_key.clone(),
                sign_count: key.sign_count,
                user_id: None,
            };
            keyring.insert(known, key.credential.clone(), key.kind, rules.user_verification);
        }
        (!keyring.groups.is_empty()).then_some(keyring)
    }

    /// The keys of users of a server that this host knows, for the time when no server can be reached.
    pub(in crate::daemon) fn without_server(
        live: &Live,
        devices: &[Device],
        rules: &Rules,
        login: &wire::Login,
    ) -> Option<Self> {
        if !is_local(login) {
            return None;
        }
        let mut keyring = Self::empty(Judge::HostForServer);
        let counts = |device: &&Device| device.is_usable_offline() && rules.factors.contains(&device.kind);
        for device in devices.iter().filter(counts) {
            if device.kind.is_security_key() {
                keyring.add(live, device, rules.user_verification);
            } else {
                keyring.codes = Codes::Beside;
            }
        }
        (!keyring.groups.is_empty()).then_some(keyring)
    }
}

/// Whether a kind of the server is a security key.
pub(in crate::daemon) fn is_key(kind: &str) -> bool {
    kind_of(kind).is_some_and(FactorKind::is_security_key)
}

impl Asked<'_> {
    pub(super) fn ask_for(
        &self,
        relay: &Relay,
        key: &mut Key<Port>,
        ids: &[Vec<u8>],
        proof: Proof<'_>,
        wanted: &mut Wanted<'_>,
    ) -> Result<Found, KeyError> {
        // Found out first, so that nothing is opened at the server for a foreign key.
        let Some(id) = key.find(&self.group.rp, ids, &mut wanted.patience())? else {
            return Err(KeyError::NoCredential);
        };
        let known = self.group.credentials.iter().find(|known| known.id == id);
        let Some(known) = known else { return Err(KeyError::NoCredential) };
        let device = known.device;
        let Some(challenge) = relay.open(device) else { return Err(KeyError::NoCredential) };
        if *challenge.login.rp() != self.group.rp {
            relay.keep(device, challenge);
            return Err(KeyError::NoCredential);
        }
        let asserted = wanted.before(challenge.until, |patience| {
            key.assert_for_server(&challenge.login, &[id], proof, self.random, patience)
        });
        let assertion = match asserted {
            Ok(assertion) => assertion,
            Err(error) => {
                relay.keep(device, challenge);
                return Err(error);
            }
        };
        if challenge.login.is_signed_by(&known.public_key, &assertion).is_err() {
            relay.keep(device, challenge);
            return Ok(Found::Forged(device));
        }
        // What this host's policy wants, the server may not ask for.
        let verified = AuthenticatorData::parse(&assertion.auth_data).map(|data| data.flags.user_verified());
        if self.group.verification == UserVerification::Required && verified != Ok(true) {
            tracing::warn!(
                code = "key",
                "a security key did not verify its user, and this host's policy asks for that"
            );
            relay.keep(device, challenge);
            return Err(KeyError::NoCredential);
        }
        let token = assertion_token(challenge.login.client_data(), &assertion);
        Ok(Found::Signed(Signed { challenge: challenge.pk, token }))
    }
}
