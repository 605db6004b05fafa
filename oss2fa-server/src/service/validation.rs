//! The validation protocol 2.0 as it is answered here: whose request it is, and what is said to it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use oss2fa_core::factor::yubico_otp::{Touch, TypedOtp};
use oss2fa_core::factor::yubico_validation::{ApiKey, Status, is_nonce};

use super::Service;
use crate::device::yubikey;
use crate::ids::YubicoClientId;
use crate::outside::Timestamp;
use crate::store::error::StoreError;
use crate::store::verbs::Doer;
use crate::store::verbs::integrations::{Integration, IntegrationFor};
use crate::store::verbs::yubico_clients::FindYubicoClient;
use crate::store::verbs::yubikeys::{Validate, Validated};
use crate::whereabouts::Whereabouts;

/// For how long a client is not looked up again: what was removed is good for so long.
const FRESH: Duration = Duration::from_secs(1);

/// Most clients that are remembered.
const MOST: usize = 10_000;

/// A client of the protocol.
pub struct ApiClient {
    /// Its id.
    pub id: YubicoClientId,
    /// What both sides sign with.
    pub key: ApiKey,
    /// Whose passwords it may ask about.
    pub integration: Integration,
}

/// Answers the protocol.
#[derive(Clone)]
pub struct Validation {
    service: Service,
    known: Arc<RwLock<Known>>,
}

/// Clients that were looked up a moment ago, and when.
type Known = HashMap<YubicoClientId, (Instant, Arc<ApiClient>)>;

/// The parameters of a request, each once.
pub type Parameters = BTreeMap<String, String>;

/// What is answered.
pub struct Answer {
    /// What it says.
    pub status: Status,
    /// Of which touch, where it was accepted and the request wants to know.
    pub touch: Option<Touch>,
    /// When.
    pub at: Timestamp,
}

impl Validation {
    /// By these rules.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self { service, known: Arc::default() }
    }

    /// The client of an id, where there is one.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn client(&self, id: &str) -> Result<Option<Arc<ApiClient>>, StoreError> {
        let plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let Some(id) = id.parse().ok().filter(|_| plain).map(YubicoClientId) else { return Ok(None) };
        let recent = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some((at, client)) = recent
            && at.elapsed() < FRESH
        {
            return Ok(Some(client));
        }
        let asked_at = Instant::now();
        let store = &self.service.store;
        let Some(found) = store.read(FindYubicoClient(id)).await? else { return Ok(None) };
        let find = IntegrationFor { tenant: Some(found.tenant), integration: found.integration };
        let Some(integration) = store.read(find).await? else { return Ok(None) };
        let key = ApiKey::new(found.key).ok_or(StoreError::Corrupt("a key of another length"))?;
        let client = Arc::new(ApiClient { id, key, integration });
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id, (asked_at, Arc::clone(&client)));
        Ok(Some(client))
    }

    /// Answers a request of a client whose signature was right. An OK is durable.
    pub async fn answer(&self, client: &ApiClient, from: IpAddr, request: &Parameters) -> Answer {
        let at = self.service.clock.now();
        let (status, touch) = match self.judge(client, from, request, at).await {
            Ok(judged) => judged,
            Err(error) => return self.failed(&error),
        };
        count(status);
        let wanted = request.get("timestamp").is_some_and(|wanted| wanted == "1");
        Answer { status, touch: touch.filter(|_| wanted), at }
    }

    /// Answers where the store failed: nothing was accepted. The log alone says what it was.
    pub fn failed(&self, error: &StoreError) -> Answer {
        tracing::error!(code = "store", %error, "the store failed");
        let status = Status::BackendError;
        count(status);
        Answer { status, touch: None, at: self.service.clock.now() }
    }

    async fn judge(
        &self,
        client: &ApiClient,
        from: IpAddr,
        request: &Parameters,
        now: Timestamp,
    ) -> Result<(Status, Option<Touch>), StoreError> {
        let policy = &client.integration.policy;
        let networks = &policy.api_networks;
        let from_here = networks.is_empty() || networks.iter().any(|network| network.contains(&from));
        if !from_here || !policy.allows_kind(yubikey::NAME) {
            return Ok((Status::OperationNotAllowed, None));
        }
        let nonce = request.get("nonce").filter(|nonce| is_nonce(nonce));
        let (Some(nonce), Some(otp)) = (nonce, request.get("otp")) else {
            return Ok((Status::MissingParameter, None));
        };
        let Some(typed) = TypedOtp::read(otp) else { return Ok((Status::BadOtp, None)) };
        let validate = Validate {
            doer: Doer {
                tenant: client.integration.tenant,
                integration: Some(client.integration.pk),
                actor: format!("yubico:{}", client.id).into(),
                // Where the person is nobody says.
                source: String::new(),
                whereabouts: Whereabouts::default(),
                now,
            },
            public_id: typed.public_id().clone(),
            nonce: nonce.clone(),
            judge: Box::new(move |device| yubikey::open(device, &typed)),
            limits: policy.locks,
        };
        Ok(match self.service.store.write(validate).await? {
            Validated::Accepted(_, touch) => (Status::Ok, Some(touch)),
            Validated::Passed => (Status::ReplayedOtp, None),
            Validated::SameRequest => (Status::ReplayedRequest, None),
            Validated::Refused => (Status::BadOtp, None),
        })
    }
}

fn count(status: Status) {
    metrics::counter!("oss2fa_validations_total", "status" => status.as_str()).increment(1);
}
