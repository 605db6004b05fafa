//! `DELETE /tenants/integrations/{pk}/webhooks/{webhook_pk}`: sends nothing there any more.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::App;
use crate::http::body::Pk;
use crate::http::error::{ApiError, Errors};
use crate::http::extract::Admin;
use crate::ids::{IntegrationId, WebhookId};

/// Removes a webhook with what waits for it. Not for the helpdesk.
#[utoipa::path(
    delete,
    path = "/tenants/integrations/{pk}/webhooks/{webhook_pk}",
    tag = "webhooks",
    security(("admin_token" = []), ("basic" = [])),
    params(
        ("pk" = i64, Path, description = "Number of the integration."),
        ("webhook_pk" = i64, Path, description = "Number of the webhook.")
    ),
    responses((status = 204, description = "Removed."), Errors)
)]
pub async fn remove(
    State(app): State<App>,
    Admin(mandate): Admin,
    Pk((pk, webhook)): Pk<(IntegrationId, WebhookId)>,
) -> Result<StatusCode, ApiError> {
    app.service().remove_webhook(&mandate, pk, webhook).await?;
    Ok(StatusCode::NO_CONTENT)
}
