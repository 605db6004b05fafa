//! What a login makes of the server's verdict: it is audited, and whose keys were proved is remembered.

use std::time::Instant;

use oss2fa_core::ids::UserName;
use oss2fa_core::session::Judgement;

use super::super::courier::{self, Undone};
use super::super::keyring::Signed;
use super::super::ruling::{Case, Ruling};
use super::{Evidence, Serving, note};
use crate::server::Proven;
use crate::server::security_keys::ServerKey;
use crate::store::{self, StoreError};

impl Serving<'_> {
    /// What the server makes of what a key has signed.
    pub(super) fn judge_signed(&self, signed: &Signed) -> Judgement<Evidence> {
        match self.case.as_ref().map(|case| &case.ruling) {
            Some(Ruling::Ask(asked)) => self.by_server(asked.complete_key(signed, self.deadline)),
            _ => Judgement::Unavailable,
        }
    }

    /// What the server says is in this host's audit, too, before anybody gets in.
    pub(super) fn by_server(&self, judgement: Judgement<Proven>) -> Judgement<Evidence> {
        let Some(context) = self.context() else { return Judgement::Unavailable };
        let by_server = || "by the server".to_owned();
        match judgement {
            Judgement::Admitted(proven) => {
                let detail = format!("by the server client={}", proven.client());
                match self.live.store.note(context, store::Event::Accepted, detail) {
                    Ok(()) => {
                        self.keep_keys();
                        Judgement::Admitted(Evidence::Server(proven))
                    }
                    Err(error) => {
                        tracing::error!(code = "audit", %error, "a login that cannot be audited is refused");
                        Judgement::Unavailable
                    }
                }
            }
            Judgement::Refused => {
                note(self.live, context, store::Event::Refused, by_server());
                Judgement::Refused
            }
            Judgement::Locked => {
                note(self.live, context, store::Event::Locked, by_server());
                Judgement::Locked
            }
            Judgement::Unavailable => Judgement::Unavailable,
        }
    }

    // Of who has just proved at this host to be theirs: they may be touched while the server is away. It is asked again, as
    // it may have removed one since this login began; where it is silent now, the keys are kept at another login.
    fn keep_keys(&self) {
        let Some(Case { account: Some(account), ruling: Ruling::Ask(asked), .. }) = &self.case else {
            return;
        };
        let (Some(keys), Some(context)) = (&asked.keys, self.context()) else { return };
        let kept = self.has_all(&account.name, keys).map_err(Undone::Store).and_then(|all| match all {
            Has::All => Ok(()),
            Has::NotAll => {
                let now = Instant::now();
                let patience =
                    asked.server.config().timeout.min(self.deadline.saturating_duration_since(now) / 2);
                courier::keep_keys(self.live, &asked.server, &context, &account.name, now + patience)
            }
        });
        if let Err(error) = kept {
            tracing::error!(code = "keys", %error, "the security keys of a user could not be kept");
        }
    }

    // What is known already was brought up to date by the look-up.
    fn has_all(&self, user: &UserName, keys: &[ServerKey]) -> Result<Has, StoreError> {
        let devices = self.live.store.account_view(user)?.devices;
        let is_there =
            |number| devices.iter().any(|device| device.is_of_server() && device.offline == Some(number));
        let all = keys.iter().cloned().filter_map(courier::kept).all(|key| is_there(key.number));
        Ok(if all { Has::All } else { Has::NotAll })
    }
}

/// Whether this host has the keys of a user.
enum Has {
    All,
    NotAll,
}
