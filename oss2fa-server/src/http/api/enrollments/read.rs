//! `GET /integrations/enrollments/{pk}`: how far it is.

use axum::Json;
use axum::extract::State;

use super::Enrollment;
use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Integrated;
use crate::ids::EnrollmentId;

/// An enrollment.
#[utoipa::path(
    get,
    path = "/integrations/enrollments/{pk}",
    tag = "enrollments",
    security(("integration_token" = []), ("basic" = [])),
    params(("pk" = i64, Path, description = "Its number.")),
    responses((status = 200, body = Enrollment, description = "It is there."), Errors)
)]
pub async fn read(
    State(app): State<App>,
    Integrated(caller): Integrated,
    Pk(pk): Pk<EnrollmentId>,
) -> Result<Json<Enrollment>, ApiError> {
    Ok(Json(app.service().enrollment(&caller, pk).await?.into()))
}
