//! A login whose codes the server judges: choosing a device, sending a code, enrolling, proving.

use std::sync::Arc;
use std::time::Instant;

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{Beside, Codes, Judgement, Menu, Opened, Standing};
use oss2fa_core::wire::DisplayText;
use serde_json::json;

use super::keyring::{Keyring, Relay, Signed, is_key};
use super::ruling::Asked;
use crate::cli::qr::{self, Paint};
use crate::policy::Rules;
use crate::server::Fault;
use crate::server::challenge::{Challenge, Opening, Resent};
use crate::server::decide::RemoteDevice;
use crate::server::enrollment::{Begun, Shown};
use crate::server::judge::{Judged, Proven};
use crate::server::security_keys::ServerKey;

/// What is open at the server for this login.
#[derive(Debug, Default)]
pub(super) enum Open {
    /// Nothing.
    #[default]
    Nothing,
    /// A challenge.
    Challenge(Challenge),
    /// An enrolment of this number.
    Enrollment(i64),
}

/// Kinds of the server that stand in for another, and are never chosen: they are typed.
const STANDS_IN: &str = "RECOVERY";

impl Asked {
    /// What the user is asked first: a code, or which of several devices.
    pub(super) fn standing(&self, rules: &Rules) -> Standing {
        let choices: Vec<_> = self.choices().collect();
        let is_sent = |device: &&RemoteDevice| device.address.is_some();
        let counts = |key: &ServerKey| rules.factors.contains(&key.kind);
        let keys = self.keys.as_ref().is_some_and(|keys| keys.iter().any(counts));
        if choices.len() < 2 && !choices.iter().any(is_sent) {
            return if keys { Standing::MayTouch(self.codes()) } else { Standing::MustProve };
        }
        let label = |device: &&RemoteDevice| {
            let of_kind = choices.iter().filter(|other| other.kind.name == device.kind.name).count();
            DisplayText::new(&label(device, of_kind))
        };
        let menu = Menu(choices.iter().map(label).collect());
        if keys { Standing::MayTouchBeside(Beside::Menu(menu)) } else { Standing::MustChoose(menu) }
    }

    /// What the user has beside security keys.
    fn codes(&self) -> Codes {
        let types = |device: &RemoteDevice| !is_key(&device.kind.name);
        if self.devices.iter().any(types) { Codes::Beside } else { Codes::None }
    }

    /// The security keys, for one wait.
    pub(super) fn keyring(&self, rules: &Rules, deadline: Instant) -> Option<Keyring> {
        let relay = Relay::new(Arc::clone(&self.server), self.binding.clone(), deadline);
        Keyring::at_server(self.keys.as_deref()?, self.codes(), relay, rules)
    }

    /// Shows what a key has signed.
    pub(super) fn complete_key(&self, signed: &Signed, deadline: Instant) -> Judgement<Proven> {
        judgement(self.server.complete_key(signed.challenge, &signed.token, deadline))
    }

    fn choices(&self) -> impl Iterator<Item = &RemoteDevice> {
        // A key is touched, not chosen: where it can be, that is asked first.
        let chosen = |device: &&RemoteDevice| {
            !device.kind.name.eq_ignore_ascii_case(STANDS_IN) && !is_key(&device.kind.name)
        };
        self.devices.iter().filter(chosen)
    }

    /// Tries a code against all devices.
    pub(super) fn judge(&self, code: &SecretText, deadline: Instant) -> Judgement<Proven> {
        judgement(self.server.verify(&self.binding, code, deadline))
    }

    /// Opens a challenge on a device of the menu.
    pub(super) fn open(&self, choice: usize, open: &mut Open, deadline: Instant) -> Opened {
        let Some(device) = self.choices().nth(choice) else { return Opened::Refused };
        match self.server.open(&self.binding, device.pk, deadline) {
            Ok(Opening::Open(challenge)) => {
                let opened = challenge.sent_to.as_deref().map_or(Opened::Ready, |to| Opened::Sent(shown(to)));
                *open = Open::Challenge(challenge);
                opened
            }
            Ok(Opening::Refused) => Opened::Refused,
            Ok(Opening::Locked) => Opened::Locked,
            Err(fault) => {
                log(&fault);
                Opened::Unavailable
            }
        }
    }

    /// Sends the code of the open challenge again.
    pub(super) fn resend(&self, open: &Open, deadline: Instant) -> Opened {
        let Open::Challenge(Challenge { pk, sent_to }) = open else { return Opened::Unavailable };
        let to = shown(sent_to.as_deref().unwrap_or_default());
        match self.server.resend(*pk, deadline) {
            Ok(Resent::Sent) => Opened::Sent(to),
            Ok(Resent::NotAgain) => Opened::NotSentAgain(to),
            Ok(Resent::Over) => Opened::Refused,
            Ok(Resent::Locked) => Opened::Locked,
            Err(fault) => {
                log(&fault);
                Opened::Unavailable
            }
        }
    }

    /// Answers the open challenge.
    pub(super) fn complete(&self, open: &Open, code: &SecretText, deadline: Instant) -> Judgement<Proven> {
        let Open::Challenge(challenge) = open else { return Judgement::Unavailable };
        judgement(self.server.complete(challenge.pk, code, deadline))
    }

    /// Gives the open challenge up, behind the back of the user, who has gone.
    pub(super) fn cancel(&self, open: &mut Open) {
        if let Open::Challenge(challenge) = std::mem::take(open) {
            self.server.cancel(challenge.pk);
        }
    }

    /// Begins to enrol an authenticator app; gives what its owner must see.
    pub(super) fn prepare(&self, open: &mut Open, deadline: Instant) -> Option<DisplayText> {
        match self.server.enroll(&self.binding, "TOTP", &json!({}), deadline) {
            Ok(Begun::Waiting(waiting)) => match waiting.shown {
                Shown::ProvisioningUri(uri) => {
                    *open = Open::Enrollment(waiting.pk);
                    Some(picture(&uri))
                }
                Shown::SentTo(_) | Shown::Codes(_) => None,
            },
            Ok(Begun::Refused(why)) => {
                tracing::warn!(code = "server_enroll", why, "a user could not enrol in the login");
                None
            }
            Err(fault) => {
                log(&fault);
                None
            }
        }
    }

    /// Shows the first code of the device that is being enrolled.
    pub(super) fn prove(&self, open: &Open, code: &SecretText, deadline: Instant) -> Judgement<Proven> {
        let Open::Enrollment(pk) = open else { return Judgement::Unavailable };
        judgement(self.server.prove(*pk, code, deadline))
    }
}

fn judgement(judged: Result<Judged, Fault>) -> Judgement<Proven> {
    match judged {
        Ok(Judged::Proven(proven)) => Judgement::Admitted(proven),
        Ok(Judged::Refused) => Judgement::Refused,
        Ok(Judged::Locked) => Judgement::Locked,
        Err(fault) => {
            log(&fault);
            Judgement::Unavailable
        }
    }
}

// For the administrator: whoever logs in is told nothing of it.
fn log(fault: &Fault) {
    tracing::error!(code = fault.code(), error = %fault, "the server did not answer a login");
}

fn shown(text: &str) -> DisplayText {
    DisplayText::new(&crate::source::clean(text))
}

// Two of a kind are told apart by their names.
fn label(device: &RemoteDevice, of_kind: usize) -> String {
    let kind = match (device.kind.name.to_uppercase().as_str(), &device.address) {
        ("EMAIL", Some(address)) => return format!("e-mail to {}", crate::source::clean(address)),
        ("SMS", Some(address)) => return format!("SMS to {}", crate::source::clean(address)),
        (kind, _) => kind.to_owned(),
    };
    if of_kind > 1 { format!("{kind} ({})", crate::source::clean(&device.name)) } else { kind }
}

fn picture(uri: &SecretText) -> DisplayText {
    let picture = qr::picture(uri.expose(), Paint::Characters).unwrap_or_default();
    let picture = zeroize::Zeroizing::new(picture);
    DisplayText::new(&format!(
        "This account must have a second factor, and has none yet. Scan this with an authenticator app:\n\n\
         {}\nOr pass it on as a whole:\n{}\n",
        *picture,
        uri.expose()
    ))
}
