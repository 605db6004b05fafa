//! The REST interface of ungleich-otp: its paths, fields and answers, where `[ungleich_otp]` is enabled.
//!
//! Every answer is `{"status": "OK", ...}`, or `{"status": "FAIL", "error": "..."}` with a status of 400 or
//! above: whoever looks only at the one or only at the other is refused all the same.

pub mod claimed;
pub mod list;
pub mod register;
pub mod seed;
pub mod shape;
pub mod verify;

use axum::Json;
use axum::http::StatusCode;
use oss2fa_core::secret::SecretText;
use serde::Serialize;

use super::super::error::ApiError;
use crate::service::apps::{AppsError, Denied, Reason};

/// What an app asked for.
#[derive(Serialize)]
pub struct Answer<T> {
    status: &'static str,
    #[serde(flatten)]
    what: T,
}

/// Nothing but that it is so.
#[derive(Serialize)]
pub struct Nothing {}

fn ok<T>(what: T) -> Json<Answer<T>> {
    Json(Answer { status: "OK", what })
}

/// An app that was registered.
#[derive(Serialize)]
pub struct AppRegistered {
    appuuid: String,
}

/// An app as it is listed.
#[derive(Serialize)]
pub struct Listed {
    name: String,
    appuuid: String,
}

/// The apps of a user.
#[derive(Serialize)]
pub struct AppsOfUser {
    apps: Vec<Listed>,
}

/// The seed of an app.
#[derive(Serialize)]
pub struct SeedOfApp {
    seed: SecretText,
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Refused(reason) => reason.into(),
            Denied::Failed(error) => error.into(),
        }
    }
}

impl From<AppsError> for ApiError {
    fn from(error: AppsError) -> Self {
        match error {
            AppsError::Store(error) => error.into(),
            AppsError::NoTenant => {
                tracing::error!(code = "no_tenant", %error, "apps cannot be looked up");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_tenant", error.to_string())
            }
        }
    }
}

impl From<Reason> for ApiError {
    fn from(reason: Reason) -> Self {
        let (status, code) = match reason {
            Reason::Requester => (StatusCode::FORBIDDEN, "unknown_app"),
            Reason::Untrusted | Reason::AnotherUser => (StatusCode::FORBIDDEN, "untrusted_app"),
            Reason::About => (StatusCode::FORBIDDEN, "wrong_token"),
            Reason::NotThere => (StatusCode::NOT_FOUND, "not_found"),
            Reason::SeedSpent => (StatusCode::FORBIDDEN, "seed_not_shown"),
            Reason::TooMany => (StatusCode::CONFLICT, "too_many_apps"),
            Reason::BadUsername | Reason::BadAppname => (StatusCode::UNPROCESSABLE_ENTITY, "bad_name"),
        };
        Self::new(status, code, reason.to_string())
    }
}
