//! The rules: who may enroll, what is asked, who gets in. No HTTP here, and no SQL.

pub mod administrator;
pub mod apps;
pub mod audit;
pub mod challenge;
pub mod client;
pub mod credential;
pub mod decision;
pub mod enrollment;
pub mod host;
pub mod integration;
pub mod mandate;
pub mod name;
pub mod offline;
pub mod refusal;
pub mod rotation;
mod security_key;
pub mod tenant;
pub mod validation;
pub mod verify;
pub mod webhook;
mod yubikey;

use std::borrow::Cow;
use std::sync::Arc;

use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::refusal::Refusal;
use crate::device::{Kind, Kinds, Outgoing, Step, Surroundings};
use crate::ids::{IntegrationId, TenantId, Username};
use crate::keys::TenantKeys;
use crate::message::Messenger;
use crate::message::text::{Occasion, Words};
use crate::outside::{Clock, Timestamp};
use crate::policy::Policy;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx};
use crate::store::verbs::Doer;
use crate::store::verbs::integrations::Integration;
use crate::whereabouts::Whereabouts;
use crate::yubico::OtpAuthority;

/// What every request works with.
#[derive(Clone)]
pub struct Service {
    /// Where everything is kept.
    pub store: Arc<Store>,
    /// The kinds of device.
    pub kinds: Kinds,
    /// Sends codes.
    pub messenger: Arc<dyn Messenger>,
    /// Judges passwords of YubiKeys whose secrets are not here.
    pub authority: Arc<dyn OtpAuthority>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Subject of mails with a code.
    pub mail_subject: Arc<str>,
}

/// An integration that asks, at one moment.
#[derive(Clone)]
pub struct Caller {
    /// Which.
    pub integration: Arc<Integration>,
    /// `integration`, or `admin:NAME` where an administrator acts in its place.
    pub actor: Cow<'static, str>,
    /// When.
    pub now: Timestamp,
}

impl Caller {
    /// Whose data it may see.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.integration.tenant
    }

    /// Its number.
    #[must_use]
    pub fn pk(&self) -> IntegrationId {
        self.integration.pk
    }

    /// Who is named in the audit; `source` is where the client is, as the application says.
    #[must_use]
    pub fn doer(&self, source: &str) -> Doer {
        Doer {
            tenant: self.tenant(),
            integration: Some(self.pk()),
            actor: self.actor.clone(),
            source: source.to_owned(),
            now: self.now,
            whereabouts: Whereabouts::default(),
        }
    }

    /// Why no message goes out for a challenge or an enrollment of which this is left; what others have had counts
    /// for `others` seconds.
    fn no_more_messages(&self, sends_left: u32, sent_at: Option<Timestamp>, others: u32) -> Refusal {
        let resend_after = self.integration.policy.resend_after;
        let spaced = sent_at.map(|at| at.after(resend_after)).filter(|next| *next > self.now);
        let next = (sends_left > 0).then(|| spaced.unwrap_or_else(|| self.now.after(others)));
        Refusal::NoMoreMessages { next }
    }

    fn around<'a>(
        &'a self,
        username: &'a Username,
        keys: &'a TenantKeys,
        random: &'a dyn Random,
    ) -> Surroundings<'a> {
        let integration = &*self.integration;
        Surroundings {
            policy: &integration.policy,
            issuer: integration.policy.issuer.as_deref().unwrap_or(&integration.name),
            username,
            registered: &[],
            keys,
            random,
            now: self.now,
        }
    }
}

/// A kind that policy offers, by name.
fn allowed<'a>(kinds: &'a Kinds, policy: &Policy, name: &str) -> Result<&'a dyn Kind, Refusal> {
    let kind = kinds.named(name).ok_or(Refusal::UnknownKind)?;
    if !policy.allows_kind(kind.description().name) {
        return Err(Refusal::KindNotAllowed);
    }
    kind.offered(policy)?;
    Ok(kind)
}

/// What a challenge or an enrollment keeps, sealed, of the step that waits: for the kind, and for GET.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptStep {
    state: String,
    /// What the application was shown.
    pub shown: Option<Value>,
}

impl KeptStep {
    /// For the store.
    ///
    /// # Errors
    /// Never with what kinds give; [`StoreError::Corrupt`] otherwise.
    pub fn pack(step: &Step) -> Result<SecretBytes, StoreError> {
        let kept =
            Self { state: data_encoding::BASE64.encode(step.state.expose()), shown: step.shown.clone() };
        serde_json::to_vec(&kept).map(SecretBytes::new).map_err(|_| StoreError::Corrupt("a step"))
    }

    /// From the store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn unpack(kept: &SecretBytes) -> Result<Self, StoreError> {
        serde_json::from_slice(kept.expose()).map_err(|_| StoreError::Corrupt("a step that makes no sense"))
    }

    /// For the kind.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn state(&self) -> Result<SecretBytes, StoreError> {
        data_encoding::BASE64
            .decode(self.state.as_bytes())
            .map(SecretBytes::new)
            .map_err(|_| StoreError::Corrupt("a step that makes no sense"))
    }
}

struct KeysOf(TenantId);

impl Query for KeysOf {
    type Output = Arc<TenantKeys>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Arc<TenantKeys>, StoreError> {
        tx.keys(self.0).await
    }
}

impl Service {
    /// Who asks, at this moment.
    #[must_use]
    pub fn caller(&self, integration: Arc<Integration>, actor: Cow<'static, str>) -> Caller {
        Caller { integration, actor, now: self.clock.now() }
    }

    /// The same caller now: a body may have been long on its way since its head was looked at.
    fn at_last(&self, caller: &Caller) -> Caller {
        Caller { now: self.clock.now(), ..caller.clone() }
    }

    async fn keys(&self, caller: &Caller) -> Result<Arc<TenantKeys>, Refusal> {
        match self.store.ring().recent(caller.tenant()) {
            Some(keys) => Ok(keys),
            None => Ok(self.store.read(KeysOf(caller.tenant())).await?),
        }
    }

    fn around<'a>(
        &'a self,
        caller: &'a Caller,
        username: &'a Username,
        keys: &'a TenantKeys,
    ) -> Surroundings<'a> {
        caller.around(username, keys, self.store.ring().random())
    }

    fn kind(&self, caller: &Caller, name: &str) -> Result<&dyn Kind, Refusal> {
        allowed(&self.kinds, &caller.integration.policy, name)
    }

    async fn send(
        &self,
        around: &Surroundings<'_>,
        message: Outgoing,
        seconds: u32,
        occasion: Occasion,
    ) -> Result<(), Refusal> {
        let minutes = seconds.div_ceil(60).max(1);
        let channel = match &message {
            Outgoing::Mail { .. } => "mail",
            Outgoing::Sms { .. } => "sms",
        };
        let words = |code| Words { issuer: around.issuer, code, minutes, occasion };
        let sent = match message {
            Outgoing::Mail { to, code } => {
                self.messenger.send_mail(words(&code).mail(to, &self.mail_subject)).await
            }
            Outgoing::Sms { to, code } => self.messenger.send_sms(words(&code).sms(to)).await,
        };
        let result = if sent.is_ok() { "sent" } else { "failed" };
        metrics::counter!("oss2fa_messages_total", "channel" => channel, "result" => result).increment(1);
        sent.map_err(|error| {
            tracing::warn!(code = "message_not_sent", %error, "a code was not sent");
            Refusal::NotSent(error)
        })
    }
}
