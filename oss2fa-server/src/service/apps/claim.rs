//! An app that shows a token: what it takes to be believed.
//!
//! A token is held against the app's device in one read. Only where something is to be written (a code to be
//! spent, a lock to be looked at, a failure to be counted) does it take a transaction, and then that alone
//! decides.

use std::sync::Arc;

use super::{AppClaim, Apps, AppsError, Denied, Door, Reason};
use crate::config::TokenUse;
use crate::device::Spend;
use crate::device::app::{self, KIND, Steps};
use crate::ids::{AppUuid, IntegrationId};
use crate::outside::Timestamp;
use crate::policy::LockPolicy;
use crate::service::challenge::admitted;
use crate::store::verbs::Doer;
use crate::store::verbs::apps::{App, FindApp, FoundApp, Trusted, Writing};
use crate::store::verbs::attempts::{Judge, Judged, Verify};
use crate::store::verbs::clients::ClientStatus;
use crate::store::verbs::integrations::Integration;
use crate::whereabouts::Whereabouts;

/// Seconds after which the use of an app is written down again, with an event of the audit.
const WRITTEN_EVERY: u32 = 300;

/// Seconds after which it is written down again from where (as locks have it).
const SOURCE_WRITTEN_EVERY: u32 = 24 * 3600;

/// An app that has shown a right token: [`Apps::requester`] alone makes one.
///
/// ```compile_fail
/// use oss2fa_server::service::apps::Requester;
/// fn forged(app: oss2fa_server::store::verbs::apps::App) -> Requester {
///     Requester { app }
/// }
/// ```
#[derive(Debug)]
pub struct Requester {
    pub(super) app: App,
    pub(super) home: Arc<Integration>,
    pub(super) door: Door,
    pub(super) now: Timestamp,
}

impl Requester {
    /// Who it is.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The integration that it is a client of.
    #[must_use]
    pub fn integration(&self) -> IntegrationId {
        self.home.pk
    }

    /// The same, if it may ask about others.
    ///
    /// # Errors
    /// [`Reason::Untrusted`].
    pub fn trusted(self) -> Result<TrustedRequester, Reason> {
        match self.app.trusted {
            Trusted::Yes => Ok(TrustedRequester(self)),
            Trusted::No => Err(Reason::Untrusted),
        }
    }

    /// What it does, in the audit.
    pub(super) fn doer(&self) -> Doer {
        Doer {
            tenant: self.home.tenant,
            integration: Some(self.home.pk),
            actor: format!("app:{}", self.app.appuuid).into(),
            source: self.door.source(),
            now: self.now,
            whereabouts: Whereabouts::default(),
        }
    }
}

/// A requester that may ask about others: [`Requester::trusted`] alone makes one.
#[derive(Debug)]
pub struct TrustedRequester(Requester);

impl TrustedRequester {
    pub(super) fn door(&self) -> Door {
        self.0.door
    }
}

/// An app that was asked about, and has shown a right token.
pub(super) struct Vouched;

/// Whose token it is, and where it comes from.
struct Shown<'a> {
    claim: &'a AppClaim,
    actor: String,
    /// As locks have it.
    source: String,
    limits: LockPolicy,
    now: Timestamp,
}

impl Apps {
    /// The app that asks, if its token is right.
    ///
    /// # Errors
    /// [`Reason::Requester`].
    pub async fn requester(&self, door: Door, claim: &AppClaim, now: Timestamp) -> Result<Requester, Denied> {
        let home = self.home(now).await?;
        let mut limits = home.policy.locks;
        if door == Door::Bus {
            // All of the bus is one source: one bad app must not lock the others out.
            limits.free_attempts_per_source = u32::MAX;
        }
        let shown = Shown { claim, actor: "app".to_owned(), source: door.source(), limits, now };
        match self.accepted(&home, shown).await? {
            Some(app) => Ok(Requester { app, home, door, now }),
            None => Err(Denied::Refused(Reason::Requester)),
        }
    }

    /// `None`: whatever was shown is not a right token of that app.
    pub(super) async fn vouch(
        &self,
        TrustedRequester(requester): &TrustedRequester,
        about: &AppClaim,
    ) -> Result<Option<Vouched>, AppsError> {
        // The token comes from wherever the app that asks got it: that app is the source. What strangers
        // send it must not lock it out as a whole.
        let source = format!("app:{}", requester.app.appuuid);
        let mut limits = requester.home.policy.locks;
        limits.free_attempts_per_source = u32::MAX;
        let shown = Shown { claim: about, actor: source.clone(), source, limits, now: requester.now };
        Ok(self.accepted(&requester.home, shown).await?.map(|_| Vouched))
    }

    /// The app whose token it is; `None` for everything but a right one of an app that may pass.
    async fn accepted(&self, home: &Arc<Integration>, shown: Shown<'_>) -> Result<Option<App>, AppsError> {
        let Ok(uuid) = AppUuid::parse(&shown.claim.appuuid) else { return Ok(None) };
        let now = shown.now;
        let find = FindApp {
            tenant: home.tenant,
            integration: home.pk,
            app: uuid.clone(),
            source: shown.source.clone(),
            used_since: now.before(WRITTEN_EVERY),
            known_since: now.before(SOURCE_WRITTEN_EVERY),
            now,
        };
        let found = self.service.store.read(find).await?;
        if let Some(found) = &found
            && self.is_right_and_leaves_nothing_to_write(found, shown.claim, now)?
        {
            metrics::counter!("oss2fa_verdicts_total", "kind" => KIND, "verdict" => "accepted").increment(1);
            return Ok(Some(found.app.clone()));
        }
        let device = found.as_ref().and_then(|found| found.device.as_ref()).map(|device| device.pk);
        let (token, window, tokens) = (shown.claim.token.clone(), self.window, self.tokens);
        let judge: Judge = Box::new(move |client, _| {
            // Only the app's own device counts, whatever else the client was given.
            let own = client.devices.iter().map(|(_, own)| own).find(|own| Some(own.pk) == device);
            let verified = match own {
                Some(own) => app::check(own, token.expose(), window, steps(tokens), now)?,
                None => None,
            };
            let spend = match tokens {
                TokenUse::Once => Spend::Position,
                TokenUse::WithinStep => Spend::Nothing,
            };
            Ok(Judged { kind: KIND, verified: verified.map(|verified| (verified, spend)) })
        });
        let doer = Doer {
            tenant: home.tenant,
            integration: Some(home.pk),
            actor: shown.actor.into(),
            source: shown.source,
            now,
            whereabouts: Whereabouts::default(),
        };
        let verify = Verify { doer, username: uuid.username(), judge, limits: shown.limits, hidden_as: None };
        let (kind, verdict) = self.service.store.write(verify).await?;
        match (found, admitted(kind, verdict)) {
            (Some(found), Ok(admitted)) if admitted.client() == found.app.client => Ok(Some(found.app)),
            _ => Ok(None),
        }
    }

    fn is_right_and_leaves_nothing_to_write(
        &self,
        found: &FoundApp,
        claim: &AppClaim,
        now: Timestamp,
    ) -> Result<bool, AppsError> {
        if self.tokens == TokenUse::Once
            || found.writing == Writing::Something
            || found.status == ClientStatus::Inactive
        {
            return Ok(false);
        }
        let Some(device) = &found.device else { return Ok(false) };
        Ok(app::check(device, claim.token.expose(), self.window, Steps::Any, now)?.is_some())
    }
}

fn steps(tokens: TokenUse) -> Steps {
    match tokens {
        TokenUse::Once => Steps::Unused,
        TokenUse::WithinStep => Steps::Any,
    }
}
