//! Requests of the command line about devices at the server. Who may ask is decided here, as for those of the host.
//!
//! Where a host asks a server, the server's devices have their numbers there; those that the host keeps itself (offline
//! devices, break-glass accounts) have the number below zero that belongs to theirs.

use std::sync::Arc;
use std::time::Instant;

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::ids::{DeviceId, DeviceName};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;
use serde_json::{Value, json};

use super::refusal::{bad_request, last_factor, refused, unavailable, unknown_device};
use super::subject::Subject;
use super::{Answer, Desk, provisioning};
use crate::admin::{
    CodeSent, DeviceStatus, DeviceView, Enrolled, OtpKind, Place, RefusalCode, Response, SentKind,
};
use crate::config::Mode;
use crate::daemon::peer::Caller;
use crate::policy::SelfService;
use crate::server::devices::{Changed, ListedDevice};
use crate::server::enrollment::{Begun, Shown, Waiting};
use crate::server::judge::Judged;
use crate::server::offline::Registered;
use crate::server::{Binding, Fault, Server};
use crate::store::{Device, Event};

/// The server's name for recovery codes.
const RECOVERY: &str = "RECOVERY";

/// A user's devices at the server.
pub(super) struct Listed {
    client: Option<i64>,
    pub(super) devices: Vec<ListedDevice>,
}

impl Desk<'_> {
    /// The server, where it decides about this user's logins.
    pub(super) fn server_of(&self, subject: &Subject) -> Option<&Arc<Server>> {
        let here = |server: &Arc<Server>| {
            server.config().mode == Mode::RemoteThenLocal
                && subject.view.devices.iter().any(Device::is_usable_here)
        };
        self.server.as_ref().filter(|server| !here(server))
    }

    /// The server, where it has the device of this number.
    pub(super) fn server_with(&self, device: DeviceId) -> Option<&Arc<Server>> {
        self.server.as_ref().filter(|_| device.0 > 0)
    }

    /// The number in this host's store of a device as it is named outside.
    pub(super) fn number_here(&self, device: DeviceId) -> DeviceId {
        if self.server.is_some() { DeviceId(device.0.saturating_neg()) } else { device }
    }

    /// How a device of this host's store is named outside. The same the other way round.
    pub(super) fn number_outside(&self, device: DeviceId) -> DeviceId {
        self.number_here(device)
    }

    /// A view of a device of this host's store, by its name outside.
    pub(super) fn outside(&self, view: DeviceView) -> DeviceView {
        DeviceView { device: self.number_outside(view.device), ..view }
    }

    /// What the server's devices are, as they are shown.
    pub(super) fn server_views(&self, server: &Server, subject: &Subject) -> Answer<Vec<DeviceView>> {
        let user = subject.account.name.as_str();
        Ok(self
            .listed(server, subject)?
            .devices
            .into_iter()
            .filter_map(|device| view(user, device))
            .collect())
    }

    pub(super) fn listed(&self, server: &Server, subject: &Subject) -> Answer<Listed> {
        let user = subject.account.name.as_str();
        let client = server.client(user, soon(server)).map_err(|fault| away(&fault))?;
        let devices = match client {
            Some(client) => server.devices(client, soon(server)).map_err(|fault| away(&fault))?,
            None => Vec::new(),
        };
        Ok(Listed { client, devices })
    }

    /// Root stands behind its own requests; a user who has a device shows a fresh code of it.
    pub(super) fn vouch_at(
        &self,
        server: &Server,
        subject: &Subject,
        devices: &[ListedDevice],
        proof: Option<SecretText>,
    ) -> Answer<()> {
        if self.caller == Caller::Root || devices.is_empty() {
            return Ok(());
        }
        let Some(proof) = proof else {
            return Err(refused(
                RefusalCode::ProofNeeded,
                "a change of your devices needs a fresh code of one of them: of an app or a token, or a recovery code"
                    .to_owned(),
            ));
        };
        self.verify_at(server, subject, &proof)
    }

    pub(super) fn verify_at(&self, server: &Server, subject: &Subject, code: &SecretText) -> Answer<()> {
        let judged = server.verify(&binding(server, subject), code, soon(server));
        self.judged(subject, judged, Event::Accepted)
    }

    // What the server says to a code is in this host's audit, too.
    fn judged(&self, subject: &Subject, judged: Result<Judged, Fault>, right: Event) -> Answer<()> {
        let name = &subject.account.name;
        let (event, answer) = match judged.map_err(|fault| away(&fault))? {
            Judged::Proven(_) => (right, Ok(())),
            Judged::Refused => (
                Event::Refused,
                Err(refused(
                    RefusalCode::CodeRefused,
                    "that code was not accepted. A code works once and for a short time: wait for the next one"
                        .to_owned(),
                )),
            ),
            Judged::Locked => (
                Event::Locked,
                Err(refused(
                    RefusalCode::Locked,
                    format!(
                        "too many wrong codes: there is a pause now, which ends by itself. An administrator of the \
                         server can end it: oss2fa-server client unlock {name}"
                    ),
                )),
            ),
        };
        self.noted(subject, event, "by the server")?;
        answer
    }

    pub(super) fn noted(&self, subject: &Subject, event: Event, detail: &str) -> Answer<()> {
        let context = self.context(&subject.account.name);
        self.live.store.note(context, event, detail.to_owned()).map_err(|error| unavailable(&error))
    }

    pub(super) fn enroll_at(
        &self,
        server: &Server,
        subject: &Subject,
        kind: OtpKind,
        parameters: OtpParameters,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        if parameters != OtpParameters::default() {
            return Err(bad_request(
                &"the server says how long codes are and how they are made: leave --digits, --algorithm and --period out",
            ));
        }
        let listed = self.listed(server, subject)?;
        self.vouch_at(server, subject, &listed.devices, proof)?;
        let word = match kind {
            OtpKind::Totp => "TOTP",
            OtpKind::Hotp => "HOTP",
        };
        match self.begin(server, subject, word, &json!({}))? {
            Waiting { pk, shown: Shown::ProvisioningUri(provisioning_uri) } => {
                Ok(Response::Enrolled(Enrolled {
                    device: DeviceId(pk),
                    kind: kind.into(),
                    status: DeviceStatus::Pending,
                    provisioning_uri,
                    place: Place::Server,
                }))
            }
            Waiting { .. } => Err(away(&Fault::strange("an authenticator app without a URI"))),
        }
    }

    /// Enrols an address to which the server sends codes.
    pub(super) fn enroll_address(
        &self,
        user: &str,
        kind: SentKind,
        address: &str,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        let Some(server) = self.server_of(&subject) else {
            return Err(bad_request(
                &"this host sends no codes: a server does. See [server] in the configuration",
            ));
        };
        let listed = self.listed(server, &subject)?;
        self.vouch_at(server, &subject, &listed.devices, proof)?;
        let word = match kind {
            SentKind::Email => "EMAIL",
            SentKind::Sms => "SMS",
        };
        match self.begin(server, &subject, word, &json!({ "address": address }))? {
            Waiting { pk, shown: Shown::SentTo(to) } => {
                Ok(Response::CodeSent(CodeSent { device: DeviceId(pk), to: crate::source::clean(&to) }))
            }
            Waiting { .. } => Err(away(&Fault::strange("an address to which nothing was sent"))),
        }
    }

    fn begin(&self, server: &Server, subject: &Subject, kind: &str, options: &Value) -> Answer<Waiting> {
        let begun = server.enroll(&binding(server, subject), kind, options, soon(server));
        match begun.map_err(|fault| away(&fault))? {
            Begun::Waiting(waiting) => {
                let detail = format!("{kind} at the server enrollment={}", waiting.pk);
                self.noted(subject, Event::Enrolled, &detail)?;
                Ok(waiting)
            }
            Begun::Refused(why) => Err(refused(RefusalCode::BadRequest, why)),
        }
    }

    pub(super) fn confirm_at(
        &self,
        server: &Server,
        user: &str,
        enrollment: DeviceId,
        code: &SecretText,
        name: Option<DeviceName>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        // Of all that the server enrols, a user of this host may prove their own alone.
        let owner = server.enrolling(enrollment.0, soon(server)).map_err(|fault| away(&fault))?;
        if owner.is_none_or(|owner| owner.to_lowercase() != subject.account.name.as_str().to_lowercase()) {
            return Err(unknown_device(&subject.account.name, enrollment));
        }
        let proved = server.prove(enrollment.0, code, soon(server));
        self.judged(&subject, proved, Event::Confirmed)?;
        self.newest_at(server, &subject, name)
    }

    /// The device that was enrolled last, once it has its name.
    pub(super) fn newest_at(
        &self,
        server: &Server,
        subject: &Subject,
        name: Option<DeviceName>,
    ) -> Answer<Response> {
        let listed = self.listed(server, subject)?;
        let newest = listed.devices.into_iter().max_by_key(|device| device.pk);
        let (Some(client), Some(mut newest)) = (listed.client, newest) else {
            return Err(away(&Fault::strange("a device that was enrolled is not listed")));
        };
        if let Some(name) = name {
            let renamed = server.rename_device(client, newest.pk, name.as_str(), soon(server));
            if renamed.map_err(|fault| away(&fault))? == Changed::Yes {
                newest.name = name.as_str().to_owned();
            }
        }
        shown(subject.account.name.as_str(), newest)
    }

    pub(super) fn remove_at(
        &self,
        server: &Server,
        user: &str,
        device: DeviceId,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Remove))?;
        let name = &subject.account.name;
        let listed = self.listed(server, &subject)?;
        let found = listed.devices.iter().any(|found| found.pk == device.0);
        let (Some(client), true) = (listed.client, found) else { return Err(unknown_device(name, device)) };
        if matches!(self.caller, Caller::User(_)) {
            let others = |other: &&ListedDevice| other.pk != device.0 && other.kind.name != RECOVERY;
            if !listed.devices.iter().any(|other| others(&other)) && !self.is_exempt(&subject.account)? {
                return Err(last_factor(name));
            }
            self.vouch_at(server, &subject, &listed.devices, proof)?;
        }
        match server.remove_device(client, device.0, soon(server)).map_err(|fault| away(&fault))? {
            Changed::Yes => {
                self.noted(&subject, Event::Removed, &format!("at the server device={device}"))?;
                Ok(Response::Done {})
            }
            Changed::NotThere => Err(unknown_device(name, device)),
        }
    }

    pub(super) fn rename_at(
        &self,
        server: &Server,
        user: &str,
        device: DeviceId,
        name: DeviceName,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Rename))?;
        let listed = self.listed(server, &subject)?;
        let found = listed.devices.into_iter().find(|found| found.pk == device.0);
        let (Some(client), Some(mut found)) = (listed.client, found) else {
            return Err(unknown_device(&subject.account.name, device));
        };
        let renamed = server.rename_device(client, device.0, name.as_str(), soon(server));
        match renamed.map_err(|fault| away(&fault))? {
            Changed::Yes => {
                self.noted(&subject, Event::Renamed, &format!("at the server device={device}"))?;
                found.name = name.as_str().to_owned();
                shown(subject.account.name.as_str(), found)
            }
            Changed::NotThere => Err(unknown_device(&subject.account.name, device)),
        }
    }

    /// New recovery codes take the place of those that the server has. The last of them proves that they were made,
    /// and is spent by that.
    pub(super) fn recovery_codes_at(
        &self,
        server: &Server,
        subject: &Subject,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let listed = self.listed(server, subject)?;
        let (before, others): (Vec<_>, Vec<_>) =
            listed.devices.iter().partition(|device| device.kind.name == RECOVERY);
        if others.is_empty() && matches!(self.caller, Caller::User(_)) {
            return Err(bad_request(&format!(
                "{} has no device that recovery codes could stand in for. First run: oss2fa-agent enroll totp",
                subject.account.name
            )));
        }
        self.vouch_at(server, subject, &listed.devices, proof)?;
        let waiting = self.begin(server, subject, RECOVERY, &json!({}))?;
        let Waiting { pk, shown: Shown::Codes(mut codes) } = waiting else {
            return Err(away(&Fault::strange("recovery codes that are not shown")));
        };
        let Some(last) = codes.pop() else { return Err(away(&Fault::strange("no recovery codes"))) };
        self.judged(subject, server.prove(pk, &last, soon(server)), Event::RecoveryCodes)?;
        if let Some(client) = listed.client {
            for device in before {
                server.remove_device(client, device.pk, soon(server)).map_err(|fault| away(&fault))?;
            }
        }
        Ok(Response::RecoveryCodes { codes })
    }

    /// Enrols a counter device of this host for the time without a server, which the server lists first.
    pub(super) fn enroll_offline(
        &self,
        user: &str,
        name: Option<DeviceName>,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        let account = subject.account.name.clone();
        let Some(server) = self.server_of(&subject) else {
            return Err(bad_request(&format!(
                "{account} is verified by this host alone: offline devices are for users of a server"
            )));
        };
        let listed = self.listed(server, &subject)?;
        if listed.devices.is_empty() && matches!(self.caller, Caller::User(_)) {
            return Err(bad_request(&format!(
                "{account} has no device at the server yet. First run: oss2fa-agent enroll totp"
            )));
        }
        self.vouch_at(server, &subject, &listed.devices, proof)?;
        let name = name.map_or_else(|| DeviceName::new("offline"), Ok).map_err(|bad| bad_request(&bad))?;
        let registered = server.register_offline(account.as_str(), name.as_str(), soon(server));
        let credential = match registered.map_err(|fault| away(&fault))? {
            Registered::Listed(credential) => credential,
            Registered::Refused(why) => return Err(refused(RefusalCode::BadRequest, why.to_owned())),
        };
        let made = self
            .live
            .store
            .enroll_offline(self.context(&account), account.clone(), name, credential)
            .map_err(|error| unavailable(&error))?;
        let Some(made) = made else {
            server.revoke_offline(credential, soon(server)).map_err(|fault| away(&fault))?;
            return Err(bad_request(&format!(
                "{account} has too many devices here, or too many that wait for their first code. Remove one: \
                 oss2fa-agent list --user {account}"
            )));
        };
        let uri = provisioning(FactorKind::Hotp, &account, made.secret, OtpParameters::default(), 0);
        Ok(Response::Enrolled(Enrolled {
            device: self.number_outside(made.device),
            kind: FactorKind::Hotp,
            status: DeviceStatus::Pending,
            provisioning_uri: uri,
            place: Place::Host,
        }))
    }

    /// The server hears that an offline device was removed here; where it is away, the courier tells it later.
    pub(super) fn tell_removed(&self, device: &Device) {
        if let (Some(server), Some(credential)) = (&self.server, device.offline)
            && let Err(fault) = server.revoke_offline(credential, soon(server))
        {
            tracing::warn!(code = fault.code(), error = %fault, "the server lists an offline device that was removed");
        }
    }

    /// What is not done from a host that asks a server.
    pub(super) fn only_here(&self, what: &str, instead: &str) -> Answer<()> {
        match &self.server {
            Some(server) if server.config().mode == Mode::Remote => Err(refused(
                RefusalCode::AtServer,
                format!("{what} is done at the server of this host: {instead}"),
            )),
            _ => Ok(()),
        }
    }
}

// Of whoever sits at this host.
pub(super) fn binding(server: &Server, subject: &Subject) -> Binding {
    Binding {
        username: subject.account.name.as_str().to_owned(),
        host: server.config().host.clone(),
        service: "cli".to_owned(),
        ..Binding::default()
    }
}

pub(super) fn soon(server: &Server) -> Instant {
    Instant::now() + server.config().timeout
}

// The reason is for the log: the caller may be anybody.
pub(super) fn away(fault: &Fault) -> crate::admin::Refused {
    tracing::error!(code = fault.code(), error = %fault, "a request could not be done at the server");
    refused(
        RefusalCode::Unavailable,
        "the server could not be asked; the agent's log says why: journalctl -u oss2fa-agent".to_owned(),
    )
}

fn shown(user: &str, device: ListedDevice) -> Answer<Response> {
    let view = view(user, device).map(Response::Device);
    view.ok_or_else(|| away(&Fault::strange("a device with a name that no device has")))
}

fn view(user: &str, device: ListedDevice) -> Option<DeviceView> {
    let ListedDevice { pk, kind, name, address, created_at, last_used_at } = device;
    let (kind, shown_as) = match (kind.name.as_str(), address) {
        ("TOTP", _) => (FactorKind::Totp, None),
        ("HOTP", _) => (FactorKind::Hotp, None),
        (RECOVERY, _) => (FactorKind::RecoveryCode, None),
        ("FIDO2", _) => (FactorKind::Fido2, None),
        ("U2F", _) => (FactorKind::U2f, None),
        ("EMAIL", Some(address)) => (FactorKind::SentCode, Some(format!("e-mail to {address}"))),
        ("SMS", Some(address)) => (FactorKind::SentCode, Some(format!("SMS to {address}"))),
        (other, _) => (FactorKind::SentCode, Some(other.to_lowercase())),
    };
    Some(DeviceView {
        device: DeviceId(pk),
        user: user.to_owned(),
        // A server takes no name that this one would not.
        name: DeviceName::from_store(&name).or_else(|_| DeviceName::new("device")).ok()?,
        kind,
        status: DeviceStatus::Active,
        parameters: None,
        codes_left: None,
        created_at: seconds(&created_at),
        last_used_at: last_used_at.as_deref().map(seconds),
        shown_as: shown_as.map(|words| crate::source::clean(&words)),
    })
}

fn seconds(text: &str) -> u64 {
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
    parsed.ok().and_then(|at| u64::try_from(at.unix_timestamp()).ok()).unwrap_or(0)
}
