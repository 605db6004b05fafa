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
use super::seen::Seen;
use crate::ids::IntegrationId;
use crate::service::Caller;
use crate::service::client::Clerk;
use crate::service::credential::digest;
use crate::service::mandate::Mandate;
use crate::store::verbs::administrators::AuthenticateAdministrator;
use crate::store::verbs::integrations::{Authenticate, Integration};

/// For how long a recognised integration is not looked up again. A token that was rotated elsewhere is good
/// for so long; on this node it is worth nothing at once.
const FRESH: Duration = Duration::from_secs(1);

/// Most integrations that are remembered.
const MOST: usize = 10_000;

/// Integrations that were recognised a moment ago, by the digest of their credential.
#[derive(Default)]
pub struct Recognised(RwLock<Known>);

#[derive(Default)]
struct Known {
    integrations: HashMap<[u8; 32], (Instant, Arc<Integration>)>,
    /// How often all was forgotten.
    forgotten: u64,
}

impl Recognised {
    /// The integration, or the count of the moment, with which [`Recognised::remember`] takes it.
    fn recent(&self, credential: &[u8; 32]) -> Result<Arc<Integration>, u64> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match known.integrations.get(credential) {
            Some((at, integration)) if at.elapsed() < FRESH => Ok(Arc::clone(integration)),
            _ => Err(known.forgotten),
        }
    }

    /// Remembers what was looked up since the count was taken, unless all was forgotten meanwhile: what was
    /// read before a change must not outlive it.
    fn remember(&self, credential: [u8; 32], integration: Arc<Integration>, count: u64) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.forgotten != count {
            return;
        }
        if known.integrations.len() >= MOST {
            known.integrations.clear();
        }
        known.integrations.insert(credential, (Instant::now(), integration));
    }

    /// Forgets all: a token or a policy was changed on this node.
    pub fn forget(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.integrations.clear();
        known.forgotten += 1;
    }
}

/// What came with the request to prove who asks.
enum Credential<'a> {
    Token(&'a str),
    Pair { access_key: String, secret_key: String },
}

impl Credential<'_> {
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

/// Reads the credential: the header of this name, or Basic. Two at once, of whatever kind, or twice the same,
/// is none: nobody has to guess who it was.
fn credential<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<Credential<'a>> {
    if headers.contains_key(INTEGRATION) && headers.contains_key(ADMIN) {
        return None;
    }
    let mut tokens = headers.get_all(name).iter();
    let mut basics = headers.get_all(AUTHORIZATION).iter();
    match (tokens.next(), tokens.next(), basics.next(), basics.next()) {
        (Some(token), None, None, None) => {
            Some(Credential::Token(token.to_str().ok().filter(|token| token.len() <= 128)?))
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

const INTEGRATION: &str = "x-integration-token";
const ADMIN: &str = "x-admin-token";

/// Whether a header claims to hold a token, right or wrong.
pub(super) fn has_token(headers: &HeaderMap) -> bool {
    headers.contains_key(INTEGRATION) || headers.contains_key(ADMIN)
}

/// Who was recognised before the operation, by [`super::idempotency`]: an extension of the request.
#[derive(Clone)]
pub(super) struct Before<T>(pub(super) T);

/// Where the request comes from; counted once for each request.
#[derive(Debug, Clone, Copy)]
pub struct From(pub IpAddr);

impl FromRequestParts<App> for From {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(counted) = parts.extensions.get::<Self>() {
            return Ok(*counted);
        }
        if !app.proxies.admits(parts) {
            return Err(ApiError::forbidden(
                "without TLS this server talks to its proxies alone, which [proxy] names: go through one of them",
            ));
        }
        let address = app
            .proxies
            .address(parts)
            .ok_or_else(|| ApiError::forbidden("the address of this connection cannot be told"))?;
        if let Some(seen) = Seen::of(&parts.extensions) {
            seen.comes_from(address);
        }
        app.limiter.of_address(address)?;
        parts.extensions.insert(Self(address));
        Ok(Self(address))
    }
}

/// An integration, by its token or its pair.
pub struct Integrated(pub Caller);

impl FromRequestParts<App> for Integrated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(Before(caller)) = parts.extensions.get::<Before<Caller>>() {
            return Ok(Self(caller.clone()));
        }
        let From(address) = From::from_request_parts(parts, app).await?;
        let found = match credential(&parts.headers, INTEGRATION) {
            Some(credential) => recognise(app, &credential).await?,
            None => None,
        };
        let Some(integration) = found else {
            app.limiter.of_refused(address)?;
            return Err(ApiError::unauthorized());
        };
        if let Some(seen) = Seen::of(&parts.extensions) {
            seen.asked_by(integration.pk);
        }
        let networks = &integration.policy.api_networks;
        if !networks.is_empty() && !networks.iter().any(|network| network.contains(&address)) {
            return Err(ApiError::forbidden(
                "the policy of this integration takes no requests from this address",
            ));
        }
        app.limiter.of_token(integration.pk)?;
        Ok(Self(app.service().caller(integration, "integration".into())))
    }
}

async fn recognise(app: &App, credential: &Credential<'_>) -> Result<Option<Arc<Integration>>, ApiError> {
    let key = credential.remembered_as();
    let count = match app.recognised.recent(&key) {
        Ok(recent) => return Ok(Some(recent)),
        Err(count) => count,
    };
    let found = app.service().store.read(credential.authenticate()).await?.map(Arc::new);
    if let Some(found) = &found {
        app.recognised.remember(key, Arc::clone(found), count);
    }
    Ok(found)
}

/// An administrator, by token or pair.
pub struct Admin(pub Mandate);

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if let Some(Before(mandate)) = parts.extensions.get::<Before<Mandate>>() {
            return Ok(Self(mandate.clone()));
        }
        let From(address) = From::from_request_parts(parts, app).await?;
        let found = match credential(&parts.headers, ADMIN) {
            Some(credential) => {
                app.service().store.read(AuthenticateAdministrator(credential.authenticate())).await?
            }
            None => None,
        };
        if let Some(administrator) = found {
            app.limiter.of_administrator(administrator.pk)?;
            return Ok(Self(Mandate { administrator, address, now: app.service().clock.now() }));
        }
        app.limiter.of_refused(address)?;
        Err(ApiError::unauthorized())
    }
}

/// The number of an integration in the query, where an administrator acts in its place.
pub const INTEGRATION_QUERY: &str = "integration";

/// Whoever looks after the clients of one integration: itself, or an administrator who names it by
/// `?integration=PK`.
pub struct Desk(pub Clerk);

impl FromRequestParts<App> for Desk {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let From(address) = From::from_request_parts(parts, app).await?;
        let named = named_integration(parts);
        if acts_for(parts, app).await? == ActsFor::Itself {
            let Integrated(caller) = Integrated::from_request_parts(parts, app).await?;
            return match named.transpose()? {
                Some(named) if named != caller.pk() => Err(ApiError::not_found("integration")),
                _ => Ok(Self(Clerk { caller, role: None, address })),
            };
        }
        let Admin(mandate) = Admin::from_request_parts(parts, app).await?;
        let pk = named.ok_or_else(|| {
            ApiError::bad_request("say in the place of which integration: add ?integration=NUMBER")
        })??;
        let integration = super::api::find_integration(app, &mandate.administrator, pk).await?;
        let caller = app.service().caller(Arc::new(integration), mandate.actor().into());
        Ok(Self(Clerk { caller, role: Some(mandate.administrator.role), address }))
    }
}

/// For whom a request is made that either may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActsFor {
    /// An integration, for itself.
    Itself,
    /// An administrator, for an integration.
    Another,
}

/// By the header with the token. A pair, of which nothing tells whose it is, is an integration's where the query names
/// none, or where one has it.
pub(super) async fn acts_for(parts: &mut Parts, app: &App) -> Result<ActsFor, ApiError> {
    if parts.headers.contains_key(INTEGRATION) {
        return Ok(ActsFor::Itself);
    }
    if parts.headers.contains_key(ADMIN) {
        return Ok(ActsFor::Another);
    }
    if named_integration(parts).is_none() {
        return Ok(ActsFor::Itself);
    }
    whose_pair(parts, app).await
}

/// Whose pair it is, where it is a pair: an integration's where one has it.
async fn whose_pair(parts: &mut Parts, app: &App) -> Result<ActsFor, ApiError> {
    // Counted before the store is asked.
    From::from_request_parts(parts, app).await?;
    let found = match credential(&parts.headers, INTEGRATION) {
        Some(credential) => recognise(app, &credential).await?,
        None => None,
    };
    Ok(if found.is_some() { ActsFor::Itself } else { ActsFor::Another })
}

/// Whoever may see what this server can do: an integration, or an administrator, who need not name one.
pub enum Onlooker {
    /// In the place of one integration.
    Of(Clerk),
    /// Of none.
    Administrator(Mandate),
}

impl FromRequestParts<App> for Onlooker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let names_none = named_integration(parts).is_none();
        let by_pair = parts.headers.contains_key(AUTHORIZATION) && !has_token(&parts.headers);
        let is_administrator = names_none
            && (parts.headers.contains_key(ADMIN)
                || by_pair && whose_pair(parts, app).await? == ActsFor::Another);
        if is_administrator {
            return Ok(Self::Administrator(Admin::from_request_parts(parts, app).await?.0));
        }
        Ok(Self::Of(Desk::from_request_parts(parts, app).await?.0))
    }
}

fn named_integration(parts: &Parts) -> Option<Result<IntegrationId, ApiError>> {
    let named = form_value(parts.uri.query().unwrap_or_default(), INTEGRATION_QUERY)?;
    let number = named.parse().map(IntegrationId);
    Some(number.map_err(|_| ApiError::bad_request("integration must be a number")))
}

/// The value of a name in a query without escapes: numbers have none.
fn form_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}
