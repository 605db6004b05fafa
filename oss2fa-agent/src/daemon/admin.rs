//! A request of the command line: who may ask for what, and what is done.

use std::sync::Arc;

use oss2fa_core::factor::otp::OtpParameters;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::otpauth::Provisioning;
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::FactorKind;

use super::live::Live;
use super::peer::Caller;
use super::proof::{Held, hold};
use crate::admin::{
    DeviceStatus, DeviceView, Enrolled, IMPORT_BATCH, ImportEntry, ImportLine, ImportResult, LIST_PAGE, More,
    OtpKind, RefusalCode, Refused, Request, Response, Status,
};
use crate::config::Config;
use crate::directory::{Account, Membership};
use crate::policy::SelfService;
use crate::source::{Source, clean};
use crate::store::device::Vouched;
use crate::store::{AccountView, Attempt, Context, Device, Event, Purpose, StoreError, Verdict};

/// Answers one request.
pub(super) async fn answer(live: &Arc<Live>, caller: Caller, request: Request) -> Response {
    let desk = Desk { live, caller, config: live.config() };
    match desk.handle(request).await {
        Ok(response) => response,
        Err(refused) => Response::Refused(refused),
    }
}

type Answer<T> = Result<T, Refused>;

struct Desk<'a> {
    live: &'a Arc<Live>,
    caller: Caller,
    config: Arc<Config>,
}

/// A user that this caller may ask for, with what the store knows.
struct Subject {
    account: Account,
    view: AccountView,
}

impl Desk<'_> {
    async fn handle(&self, request: Request) -> Answer<Response> {
        match request {
            Request::Enroll { user, kind, name, parameters, proof } => {
                self.enroll(&user, kind, name, parameters, proof).await
            }
            Request::Confirm { user, device, code } => self.confirm(&user, device, &code).await,
            Request::List { user, after } => self.list(user.as_deref(), after).await,
            Request::Remove { user, device, proof } => self.remove(&user, device, proof).await,
            Request::Forget { user } => self.forget(&user).await,
            Request::Rename { user, device, name } => self.rename(&user, device, name).await,
            Request::RecoveryCodes { user, proof } => self.recovery_codes(&user, proof).await,
            Request::Resync { user, device, first, second } => {
                self.resync(&user, device, &first, &second).await
            }
            Request::Unlock { user } => self.unlock(&user).await,
            Request::Verify { user, code } => self.verify(&user, &code).await,
            Request::Import { entries } => self.import(entries).await,
            Request::Export { user, device } => self.export(&user, device).await,
            Request::Status {} => self.status().await,
        }
    }

    async fn enroll(
        &self,
        user: &str,
        kind: OtpKind,
        name: Option<DeviceName>,
        parameters: OtpParameters,
        proof: Option<SecretText>,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll)).await?;
        let vouched = self.vouch(&subject, proof).await?;
        let name = match name {
            Some(name) => name,
            None => DeviceName::new(FactorKind::from(kind).as_str()).map_err(|bad| bad_request(&bad))?,
        };
        let user = subject.account.name.clone();
        let made = self
            .live
            .store
            .enroll(self.context(&user), user.clone(), kind, name, parameters, vouched)
            .await
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
            device: made.device,
            kind: kind.into(),
            status: DeviceStatus::Pending,
            provisioning_uri: provisioning(kind.into(), &user, made.secret, parameters, 0),
        }))
    }

    async fn confirm(&self, user: &str, device: DeviceId, code: &SecretText) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll)).await?;
        let pending = subject.device(device)?;
        if pending.status != DeviceStatus::Pending {
            return Err(refused(
                RefusalCode::BadRequest,
                format!("device {device} of {} is active already", subject.account.name),
            ));
        }
        let verified = pending
            .check(self.live.store.keys(), code.expose(), self.config.policy.totp_skew, self.live.store.now())
            .map_err(|error| unavailable(&error))?;
        let held = Held { kinds: vec![pending.kind], verified };
        self.judge(&subject, held, Purpose::Confirm(device)).await?;
        self.shown(user, device).await
    }

    async fn list(&self, user: Option<&str>, after: Option<DeviceId>) -> Answer<Response> {
        let Some(user) = user else {
            self.only_root("list everybody's devices", "Name yourself with --user.").await?;
            return self.list_all(after).await;
        };
        let subject = self.subject(user, Some(SelfService::List)).await?;
        Ok(Response::Devices { devices: self.views(&subject).await?, more: More::No })
    }

    async fn list_all(&self, after: Option<DeviceId>) -> Answer<Response> {
        let live = Arc::clone(self.live);
        let page = blocking(move || live.store.page(after.unwrap_or(DeviceId(0)), LIST_PAGE + 1)).await?;
        let more = if page.len() > LIST_PAGE { More::Yes } else { More::No };
        let devices =
            page.into_iter().take(LIST_PAGE).map(|(user, device, left)| device.view(&user, left)).collect();
        Ok(Response::Devices { devices, more })
    }

    async fn remove(&self, user: &str, device: DeviceId, proof: Option<SecretText>) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Remove)).await?;
        let found = subject.device(device)?;
        let (account, name) = (found.account, subject.account.name.clone());
        let by_owner = matches!(self.caller, Caller::User(_));
        if by_owner && found.status == DeviceStatus::Active {
            // Asked before the code is spent: it would be spent for nothing.
            if subject.is_last(device) && !self.is_exempt(&subject.account).await? {
                return Err(last_factor(&name));
            }
            self.vouch(&subject, proof).await?;
        }
        let removed = if by_owner && !self.is_exempt(&subject.account).await? {
            self.live.store.remove_unless_last(self.context(&name), account, device).await
        } else {
            self.live.store.remove(self.context(&name), account, device).await
        };
        match removed {
            Ok(true) => Ok(Response::Done {}),
            Ok(false) if by_owner => Err(last_factor(&name)),
            Ok(false) => Err(unknown_device(&name, device)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn forget(&self, user: &str) -> Answer<Response> {
        self.only_root("forget a user", "").await?;
        let subject = self.subject(user, None).await?;
        let name = &subject.account.name;
        let Some(account) = subject.view.account else {
            return Err(refused(RefusalCode::UnknownDevice, format!("{name} was never enrolled here")));
        };
        self.live.store.forget(self.context(name), account).await.map_err(|error| unavailable(&error))?;
        Ok(Response::Done {})
    }

    async fn rename(&self, user: &str, device: DeviceId, name: DeviceName) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Rename)).await?;
        let account = subject.device(device)?.account;
        let context = self.context(&subject.account.name);
        match self.live.store.rename(context, account, device, name).await {
            Ok(true) => self.shown(user, device).await,
            Ok(false) => Err(unknown_device(&subject.account.name, device)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn recovery_codes(&self, user: &str, proof: Option<SecretText>) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::Enroll)).await?;
        let name = subject.account.name.clone();
        if !subject.has_otp() && matches!(self.caller, Caller::User(_)) {
            return Err(refused(
                RefusalCode::BadRequest,
                format!(
                    "{name} has no device that recovery codes could stand in for. First run: oss2fa-agent enroll totp"
                ),
            ));
        }
        self.vouch(&subject, proof).await?;
        let codes = self.live.store.replace_recovery_codes(self.context(&name), name.clone()).await;
        Ok(Response::RecoveryCodes { codes: codes.map_err(|error| unavailable(&error))? })
    }

    async fn resync(
        &self,
        user: &str,
        device: DeviceId,
        first: &SecretText,
        second: &SecretText,
    ) -> Answer<Response> {
        let subject = self.subject(user, Some(SelfService::List)).await?;
        let found = subject.device(device)?;
        let matched = found
            .resync(self.live.store.keys(), first.expose(), second.expose(), self.live.store.now())
            .map_err(|error| unavailable(&error))?;
        let (verified, drift) =
            matched.map_or((None, 0), |(verified, drift)| (Some(verified), drift));
        let held = Held { kinds: vec![found.kind], verified };
        self.judge(&subject, held, Purpose::Resync { drift }).await?;
        self.shown(user, device).await
    }

    async fn unlock(&self, user: &str) -> Answer<Response> {
        self.only_root("release locks", "They also release by themselves.").await?;
        let subject = self.subject(user, None).await?;
        if let Some(account) = subject.view.account {
            let context = self.context(&subject.account.name);
            self.live.store.unlock(context, account).await.map_err(|error| unavailable(&error))?;
        }
        Ok(Response::Done {})
    }

    async fn verify(&self, user: &str, code: &SecretText) -> Answer<Response> {
        let subject = self.subject(user, None).await?;
        let held = self.hold(&subject, code).await?;
        self.judge(&subject, held, Purpose::Login).await?;
        Ok(Response::Done {})
    }

    async fn import(&self, entries: Vec<ImportEntry>) -> Answer<Response> {
        self.only_root("import devices", "").await?;
        if entries.len() > IMPORT_BATCH {
            return Err(bad_request(&format!("at most {IMPORT_BATCH} entries at a time")));
        }
        let mut report = Vec::with_capacity(entries.len());
        for ImportEntry { user, name, what } in entries {
            let result = match self.account(&user).await? {
                None => ImportResult::UnknownUser,
                Some(account) => {
                    let context = self.context(&account.name);
                    self.live
                        .store
                        .import(context, account.name, name, what)
                        .await
                        .map_err(|error| unavailable(&error))?
                }
            };
            report.push(ImportLine { user, result });
        }
        Ok(Response::Imported { report })
    }

    async fn export(&self, user: &str, device: DeviceId) -> Answer<Response> {
        self.only_root("export a secret", "").await?;
        let subject = self.subject(user, None).await?;
        let found = subject.device(device)?;
        if found.kind == FactorKind::RecoveryCode {
            return Err(bad_request(&"recovery codes are stored hashed and cannot be exported"));
        }
        let secret = found.secret(self.live.store.keys()).map_err(|error| unavailable(&error))?;
        let name = &subject.account.name;
        let context = self.context(name);
        let detail = format!("device={device}");
        self.live.store.note(context, Event::Exported, detail).await.map_err(|error| unavailable(&error))?;
        let uri = provisioning(found.kind, name, secret, found.parameters, found.next_position());
        Ok(Response::Exported { provisioning_uri: uri })
    }

    async fn status(&self) -> Answer<Response> {
        self.only_root("see the agent's status", "").await?;
        let live = Arc::clone(self.live);
        let [users, devices, locks, audit_events] = blocking(move || live.store.counts()).await?;
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
        }))
    }

    /// The user that is meant, where this caller may ask for them. Users need `verb` to be allowed;
    /// `None` stands for what is theirs in any case, or root's alone.
    async fn subject(&self, user: &str, verb: Option<SelfService>) -> Answer<Subject> {
        let account = self.account(user).await?;
        let allowed = match (&account, self.caller) {
            (_, Caller::Root) => true,
            (Some(account), caller) => caller.may_act_for(account.uid),
            (None, Caller::User(_)) => false,
        };
        // The same words whether there is such a user or not.
        if !allowed {
            self.note_not_allowed(user).await;
            return Err(refused(
                RefusalCode::NotAllowed,
                "only root may do that for another user".to_owned(),
            ));
        }
        let Some(account) = account else {
            return Err(refused(
                RefusalCode::UnknownUser,
                format!("this host knows no user {}. See: getent passwd", clean(user)),
            ));
        };
        if let (Caller::User(_), Some(verb)) = (self.caller, verb) {
            if !self.config.policy.allows(verb) {
                return Err(refused(
                    RefusalCode::NotAllowed,
                    "self_service in the agent's configuration does not allow that. Ask an administrator \
                     of this host"
                        .to_owned(),
                ));
            }
        }
        let (live, name) = (Arc::clone(self.live), account.name.clone());
        let view = blocking(move || live.store.account_view(&name)).await?;
        Ok(Subject { account, view })
    }

    async fn account(&self, user: &str) -> Answer<Option<Account>> {
        let (live, user) = (Arc::clone(self.live), user.to_owned());
        let found = tokio::task::spawn_blocking(move || live.directory.account(&user)).await;
        match found {
            Ok(Ok(account)) => Ok(account),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn only_root(&self, what: &str, instead: &str) -> Answer<()> {
        if self.caller == Caller::Root {
            return Ok(());
        }
        self.note_not_allowed("").await;
        Err(refused(RefusalCode::NotAllowed, format!("only root may {what}. {instead}").trim_end().to_owned()))
    }

    async fn note_not_allowed(&self, user: &str) {
        let context = Context {
            now: self.live.store.now(),
            user: clean(user),
            service: "cli".to_owned(),
            source: Source::of_uid(self.caller.uid()).as_str().to_owned(),
        };
        if let Err(error) = self.live.store.note(context, Event::NotAllowed, String::new()).await {
            tracing::error!(code = "audit", %error, "an event could not be written to the audit");
        }
    }

    /// Root stands behind its own requests; a user who has a device shows a fresh code of it.
    async fn vouch(&self, subject: &Subject, proof: Option<SecretText>) -> Answer<Vouched> {
        if self.caller == Caller::Root {
            return Ok(Vouched::Yes);
        }
        if !subject.has_any() {
            return Ok(Vouched::No);
        }
        let Some(proof) = proof else {
            return Err(refused(
                RefusalCode::ProofNeeded,
                "a change of your devices needs a fresh code of one of them".to_owned(),
            ));
        };
        let held = self.hold(subject, &proof).await?;
        self.judge(subject, held, Purpose::Change).await?;
        Ok(Vouched::Yes)
    }

    async fn hold(&self, subject: &Subject, code: &SecretText) -> Answer<Held> {
        let all = [FactorKind::Totp, FactorKind::Hotp, FactorKind::RecoveryCode];
        hold(self.live, &subject.view.devices, &all, code.expose(), self.config.policy.totp_skew)
            .await
            .map_err(|error| unavailable(&error))
    }

    async fn judge(&self, subject: &Subject, held: Held, purpose: Purpose) -> Answer<()> {
        let wrong = || {
            refused(
                RefusalCode::CodeRefused,
                "that code was not accepted. A code works once and for a short time: wait for the next one"
                    .to_owned(),
            )
        };
        let Some(account) = subject.view.account else { return Err(wrong()) };
        let attempt = Attempt {
            account,
            user: subject.account.name.clone(),
            service: "cli".to_owned(),
            source: Source::of_uid(self.caller.uid()),
            kinds: held.kinds,
            verified: held.verified,
            purpose,
        };
        match self.live.store.judge(attempt, self.config.locks).await {
            Ok(Verdict::Admitted(_)) => Ok(()),
            Ok(Verdict::Refused) => Err(wrong()),
            Ok(Verdict::Locked) => Err(refused(
                RefusalCode::Locked,
                format!(
                    "too many wrong codes: there is a pause now, which ends by itself. Root can end it: \
                     oss2fa-agent unlock --user {}",
                    subject.account.name
                ),
            )),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn is_exempt(&self, account: &Account) -> Answer<bool> {
        let rules = self.config.policy.base().clone();
        let (live, account) = (Arc::clone(self.live), account.clone());
        let in_any = move |groups: &[String]| -> Result<bool, crate::directory::DirectoryError> {
            for group in groups {
                if live.directory.membership(&account, group)? == Membership::Member {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let found = tokio::task::spawn_blocking(move || {
            Ok::<_, crate::directory::DirectoryError>(
                in_any(&rules.exempt_groups)? && !in_any(&rules.required_groups)?,
            )
        })
        .await;
        match found {
            Ok(Ok(exempt)) => Ok(exempt),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn shown(&self, user: &str, device: DeviceId) -> Answer<Response> {
        let subject = self.subject(user, None).await?;
        let views = self.views(&subject).await?;
        views
            .into_iter()
            .find(|view| view.device == device)
            .map(Response::Device)
            .ok_or_else(|| unknown_device(&subject.account.name, device))
    }

    async fn views(&self, subject: &Subject) -> Answer<Vec<DeviceView>> {
        let (live, devices) = (Arc::clone(self.live), subject.view.devices.clone());
        let user = subject.account.name.clone();
        blocking(move || {
            devices
                .iter()
                .map(|device| {
                    let left = match device.kind {
                        FactorKind::RecoveryCode => Some(live.store.unused_codes(device.id)?.len() as u64),
                        FactorKind::Totp | FactorKind::Hotp => None,
                    };
                    Ok(device.view(user.as_str(), left))
                })
                .collect()
        })
        .await
    }

    fn context(&self, user: &UserName) -> Context {
        Context::new(self.live.store.now(), user, "cli", &Source::of_uid(self.caller.uid()))
    }
}

impl Subject {
    fn device(&self, id: DeviceId) -> Answer<&Device> {
        self.view
            .devices
            .iter()
            .find(|device| device.id == id)
            .ok_or_else(|| unknown_device(&self.account.name, id))
    }

    fn active(&self) -> impl Iterator<Item = &Device> {
        self.view.devices.iter().filter(|device| device.status == DeviceStatus::Active)
    }

    fn has_any(&self) -> bool {
        self.active().next().is_some()
    }

    fn has_otp(&self) -> bool {
        self.active().any(|device| device.kind != FactorKind::RecoveryCode)
    }

    fn is_last(&self, id: DeviceId) -> bool {
        !self.active().any(|device| device.id != id && device.kind != FactorKind::RecoveryCode)
    }
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

async fn blocking<T: Send + 'static>(
    query: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(query).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unavailable(&error)),
        Err(error) => Err(unavailable(&error)),
    }
}

fn refused(code: RefusalCode, message: String) -> Refused {
    Refused { code, message }
}

fn bad_request(what: &dyn std::fmt::Display) -> Refused {
    refused(RefusalCode::BadRequest, what.to_string())
}

// The reason is for the log: the caller may be anybody.
fn unavailable(error: &dyn std::fmt::Display) -> Refused {
    tracing::error!(code = "admin", %error, "a request could not be done");
    refused(
        RefusalCode::Unavailable,
        "the agent could not do that now; its log says why: journalctl -u oss2fa-agent".to_owned(),
    )
}

fn unknown_device(user: &UserName, device: DeviceId) -> Refused {
    refused(
        RefusalCode::UnknownDevice,
        format!("{user} has no device {device}. See: oss2fa-agent list --user {user}"),
    )
}

fn last_factor(user: &UserName) -> Refused {
    refused(
        RefusalCode::LastFactor,
        format!(
            "this is the last device of {user}, who must have one. Enrol another first, or ask an \
             administrator of this host"
        ),
    )
}
