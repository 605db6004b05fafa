//! What a login makes of the server's verdict: it is audited, and whose keys were proved is remembered.

use oss2fa_core::session::Judgement;

use super::super::courier;
use super::super::keyring::Signed;
use super::super::ruling::{Case, Ruling};
use super::{Evidence, Serving, note};
use crate::server::Proven;
use crate::store;

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

    // Of who has just proved at this host to be theirs: they may be touched while the server is away.
    fn keep_keys(&self) {
        let Some(Case { account: Some(account), ruling: Ruling::Ask(asked), devices }) = &self.case else {
            return;
        };
        let (Some(keys), Some(context)) = (&asked.keys, self.context()) else { return };
        if keys.is_empty() && !devices.iter().any(store::Device::is_of_server) {
            return;
        }
        let keys = keys.iter().cloned().filter_map(courier::kept).collect();
        if let Err(error) = self.live.store.keep_server_keys(context, account.name.clone(), keys) {
            tracing::error!(code = "store", %error, "the security keys of a user could not be kept");
        }
    }
}
