//! `Idempotency-Key`: a request that is sent again gets the answer that it got, and spends nothing.
//!
//! Only requests with the header come by here. Whoever asks is recognised first, as the operation itself
//! would do it, so that nobody else ever writes a row.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use oss2fa_core::secret::SecretBytes;
use sha2::{Digest, Sha256};
use tracing::Instrument;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::App;
use super::error::{ApiError, Code};
use super::extract::{ActsFor, Admin, Before, Integrated, acts_for};
use super::seen::Seen;
use crate::ids::{SERVER, TenantId};
use crate::store::verbs::idempotency::{Keep, KeptAnswer, Marked, Principal, Release, Reserve, Reserved};

const HEADER: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// Largest answer that is kept, in bytes: a provisioning QR code has some ten thousand.
const LARGEST_ANSWER: u64 = 256 * 1024;

/// Headers that belong to an answer; the others are made for each answer anew.
const KEPT_HEADERS: [HeaderName; 3] =
    [CONTENT_TYPE, HeaderName::from_static("x-client-id"), HeaderName::from_static("x-device-id")];

/// Whether a request changes something and has a key.
#[must_use]
pub fn has_key(request: &Request) -> bool {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    changes && request.headers().contains_key(HEADER)
}

/// Runs a request with a key once.
///
/// # Errors
/// What keeps it from being run.
pub async fn once(app: App, request: Request, next: Next) -> Result<Response, ApiError> {
    let key = key(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let (tenant, principal) = recognise(&mut parts, &app).await?;
    let reading = Seen::of(&parts.extensions).map(Seen::reading);
    let body = to_bytes(body, app.operations.largest_body).await.map_err(|error| body_refused(&error))?;
    drop(reading);
    let marked =
        Marked { tenant, principal, key, request: digest(&parts, &body), now: app.service().clock.now() };
    let request = Request::from_parts(parts, Body::from(body));
    // From the reservation to the end, also where the caller goes away: that is whom the answer is kept for.
    let work = reserve_and_run(app, marked, request, next).in_current_span();
    match tokio::spawn(work).await {
        Ok(answered) => answered,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the server is stopping, and whether this was done is unknown: look before you begin anew",
            )),
        },
    }
}

async fn reserve_and_run(
    app: App,
    marked: Marked,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    match app.service().store.write(Reserve(marked.clone())).await? {
        Reserved::Yours => {
            let response = next.run(request).await;
            Ok(keep(&app, marked, response).await)
        }
        Reserved::Kept(answer) => Ok(again(answer)),
        Reserved::OtherRequest => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was sent with another request: take a new key for each request",
        )),
        Reserved::UnderWay => {
            let message = "the first request with this Idempotency-Key is under way: wait, then ask again";
            Err(in_progress(message).retry_after(1))
        }
        Reserved::Unknown => Err(in_progress(
            "the first request with this Idempotency-Key has left no answer, so its outcome is unknown: look at \
             what it was about, and begin anew with a new key",
        )),
    }
}

fn in_progress(message: &str) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, "idempotency_in_progress", message)
}

fn key(headers: &HeaderMap) -> Result<String, ApiError> {
    let mut keys = headers.get_all(HEADER).iter();
    keys.next()
        .filter(|_| keys.next().is_none())
        .and_then(|key| key.to_str().ok())
        .filter(|key| {
            (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map(str::to_owned)
        .ok_or_else(|| {
            ApiError::bad_request("Idempotency-Key must be one word of 1 to 255 visible ASCII characters")
        })
}

/// Who asks. What was recognised stays with the request, so that its operation counts nobody twice.
async fn recognise(parts: &mut Parts, app: &App) -> Result<(TenantId, Principal), ApiError> {
    if parts.uri.path().starts_with("/tenants") || acts_for(parts, app).await? == ActsFor::Another {
        let Admin(mandate) = Admin::from_request_parts(parts, app).await?;
        let administrator = &mandate.administrator;
        let of = (administrator.tenant.unwrap_or(SERVER), Principal::Administrator(administrator.pk));
        parts.extensions.insert(Before(mandate));
        return Ok(of);
    }
    let Integrated(caller) = Integrated::from_request_parts(parts, app).await?;
    let of = (caller.tenant(), Principal::Integration(caller.pk()));
    parts.extensions.insert(Before(caller));
    Ok(of)
}

fn body_refused(error: &axum::Error) -> ApiError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large");
        }
        cause = error.source();
    }
    ApiError::bad_request("the body did not arrive whole: send it again")
}

/// Of all that makes two requests the same; each part with its length in front.
fn digest(parts: &Parts, body: &Bytes) -> [u8; 32] {
    let target = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |target| target.as_str());
    let mut digest = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// Keeps an answer, or gives the key back where nothing was done. Of a message that was not sent nobody knows whether it
/// was: its challenge is there, and what sends again is to ask for that.
async fn keep(app: &App, marked: Marked, response: Response) -> Response {
    let store = &app.service().store;
    let status = response.status();
    if (status.is_server_error() && response.extensions().get() != Some(&Code::MESSAGE_NOT_SENT))
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::METHOD_NOT_ALLOWED | StatusCode::TOO_MANY_REQUESTS
        )
    {
        if let Err(error) = store.write(Release(marked)).await {
            tracing::warn!(code = "idempotency", %error, "a key was not given back: its retries are refused");
        }
        return response;
    }
    if response.body().size_hint().upper().is_none_or(|size| size > LARGEST_ANSWER) {
        tracing::warn!(code = "idempotency", "an answer is too large to be kept: its retries are refused");
        return response;
    }
    let (parts, body) = response.into_parts();
    // Bounded above.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server made no whole answer: what was asked may have been done",
        )
        .into_response();
    };
    let headers = KEPT_HEADERS
        .iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        })
        .collect();
    let answer = KeptAnswer { status: status.as_u16(), headers, body: SecretBytes::new(body.to_vec()) };
    if let Err(error) = store.write(Keep { marked, answer }).await {
        tracing::warn!(code = "idempotency", %error, "an answer was not kept: its retries are refused");
    }
    Response::from_parts(parts, Body::from(body))
}

fn again(answer: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body.expose().to_vec()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// Adds the header to the documentation of every operation that takes it.
pub fn document(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        for operation in
            [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            add_header(operation);
        }
    }
}

fn add_header(operation: &mut Operation) {
    let word = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(1))
        .max_length(Some(LONGEST_KEY))
        .pattern(Some("^[!-~]+$"))
        .build();
    let header = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A word of your choice, new for each request. The same request with the same key gets the same \
             answer for 24 hours, with `Idempotency-Replayed: true`, and nothing is done again.",
        ))
        .schema(Some(word))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(header));
}
