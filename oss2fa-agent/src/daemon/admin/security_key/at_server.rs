//! Enrolling a security key at the server: it says what the key is to make, and judges that. The key counts on all hosts
//! and pages of its integration.

use std::sync::{Arc, Mutex};

use oss2fa_ctap::verify::UserVerification;

use super::super::at_server::{away, binding, soon};
use super::super::refusal::{bad_request, refused, unavailable};
use super::super::subject::Subject;
use super::super::{Desk, Response};
use super::{Ended, Making, Order, residence, verification};
use crate::admin::{KeyEnrollment, KeyKind, RefusalCode};
use crate::daemon::connection::Connection;
use crate::daemon::courier::{self, Undone};
use crate::daemon::recognition::Misses;
use crate::server::Server;
use crate::server::security_keys::{KeyBegun, KeyMade, KeyWaiting, attestation_token};
use crate::store::Event;

impl Desk<'_> {
    pub(super) fn enroll_key_at(
        &self,
        server: &Arc<Server>,
        connection: &mut Connection,
        subject: &Subject,
        wanted: &KeyEnrollment,
    ) -> Result<Response, Ended> {
        let listed = self.listed(server, subject)?;
        self.vouch_at(server, subject, &listed.devices, wanted.proof.clone())?;
        let (word, wish) = match wanted.kind {
            KeyKind::Fido2 => ("FIDO2", verification(wanted)),
            KeyKind::U2f => ("U2F", UserVerification::NotAsked),
        };
        let begun = server.enroll_key(&binding(server, subject), word, wish, soon(server));
        let waiting = match begun.map_err(|fault| away(&fault))? {
            KeyBegun::Waiting(waiting) => waiting,
            KeyBegun::Refused(why) => return Err(refused(RefusalCode::BadRequest, why).into()),
        };
        self.noted(subject, Event::Enrolled, &format!("{word} at the server enrollment={}", waiting.pk))?;
        let KeyWaiting { pk, registration, owner, known, conveyance } = *waiting;
        let (making, attestation) = self.made(connection, |typed| {
            Ok(Making {
                order: Order::Server(registration.clone()),
                owner: owner.clone(),
                name: subject.account.name.as_str().to_owned(),
                known: known.clone(),
                kind: wanted.kind,
                residence: residence(wanted),
                typed,
                random: self.live.bus.random(),
                misses: Misses::default(),
                noted: Mutex::default(),
            })
        })?;
        let token = attestation_token(making.order.client_data(), &attestation, conveyance)
            .ok_or_else(|| bad_request(&"what the security key made is no credential"))?;
        match server.prove_key(pk, &token, soon(server)).map_err(|fault| away(&fault))? {
            KeyMade::Proven(_) => {}
            KeyMade::Unfit(why) => return Err(refused(RefusalCode::BadRequest, why).into()),
            KeyMade::Refused => {
                let words =
                    "the server did not take what the security key made, or it came too late: enrol it again";
                return Err(refused(RefusalCode::BadRequest, words.to_owned()).into());
            }
        }
        self.noted(subject, Event::Confirmed, "by the server")?;
        let shown = self.newest_at(server, subject, wanted.name.clone())?;
        self.keep_keys_of(server, subject)?;
        Ok(shown)
    }

    // They count at this host from now on, also while the server is away.
    fn keep_keys_of(&self, server: &Server, subject: &Subject) -> Result<(), Ended> {
        let name = &subject.account.name;
        let kept = courier::keep_keys(self.live, server, &self.context(name), name, soon(server));
        Ok(kept.map_err(|undone| match undone {
            Undone::Server(fault) => away(&fault),
            Undone::Store(error) => unavailable(&error),
        })?)
    }
}
