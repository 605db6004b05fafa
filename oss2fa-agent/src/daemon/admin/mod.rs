//! A request of the command line, and what is done.

mod at_server;
mod gate;
mod refusal;
mod security_key;
mod ssh_key;
mod subject;
mod touched;
mod typist;
mod yubikey;

use std::sync::Arc;

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::otpauth::Provisioning;
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::FactorKind;

use self::refusal::{bad_request, last_factor, refused, unavailable, unknown_device};
use self::subject::Subject;
use super::live::{InForce, Live};
use super::peer::Caller;
use super::proof::Held;
use crate::admin::{
    DeviceStatus, DeviceView, Enrolled, IMPORT_BATCH, ImportEntry, ImportLine, ImportResult, Imported,
    LIST_PAGE, More, OtpKind, Place, RefusalCode, Refused, Request, Response, ServerStatus, Status,
};
use crate::config::Config;
use crate::policy::SelfService;
use crate::server::{Health, Server};
use crate::store::device::Vouched;
use crate::store::{Device, Event, Purpose, StoreError};
use crate::validation::{NoAnswer, ValidationServers};

pub(super) use self::security_key::enroll_key;
pub(super) use self::touched::by_touch;
pub(super) use self::yubikey::enroll_yubikey;

/// Answers one request.
pub(super) fn answer(live: &Live, caller: Caller, request: Request) -> Response {
    match Desk::of(live, caller).handle(request) {
        Ok(response) => response,
        Err(refused) => Response::Refused(refused),
    }
}

type Answer<T> = Result<T, Refused>;

struct Desk<'a> {
    live: &'a Live,
    caller: Caller,
    config: Arc<Config>,
    server: Option<Arc<Server>>,
    proof: Option<touched::Touched>,
    validators: Option<Arc<ValidationServers>>,
}

impl<'a> Desk<'a> {
    fn of(live: &'a Live, caller: Caller) -> Self {
        let InForce { config, server, validators } = live.in_force();
        Self { live, caller, config, server, validators, proof: None }
    }
}

impl Desk<'_> {
    fn handle(&self, request: Request) -> Answer<Response> {
        match request {
            // Each has a conversation of its own around it.
            Request::EnrollKey(_)
            | Request::EnrollYubikey(_)
            | Request::ByTouch { .. }
            | Request::Pin { .. } => Err(bad_request(&"that does not begin a request")),
            Request::Enroll { user, kind, name, parameters, proof, place } => {
                self.enroll(&user, kind, name, parameters, proof, place)
            }
            Request::EnrollAddress { user, kind, address, proof } => {
                self.enroll_address(&user, kind, &address, proof)
            }
            Request::EnrollSshKey { user, key, name, proof } => self.enroll_ssh_key(&user, &key, name, proof),
            Request::EnrollTypist(wanted) => self.enroll_typist(wanted),
            Request::EnrollOffline { user, name, proof } => self.enroll_offline(&user, name, proof),
            Request::Confirm { user, device, code, name } => match self.server_with(device) {
                Some(server) => self.confirm_at(server, &user, device, &code, name),
                None => {
                    let device = self.number_here(device);
                    let confirmed = self.confirm(&user, device, &code)?;
                    name.map_or(Ok(confirmed), |name| self.rename(&user, device, name))
                }
            },
            Request::List { user, after } => self.list(user.as_deref(), after),
            Request::Remove { user, device, proof } => match self.server_with(device) {
                Some(server) => self.remove_at(server, &user, device, proof),
                None => self.remove(&user, self.number_here(device), proof),
            },
            Request::Forget { user } => self.forget(&user),
            Request::Rename { user, device, name } => match self.server_with(device) {
                Some(server) => self.rename_at(server, &user, device, name),
                None => self.rename(&user, self.number_here(device), name),
            },
            Request::RecoveryCodes { user, proof } => self.recovery_codes(&user, proof),
            Request::Resync { user, device, first, second } => match self.server_with(device) {
                Some(_) => Err(refused(
                    RefusalCode::AtServer,
                    "a device of the server is found again there: enrol it anew, or ask its administrator"
                        .to_owned(),
                )),
                None => self.resync(&user, self.number_here(device), &first, &second),
            },
            Request::Unlock { user } => self.unlock(&user),
            Request::Verify { user, code } => self.verify(&user, &code),
            Request::Import { entries } => self.import(entries),
            Request::Export { user, device } => match self.server_with(device) {
                Some(_) => Err(refused(
                    RefusalCode::AtServer,
                    "the secrets of the server's devices never reach this host".to_owned(),
                )),
                None => self.export(&user, self.number_here(device)),
            },
            Request::Status {} => self.status(),
        }
    }

    fn enroll(
        &self,
        user: &str,
        kind: OtpKind,
        name: Option<DeviceName>,
        parameters: OtpParameters,
        proof: Option<SecretText>,
        place: Place,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        if place == Place::Host && self.server.is_some() {
            self.only_root("enrol a device that counts on this host alone", "")?;
            self.only_here("enrolling", "leave --local out, or set mode to remote-then-local")?;
        } else if let Some(server) = self.server_of(&subject) {
            return self.enroll_at(server, &subject, kind, parameters, proof);
        }
        let vouched = self.vouch(&subject, proof)?;
        let name = match name {
            Some(name) => name,
            None => DeviceName::new(FactorKind::from(kind).as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let user = subject.account.name.clone();
        let made = self
            .live
            .store
            .enroll(self.context(&user), user.clone(), kind, name, parameters, vouched)
            .map_err(|error| unavailable(&error))?;
        let Some(made) = made else {
            return Err(refused(
                RefusalCode::BadRequest,
                format!(
                    "{user} has too many devices, or too many that wait for their first code. Remove one: \
                     oss2fa-agent list --user {user}"
                ),
            ));
        };
        Ok(Response::Enrolled(Enrolled {
            device: self.number_outside(made.device),
            kind: kind.into(),
            status: DeviceStatus::Pending,
            provisioning_uri: provisioning(kind.into(), &user, made.secret, parameters, 0),
            place: Place::Host,
        }))
    }

    fn confirm(&self, user: &str, device: DeviceId, code: &SecretText) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        let pending = subject.device(device)?;
        if pending.status != DeviceStatus::Pending {
            return Err(refused(
                RefusalCode::BadRequest,
                format!("device {device} of {} is active already", subject.account.name),
            ));
        }
        if pending.vouched == Vouched::No && subject.has_any() {
            return Err(refused(
                RefusalCode::BadRequest,
                format!(
                    "device {device} was made before {} had another one, and nobody showed a code for it. Remove \
                     it, and enrol it again: that asks for a code of the device that counts",
                    subject.account.name
                ),
            ));
        }
        let verified = pending
            .check(self.live.store.keys(), code.expose(), self.config.policy.totp_skew, self.live.store.now())
            .map_err(|error| unavailable(&error))?;
        let held = Held { kinds: vec![pending.kind], verified };
        self.judge(&subject, held, Purpose::Confirm(device))?;
        self.shown(user, device)
    }

    fn list(&self, user: Option<&str>, after: Option<DeviceId>) -> Answer<Response> {
        let Some(user) = user else {
            self.only_root("list everybody's devices", "Name yourself with --user.")?;
            self.only_here(
                "listing everybody's devices",
                "oss2fa-server client list. Or name one with --user",
            )?;
            return self.list_all(after);
        };
        let subject = self.subject_or_gone(user, Some(SelfService::List))?;
        let mut devices = match self.server_of(&subject) {
            Some(server) => self.server_views(server, &subject)?,
            None => Vec::new(),
        };
        devices.extend(self.views(&subject)?);
        Ok(Response::Devices { devices, more: More::No })
    }

    fn list_all(&self, after: Option<DeviceId>) -> Answer<Response> {
        let page = self
            .live
            .store
            .page(after.map_or(DeviceId(0), |after| self.number_here(after)), LIST_PAGE + 1)
            .map_err(|error| unavailable(&error))?;
        let more = if page.len() > LIST_PAGE { More::Yes } else { More::No };
        let devices = page
            .into_iter()
            .take(LIST_PAGE)
            .filter(|(_, device, _)| !device.is_of_server())
            .map(|(user, device, left)| self.outside(device.view(&user, left)));
        let devices = devices.collect();
        Ok(Response::Devices { devices, more })
    }

    fn remove(&self, user: &str, device: DeviceId, proof: Option<SecretText>) -> Answer<Response> {
        let subject = self.subject_or_gone(user, Some(SelfService::Remove))?;
        let found = subject.device(device)?;
        let (account, name) = (found.account, subject.account.name.clone());
        let by_owner = matches!(self.caller, Caller::User(_));
        // An offline device stands in for those of the server: it is nobody's last.
        let by_owner = by_owner && found.offline.is_none();
        if by_owner && found.status == DeviceStatus::Active {
            // Asked before the code is spent: it would be spent for nothing.
            if subject.is_last(device) && !self.is_exempt(&subject.account)? {
                return Err(last_factor(&name));
            }
            self.vouch(&subject, proof)?;
        }
        let removed = if by_owner && !self.is_exempt(&subject.account)? {
            self.live.store.remove_unless_last(self.context(&name), account, device)
        } else {
            self.live.store.remove(self.context(&name), account, device)
        };
        match removed {
            Ok(true) => {
                self.tell_removed(found);
                Ok(Response::Done {})
            }
            Ok(false) if by_owner => Err(last_factor(&name)),
            Ok(false) => Err(unknown_device(&name, device)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn forget(&self, user: &str) -> Answer<Response> {
        self.only_root("forget a user", "")?;
        let subject = self.subject_or_gone(user, None)?;
        let name = &subject.account.name;
        let Some(account) = subject.view.account else {
            return Err(refused(RefusalCode::UnknownDevice, format!("{name} was never enrolled here")));
        };
        self.live.store.forget(self.context(name), account).map_err(|error| unavailable(&error))?;
        Ok(Response::Done {})
    }

    fn rename(&self, user: &str, device: DeviceId, name: DeviceName) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Rename))?;
        let account = subject.device(device)?.account;
        let context = self.context(&subject.account.name);
        match self.live.store.rename(context, account, device, name) {
            Ok(true) => self.shown(user, device),
            Ok(false) => Err(unknown_device(&subject.account.name, device)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn recovery_codes(&self, user: &str, proof: Option<SecretText>) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll))?;
        if let Some(server) = self.server_of(&subject) {
            return self.recovery_codes_at(server, &subject, proof);
        }
        let name = subject.account.name.clone();
        if !subject.has_own() && matches!(self.caller, Caller::User(_)) {
            return Err(refused(
                RefusalCode::BadRequest,
                format!(
                    "{name} has no device that recovery codes could stand in for. First run: oss2fa-agent enroll totp"
                ),
            ));
        }
        self.vouch(&subject, proof)?;
        let codes = self.live.store.replace_recovery_codes(self.context(&name), name.clone());
        Ok(Response::RecoveryCodes { codes: codes.map_err(|error| unavailable(&error))? })
    }

    fn resync(
        &self,
        user: &str,
        device: DeviceId,
        first: &SecretText,
        second: &SecretText,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::List))?;
        let found = subject.device(device)?;
        let matched = found
            .resync(self.live.store.keys(), first.expose(), second.expose(), self.live.store.now())
            .map_err(|error| unavailable(&error))?;
        let (verified, drift) = matched.map_or((None, 0), |(verified, drift)| (Some(verified), drift));
        let held = Held { kinds: vec![found.kind], verified };
        self.judge(&subject, held, Purpose::Resync { drift })?;
        self.shown(user, device)
    }

    fn unlock(&self, user: &str) -> Answer<Response> {
        self.only_root("release locks", "They also release by themselves.")?;
        let subject = self.subject(user, None)?;
        if self.server_of(&subject).is_some() && subject.view.devices.is_empty() {
            self.only_here(
                "releasing locks",
                &format!("oss2fa-server client unlock {}", subject.account.name),
            )?;
        }
        if let Some(account) = subject.view.account {
            let context = self.context(&subject.account.name);
            self.live.store.unlock(context, account).map_err(|error| unavailable(&error))?;
        }
        Ok(Response::Done {})
    }

    fn verify(&self, user: &str, code: &SecretText) -> Answer<Response> {
        let subject = self.subject(user, None)?;
        if let Some(server) = self.server_of(&subject) {
            self.verify_at(server, &subject, code)?;
            return Ok(Response::Done {});
        }
        let held = self.hold(&subject, code)?;
        self.judge(&subject, held, Purpose::Login)?;
        Ok(Response::Done {})
    }

    fn import(&self, entries: Vec<ImportEntry>) -> Answer<Response> {
        self.only_root("import devices", "")?;
        self.only_here("importing devices", "oss2fa-server import")?;
        if entries.len() > IMPORT_BATCH {
            return Err(bad_request(&format!("at most {IMPORT_BATCH} entries at a time")));
        }
        let mut report = Vec::with_capacity(entries.len());
        for ImportEntry { user, name, what } in entries {
            let result = match self.account(&user)? {
                None => ImportResult::UnknownUser,
                // Nobody could say whether its passwords are right, and its owner would have to show one.
                Some(_) if matches!(what, Imported::YubicoOtp { .. }) && self.validators.is_none() => {
                    ImportResult::Refused(NoAnswer::NotConfigured.to_string())
                }
                Some(account) => {
                    let context = self.context(&account.name);
                    self.live
                        .store
                        .import(context, account.name, name, what)
                        .map_err(|error| unavailable(&error))?
                }
            };
            report.push(ImportLine { user, result });
        }
        Ok(Response::Imported { report })
    }

    fn export(&self, user: &str, device: DeviceId) -> Answer<Response> {
        self.only_root("export a secret", "")?;
        let subject = self.subject(user, None)?;
        let found = subject.device(device)?;
        match found.kind {
            FactorKind::Totp | FactorKind::Hotp => {}
            FactorKind::RecoveryCode => {
                return Err(bad_request(&"recovery codes are stored hashed and cannot be exported"));
            }
            FactorKind::SentCode => {
                return Err(bad_request(&"codes that are sent have no secret that could be exported"));
            }
            FactorKind::Fido2 | FactorKind::U2f | FactorKind::YubikeyHmac => {
                return Err(bad_request(&"the secret of a security key never leaves it"));
            }
            FactorKind::SshSk => {
                return Err(bad_request(&"the secret of a key on a security key never leaves it"));
            }
            FactorKind::YubicoOtp => {
                return Err(bad_request(&"a YubiKey's secrets cannot be exported"));
            }
        }
        let secret = found.secret(self.live.store.keys()).map_err(|error| unavailable(&error))?;
        let name = &subject.account.name;
        let context = self.context(name);
        let detail = format!("device={device}");
        self.live.store.note(context, Event::Exported, detail).map_err(|error| unavailable(&error))?;
        let uri = provisioning(found.kind, name, secret, found.parameters, found.next_position());
        Ok(Response::Exported { provisioning_uri: uri })
    }

    fn status(&self) -> Answer<Response> {
        self.only_root("see the agent's status", "")?;
        let counts = self.live.store.counts().map_err(|error| unavailable(&error))?;
        let [users, devices, locks, audit_events] = counts;
        Ok(Response::Status(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.live.store.now().saturating_sub(self.live.started_at),
            config: self.config.path.display().to_string(),
            store: self.config.store.path.display().to_string(),
            users,
            devices,
            locks,
            audit_events,
            unenrolled: self.config.policy.unenrolled().as_str().to_owned(),
            reload_error: self.live.reload_error(),
            mode: self.config.mode().to_owned(),
            servers: self.server.iter().flat_map(|server| server.health()).map(server_status).collect(),
            ssh_touch: ssh_key::status(&self.config),
            waiting_events: self.live.store.count_waiting().map_err(|error| unavailable(&error))?,
        }))
    }

    fn shown(&self, user: &str, device: DeviceId) -> Answer<Response> {
        let subject = self.subject(user, None)?;
        let views = self.views(&subject)?;
        views
            .into_iter()
            .find(|view| view.device == self.number_outside(device))
            .map(Response::Device)
            .ok_or_else(|| unknown_device(&subject.account.name, device))
    }

    fn views(&self, subject: &Subject) -> Answer<Vec<DeviceView>> {
        let user = subject.account.name.as_str();
        let view = |device: &Device| {
            let left = match device.kind {
                FactorKind::RecoveryCode => Some(self.live.store.unused_codes(device.id)?.len() as u64),
                FactorKind::Totp
                | FactorKind::Hotp
                | FactorKind::SentCode
                | FactorKind::Fido2
                | FactorKind::U2f
                | FactorKind::YubicoOtp
                | FactorKind::YubikeyHmac
                | FactorKind::SshSk => None,
            };
            Ok(self.outside(device.view(user, left)))
        };
        let views: Result<_, StoreError> = subject.view.devices.iter().map(view).collect();
        views.map_err(|error| unavailable(&error))
    }
}

fn server_status(health: Health) -> ServerStatus {
    let Health { url, away } = health;
    ServerStatus { url, away }
}

fn provisioning(
    kind: FactorKind,
    user: &UserName,
    secret: SecretBytes,
    parameters: OtpParameters,
    counter: u64,
) -> SecretText {
    let issuer = nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "OSS2FA".to_owned());
    Provisioning { kind, issuer, account: user.as_str().to_owned(), secret, parameters, counter }.to_uri()
}
