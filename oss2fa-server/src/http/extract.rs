//! Who asks: a handler takes one of these, and cannot run without it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use data_encoding::BASE64;

use super::App;
use super::error::ApiError;
use crate::ids::IntegrationId;
use crate::service::Caller;
use crate::service::credential::digest;
use crate::store::verbs::administrators::{Administrator, AuthenticateAdministrator};
use crate::store::verbs::integrations::{Authenticate, Integration};

/// For how long a recognised integration is not looked up again. A token that was rotated elsewhere is good
/// for so long; on this node it is worth nothing at once.
const FRESH: Duration = Duration::from_secs(1);

/// Most integrations that are remembered.
const MOST: usize = 10_000;

/// Integrations that were recognised a moment ago, by the digest of their credential.
#[derive(Default)]
pub struct Recognised(RwLock<HashMap<[u8; 32], Remembered>>);

type Remembered = (Instant, Arc<Integration>);

impl Recognised {
    fn recent(&self, credential: &[u8; 32]) -> Option<Arc<Integration>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (at, integration) = known.get(credential)?;
        (at.elapsed() < FRESH).then(|| Arc::clone(integration))
    }

    fn remember(&self, credential: [u8; 32], integration: Arc<Integration>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(credential, (Instant::now(), integration));
    }

    /// Forgets all: a token or a policy was changed on this node.
    pub fn forget(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What came with the request to prove who asks.
enum Credential {
    Token(String),
    Pair { access_key: String, secret_key: String },
}

impl Credential {
    fn authenticate(&self) -> Authenticate {
        match self {
            Self::Token(token) => Authenticate::Token(digest(token)),
            Self::Pair { access_key, secret_key } => {
                Authenticate::Pair { access_key: access_key.clone(), secret: digest(secret_key) }
            }
        }
    }

    fn remembered_as(&self) -> [u8; 32] {
        match self {
            Self::Token(token) => digest(token),
            Self::Pair { access_key, secret_key } => digest(&format!("{access_key}:{secret_key}")),
        }
    }
}

/// Reads the credential: the header of this name, or Basic. Both at once, or twice the same, is none.
fn credential(headers: &HeaderMap, name: &'static str) -> Option<Credential> {
    let mut tokens = headers.get_all(name).iter();
    let mut basics = headers.get_all(AUTHORIZATION).iter();
    match (tokens.next(), tokens.next(), basics.next(), basics.next()) {
        (Some(token), None, None, None) => {
            Some(Credential::Token(token.to_str().ok().filter(|token| token.len() <= 128)?.to_owned()))
        }
        (None, _, Some(basic), None) => {
            let (scheme, encoded) = basic.to_str().ok()?.split_once(' ')?;
            let decoded = BASE64.decode(encoded.trim().as_bytes()).ok()?;
            let (access_key, secret_key) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            scheme.eq_ignore_ascii_case("basic").then(|| Credential::Pair {
                access_key: access_key.to_owned(),
                secret_key: secret_key.to_owned(),
            })
        }
        _ => None,
    }
}

fn has_credential(headers: &HeaderMap, name: &'static str) -> bool {
    headers.contains_key(name)
}

const INTEGRATION: &str = "x-integration-token";
const ADMIN: &str = "x-admin-token";

/// Where the request comes from; counted.
pub struct From(pub IpAddr);

impl FromRequestParts<App> for From {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let address = app
            .proxies
            .address(parts)
            .ok_or_else(|| ApiError::forbidden("the address of this connection cannot be told"))?;
        app.limiter.of_address(address)?;
        Ok(Self(address))
    }
}

/// An integration, by its token or its pair.
pub struct Integrated(pub Caller);

impl FromRequestParts<App> for Integrated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let From(address) = From::from_request_parts(parts, app).await?;
        let found = match credential(&parts.headers, INTEGRATION) {
            Some(credential) => recognise(app, &credential).await?,
            None => None,
        };
        let Some(integration) = found else {
            app.limiter.of_refused(address)?;
            return Err(ApiError::unauthorized());
        };
        let networks = &integration.policy.api_networks;
        if !networks.is_empty() && !networks.iter().any(|network| network.contains(&address)) {
            return Err(ApiError::forbidden(
                "the policy of this integration takes no requests from this address",
            ));
        }
        app.limiter.of_token(integration.pk)?;
        Ok(Self(app.service().caller(integration, "integration".to_owned())))
    }
}

async fn recognise(app: &App, credential: &Credential) -> Result<Option<Arc<Integration>>, ApiError> {
    let key = credential.remembered_as();
    if let Some(recent) = app.recognised.recent(&key) {
        return Ok(Some(recent));
    }
    let found = app.service().store.read(credential.authenticate()).await?.map(Arc::new);
    if let Some(found) = &found {
        app.recognised.remember(key, Arc::clone(found));
    }
    Ok(found)
}

/// An administrator, by token or pair.
pub struct Admin(pub Administrator);

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let From(address) = From::from_request_parts(parts, app).await?;
        let found = match credential(&parts.headers, ADMIN) {
            Some(credential) => {
                app.service().store.read(AuthenticateAdministrator(credential.authenticate())).await?
            }
            None => None,
        };
        if let Some(administrator) = found {
            return Ok(Self(administrator));
        }
        app.limiter.of_refused(address)?;
        Err(ApiError::unauthorized())
    }
}

/// The number of an integration in the query, where an administrator acts in its place.
pub const INTEGRATION_QUERY: &str = "integration";

/// Whoever may look at, and perhaps change, the clients of one integration: itself, or an administrator who
/// names it by `?integration=PK`.
pub struct Desk {
    /// In whose place.
    pub caller: Caller,
    /// The administrator, where it is one.
    pub administrator: Option<Administrator>,
}

impl FromRequestParts<App> for Desk {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let named = form_value(parts.uri.query().unwrap_or_default(), INTEGRATION_QUERY).map(str::to_owned);
        if has_credential(&parts.headers, INTEGRATION) || named.is_none() {
            let Integrated(caller) = Integrated::from_request_parts(parts, app).await?;
            return Ok(Self { caller, administrator: None });
        }
        let Admin(administrator) = Admin::from_request_parts(parts, app).await?;
        let pk = named
            .and_then(|named| named.parse().ok())
            .map(IntegrationId)
            .ok_or_else(|| ApiError::bad_request("integration must be a number"))?;
        let integration = super::api::find_integration(app, &administrator, pk).await?;
        let actor = format!("admin:{}", administrator.name);
        let caller = app.service().caller(Arc::new(integration), actor);
        Ok(Self { caller, administrator: Some(administrator) })
    }
}

/// The value of a name in a query without escapes: numbers have none.
fn form_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
