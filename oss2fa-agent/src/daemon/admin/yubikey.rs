//! Enrolling a YubiKey's challenge-response: a conversation, since its owner may have to plug it in and touch it.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use oss2fa_core::ids::DeviceName;
use oss2fa_core::random::Random;
use oss2fa_core::verdict::FactorKind;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::transport::{Go, Patience, TransportError};
use oss2fa_ctap::yubikey::{Slot, YubiKey};

use super::Desk;
use super::refusal::{bad_request, refused, unavailable};
use super::security_key::{Ended, PATIENCE, ended, say};
use super::subject::Subject;
use crate::admin::{RefusalCode, Response, YubikeyEnrollment, YubikeySlot};
use crate::daemon::challenges::{is_set_up, serial};
use crate::daemon::connection::{Broken, Connection};
use crate::daemon::live::Live;
use crate::daemon::peer::Caller;
use crate::policy::SelfService;
use crate::store::KeyAdded;
use crate::store::challenge_response::{Kept, NewYubikey};
use crate::token::bus::{Reached, Sign, Without, Works, YubikeyWork};
use crate::token::ports::Port;

/// Serves one enrolment of a YubiKey.
pub(in crate::daemon) fn enroll_yubikey(
    live: &Live,
    connection: &mut Connection,
    caller: Caller,
    wanted: YubikeyEnrollment,
) -> Result<(), Broken> {
    let response = Desk::of(live, caller).enroll_yubikey(connection, &wanted);
    ended(connection, response)
}

/// Whether it has asked for a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    ForTouches,
    ForNothing,
}

impl Desk<'_> {
    pub(super) fn enroll_yubikey(
        &self,
        connection: &mut Connection,
        wanted: &YubikeyEnrollment,
    ) -> Result<Response, Ended> {
        let subject = self.subject(&wanted.user, Some(SelfService::Enroll))?;
        if self.server_of(&subject).is_some() {
            return Err(refused(
                RefusalCode::AtServer,
                "a server decides about this user's logins, and YubiKeys that answer challenges do not count there"
                    .to_owned(),
            )
            .into());
        }
        let vouched = self.vouch(&subject, wanted.proof.clone())?;
        let name = match &wanted.name {
            Some(name) => name.clone(),
            None => DeviceName::new(FactorKind::YubikeyHmac.as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let (kept, asked) = self.answers(connection, &subject, slot_of(wanted.slot))?;
        let user = subject.account.name.clone();
        let added = self.live.store.add_yubikey(
            self.context(&user),
            user.clone(),
            NewYubikey { name, kept, vouched },
        );
        match added.map_err(|error| unavailable(&error))? {
            KeyAdded::Added(id) => {
                if asked == Asked::ForNothing {
                    say(connection, WITHOUT_TOUCH)?;
                }
                Ok(self.shown(user.as_str(), id)?)
            }
            refused => Err(bad_request(&refused.words()).into()),
        }
    }

    fn answers(
        &self,
        connection: &mut Connection,
        subject: &Subject,
        slot: Slot,
    ) -> Result<(Kept, Asked), Ended> {
        let making = Arc::new(Making {
            slot,
            known: self.known_serials(subject, slot)?,
            random: self.live.bus.random(),
            noted: Mutex::default(),
        });
        let of_work = Arc::clone(&making);
        let work: YubikeyWork<Kept> = Arc::new(move |key, _, patience| of_work.ask(key, patience));
        say(connection, PLUG_IN)?;
        let (deadline, mut broken, mut asked) = (Instant::now() + PATIENCE, None, Asked::ForNothing);
        let line = connection.line();
        let mut watch = |sign| {
            let noted = making.noted.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let words = match (noted, sign) {
                (Some(why), _) => Some(why),
                (None, Sign::Touch) => Some("Touch it now.".to_owned()),
                (None, Sign::TouchAgain) => Some("Touch it once more.".to_owned()),
                (None, Sign::Quiet) => None,
            };
            if matches!(sign, Sign::Touch | Sign::TouchAgain) {
                asked = Asked::ForTouches;
            }
            if let Some(Err(error)) = words.map(|words| say(connection, &words)) {
                broken = Some(error);
                return Go::Cancel;
            }
            if connection.is_open() { Go::On } else { Go::Cancel }
        };
        let works = Works { fido: None, yubikey: Some(work) };
        match self.live.bus.reach_any(&works, deadline, Without::Wait, line.as_ref().map(AsFd::as_fd), &mut watch) {
            Reached::Answer(kept) => Ok((kept, asked)),
            Reached::Left => Err(broken.unwrap_or(Broken::Gone).into()),
            Reached::NoKey | Reached::TimeUp => Err(bad_request(&format!(
                "no YubiKey has answered within {} seconds: nothing was enrolled. `oss2fa-agent keys` shows which are \
                 plugged in",
                PATIENCE.as_secs()
            ))
            .into()),
        }
    }

    // What is enrolled already is not asked for a touch.
    fn known_serials(&self, subject: &Subject, slot: Slot) -> Result<Vec<u32>, Ended> {
        let mut known = Vec::new();
        for device in &subject.view.devices {
            let found = device.challenge(self.live.store.keys()).map_err(|error| unavailable(&error))?;
            known.extend(found.filter(|one| one.kept.slot == slot).and_then(|one| one.kept.serial));
        }
        Ok(known)
    }
}

/// What each YubiKey that is plugged in is asked.
struct Making {
    slot: Slot,
    known: Vec<u32>,
    random: Arc<dyn Random>,
    /// Why keys that are plugged in will not do, for whoever enrols.
    noted: Mutex<Vec<String>>,
}

impl Making {
    fn ask(&self, key: &mut YubiKey<Port>, patience: &mut Patience<'_>) -> Result<Kept, KeyError> {
        let number = match self.slot {
            Slot::One => 1,
            Slot::Two => 2,
        };
        let set_up = format!("set it up with: ykman otp chalresp --generate --touch {number}");
        if !is_set_up(key.state()?, self.slot) {
            return self.will_not_do(format!("Slot {number} of this YubiKey is empty: {set_up}."));
        }
        let serial = serial(key, patience)?;
        if serial.is_some_and(|serial| self.known.contains(&serial)) {
            return self.will_not_do(format!(
                "This YubiKey is enrolled already. If slot {number} was set up anew, first remove the device that it \
                 is here."
            ));
        }
        match key.enrol(self.slot, self.random.as_ref(), patience) {
            Ok((challenge, answer)) => Ok(Kept { slot: self.slot, serial, challenge, answer }),
            Err(
                error
                @ (KeyError::Cancelled | KeyError::TimedOut | KeyError::Transport(TransportError::Gone)),
            ) => Err(error),
            Err(KeyError::Unsupported(_)) => self.will_not_do(format!(
                "Slot {number} of this YubiKey is not for challenge-response with HMAC-SHA1: {set_up}."
            )),
            Err(error) => self.will_not_do(format!("{error}.")),
        }
    }

    // Another one that is plugged in may do.
    fn will_not_do(&self, why: String) -> Result<Kept, KeyError> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(why);
        Err(KeyError::NoCredential)
    }
}

const PLUG_IN: &str = "Plug in your YubiKey if it is not, and touch it whenever it blinks: twice, where its slot wants \
                       touches.";

const WITHOUT_TOUCH: &str = "This slot answers without a touch: as long as the YubiKey is plugged in, whatever runs as \
                             this user can answer for them. `ykman otp chalresp --touch` sets up one that asks.";

fn slot_of(slot: YubikeySlot) -> Slot {
    match slot {
        YubikeySlot::One => Slot::One,
        YubikeySlot::Two => Slot::Two,
    }
}
