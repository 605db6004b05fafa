//! `POST /integrations/enrollments`: begins one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::Enrollment;
use crate::fields;
use crate::http::App;
use crate::http::api::{Context, binding, username};
use crate::http::body::Body;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;

/// Who is to be enrolled.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnrollment {
    /// The client's name.
    #[schema(min_length = 1, max_length = 256, example = "john.doe")]
    username: String,
    /// Where the client is, for the audit. An address outside of the networks of the policy is refused.
    #[serde(default, deserialize_with = "fields::optional")]
    binding_context: Option<Context>,
}

/// Begins an enrollment.
#[utoipa::path(
    post,
    path = "/integrations/enrollments",
    tag = "enrollments",
    security(("integration_token" = []), ("basic" = [])),
    request_body = NewEnrollment,
    responses((status = 201, body = Enrollment, description = "It has begun."), Errors)
)]
pub async fn create(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Body(new): Body<NewEnrollment>,
) -> Result<(StatusCode, Json<Enrollment>), ApiError> {
    let (username, context) = (username(&new.username)?, binding(new.binding_context)?);
    let shown = app.service().create_enrollment(&caller, username, &context).await?;
    Ok((StatusCode::CREATED, Json(shown.into())))
}
