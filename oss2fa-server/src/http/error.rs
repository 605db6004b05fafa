//! Errors: one JSON shape, a stable code, a sentence that says what to do.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, ToSchema};

use crate::device::NotOffered;
use crate::outside::{Clock, SECOND, System, Timestamp};
use crate::service::refusal::Refusal;
use crate::store::error::StoreError;

/// An answer that is no success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    details: ErrorDetails,
}

/// The body of every answer that is no success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong.
    error: ErrorDetails,
}

/// What is wrong, and what to do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetails {
    /// A stable word for programs.
    code: &'static str,
    /// A sentence for people: what happened, and what to do.
    message: String,
    /// How many wrong tokens are still taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_left: Option<u32>,
    /// Seconds after which it may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl ApiError {
    /// With a status, a stable code and a sentence.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            details: ErrorDetails { code, message: message.into(), attempts_left: None, retry_after: None },
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Try again after so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.details.retry_after = Some(seconds);
        self
    }

    /// No token, or one that nobody has.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send one valid X-Integration-Token (administrators: X-Admin-Token), or Basic with access key and secret key, \
             and no second one",
        )
    }

    /// Not allowed for whoever asks.
    #[must_use]
    pub fn forbidden(message: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// A body, parameter or header that makes no sense.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Nothing of this number for whoever asks.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Refusal::NotFound(what).into()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Refusal::Store(error).into()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let (status, code) = match &refusal {
            Refusal::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::BadName(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_name"),
            Refusal::UnknownKind => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_kind"),
            Refusal::KindNotAllowed => (StatusCode::FORBIDDEN, "kind_not_allowed"),
            Refusal::NotOffered(NotOffered::NoRelyingParty) => (StatusCode::FORBIDDEN, "no_relying_party"),
            Refusal::NotOffered(NotOffered::OtherRelyingParty) => {
                (StatusCode::CONFLICT, "other_relying_party")
            }
            Refusal::NotOffered(NotOffered::CannotVerifyUser) => (StatusCode::FORBIDDEN, "kind_not_allowed"),
            Refusal::Unfit(_) => (StatusCode::FORBIDDEN, "key_not_allowed"),
            Refusal::Options(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_options"),
            Refusal::NotPrepared => (StatusCode::CONFLICT, "not_prepared"),
            Refusal::Over("enrollment") => (StatusCode::CONFLICT, "enrollment_over"),
            Refusal::Over(_) => (StatusCode::CONFLICT, "challenge_over"),
            Refusal::Expired("enrollment") => (StatusCode::GONE, "enrollment_expired"),
            Refusal::Expired(_) => (StatusCode::GONE, "challenge_expired"),
            Refusal::WrongToken { .. } => (StatusCode::FORBIDDEN, "wrong_token"),
            Refusal::Locked { .. } => (StatusCode::TOO_MANY_REQUESTS, "locked"),
            Refusal::Inactive => (StatusCode::FORBIDDEN, "client_inactive"),
            Refusal::Network => (StatusCode::FORBIDDEN, "network_not_allowed"),
            Refusal::TooManyDevices => (StatusCode::CONFLICT, "too_many_devices"),
            Refusal::TooManyCredentials => (StatusCode::CONFLICT, "too_many_credentials"),
            Refusal::UsedSecret => (StatusCode::CONFLICT, "used_secret"),
            Refusal::RegisteredKey => (StatusCode::CONFLICT, "registered_key"),
            Refusal::KeyTaken => (StatusCode::CONFLICT, "key_taken"),
            Refusal::NotValidated(_) => (StatusCode::BAD_GATEWAY, "otp_not_validated"),
            Refusal::NoMoreMessages { .. } => (StatusCode::TOO_MANY_REQUESTS, "no_more_messages"),
            Refusal::NothingToSend => (StatusCode::CONFLICT, "nothing_to_send"),
            Refusal::NotSent(_) => (StatusCode::BAD_GATEWAY, "message_not_sent"),
            Refusal::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_policy"),
            Refusal::NameTaken => (StatusCode::CONFLICT, "name_taken"),
            Refusal::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Refusal::Store(error) => return of_store(error),
        };
        let mut answer = Self::new(status, code, message);
        match refusal {
            Refusal::WrongToken { attempts_left } => answer.details.attempts_left = attempts_left,
            Refusal::Locked { until } => answer = answer.retry_after(seconds_until(until)),
            Refusal::NoMoreMessages { next: Some(next) } => answer = answer.retry_after(seconds_until(next)),
            _ => {}
        }
        answer
    }
}

fn of_store(error: &StoreError) -> ApiError {
    // The text can name files and addresses: it is for the log.
    tracing::error!(code = "store", %error, "the store failed");
    match error {
        StoreError::Moved(_) | StoreError::Moving(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_moved",
            "this server's store was moved to another: ask the new server",
        ),
        StoreError::Unreachable(_)
        | StoreError::Unwritable(_)
        | StoreError::Conflict(_)
        | StoreError::Closed => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the server's store does not answer, so nothing was accepted: try again",
        )
        .retry_after(1),
        StoreError::NoKeys(_) => ApiError::unauthorized(),
        _ => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server could not do this; its log says why. Nothing was accepted",
        ),
    }
}

// Only for the words of an answer: nothing is decided by it.
fn seconds_until(until: Timestamp) -> u64 {
    let left = until.0.saturating_sub(System.now().0);
    u64::try_from(left.div_euclid(SECOND) + 1).unwrap_or(0).max(1)
}

/// The sentence of an [`ApiError`], as an extension of its answer: paths with a shape of their own repeat it.
#[derive(Debug, Clone)]
pub(super) struct Sentence(pub(super) String);

/// The stable code of an [`ApiError`], as an extension of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(&'static str);

impl Code {
    /// A challenge or enrollment is there, and its message did not go out, or nobody knows.
    pub(super) const MESSAGE_NOT_SENT: Self = Self("message_not_sent");
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry_after = self.details.retry_after;
        let (sentence, code) = (Sentence(self.details.message.clone()), Code(self.details.code));
        let mut response = (self.status, Json(ErrorBody { error: self.details })).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"OSS2FA\""));
        }
        response.extensions_mut().insert(sentence);
        response.extensions_mut().insert(code);
        response
    }
}

/// The errors that any operation can answer with, for the documentation: there once, and named by each.
pub struct Errors;

const ERRORS: [(&str, &str); 16] = [
    ("400", "The request makes no sense; the message says what."),
    ("401", "No valid token."),
    ("403", "Refused: a wrong token of a client, or not allowed."),
    ("404", "Nothing of this number here."),
    ("405", "Not a method of this path."),
    ("406", "Not a version or type that is spoken here."),
    ("408", "The body did not arrive in time."),
    ("409", "Over, taken, or not in the state for this."),
    ("410", "Expired."),
    ("413", "The body is too large."),
    ("415", "The body is not JSON."),
    ("422", "A value that cannot be; the message says which."),
    ("429", "Too many requests or wrong tokens: wait."),
    ("500", "The server could not do this."),
    ("502", "A code could not be sent, or no validation server could judge one."),
    ("503", "The store does not answer, or not in time."),
];

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::response::Response>> {
        let named = |status: &str| RefOr::Ref(Ref::from_response_name(format!("Error{status}")));
        ERRORS.iter().map(|(status, _)| ((*status).to_owned(), named(status))).collect()
    }
}

impl Modify for Errors {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        for (status, words) in ERRORS {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
            let response =
                ResponseBuilder::new().description(words).content("application/json", content).build();
            components.responses.insert(format!("Error{status}"), RefOr::T(response));
        }
    }
}
