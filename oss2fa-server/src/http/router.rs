//! The router, on one screen. The documentation is generated from it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::allow::Methods;
use super::api::{
    administrators, apps, audit, challenges, clients, devices, enrollments, hosts, integrations,
    offline_credentials, operations, policy, security_keys, tenants, webhooks,
};
use super::error::{ApiError, ErrorBody, Errors};
use super::extract::From;
use super::gate::Gate;
use super::log::Watch;
use super::metrics::Requests;
use super::{App, idempotency, wsapi};

#[derive(OpenApi)]
#[openapi(
    info(title = "OSS2FA", version = "1.0", description = "Second factors for applications."),
    components(schemas(ErrorBody)),
    modifiers(&Credentials, &Errors)
)]
struct Documentation;

/// How callers prove who they are.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let header = |name: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name)));
        components.add_security_scheme("integration_token", header("X-Integration-Token"));
        components.add_security_scheme("admin_token", header("X-Admin-Token"));
        components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    }
}

fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Documentation::openapi())
        .routes(routes!(enrollments::create::create))
        .routes(routes!(enrollments::read::read))
        .routes(routes!(enrollments::prepare_device::prepare_device))
        .routes(routes!(enrollments::complete::complete))
        .routes(routes!(clients::auth::auth))
        .routes(routes!(clients::verify::verify))
        .routes(routes!(clients::list::list))
        .routes(routes!(clients::read::read, clients::set_status::set_status, clients::remove::remove))
        .routes(routes!(clients::unlock::unlock))
        .routes(routes!(clients::devices::devices))
        .routes(routes!(clients::rename_device::rename_device, clients::remove_device::remove_device))
        .routes(routes!(clients::distrust::distrust))
        .routes(routes!(policy::own::own))
        .routes(routes!(challenges::create::create))
        .routes(routes!(challenges::read::read, challenges::cancel::cancel))
        .routes(routes!(challenges::complete::complete))
        .routes(routes!(challenges::resend::resend))
        .routes(routes!(devices::kinds::kinds))
        .routes(routes!(hosts::report::report))
        .routes(routes!(security_keys::list::list))
        .routes(routes!(offline_credentials::list::list, offline_credentials::create::create))
        .routes(routes!(offline_credentials::revoke::revoke))
        .routes(routes!(tenants::list::list, tenants::create::create))
        .routes(routes!(tenants::read::read, tenants::remove::remove))
        .routes(routes!(integrations::list::list, integrations::create::create))
        .routes(routes!(integrations::read::read, integrations::remove::remove))
        .routes(routes!(integrations::rotate_token::rotate_token))
        .routes(routes!(policy::read::read, policy::change::change))
        .routes(routes!(administrators::list::list, administrators::create::create))
        .routes(routes!(administrators::remove::remove))
        .routes(routes!(webhooks::list::list, webhooks::create::create))
        .routes(routes!(webhooks::remove::remove))
        .routes(routes!(audit::list::list))
        .routes(routes!(audit::verify::verify))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::openapi))
}

/// The paths of ungleich-otp, where they are enabled. They have a contract and a shape of errors of their own,
/// and are not in the documentation: OpenAPI has no word for GET with a body.
fn app_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(apps::verify::verify))
        .routes(routes!(apps::register::register))
        .routes(routes!(apps::list::list, apps::list::list_by_post))
        .routes(routes!(apps::seed::seed, apps::seed::seed_by_post))
}

/// The validation protocol of Yubico, which has a contract of its own, too.
fn wsapi_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(wsapi::verify::verify))
}

/// The documentation, as `/openapi.json` answers it.
#[must_use]
pub fn documentation() -> utoipa::openapi::OpenApi {
    let mut api = routes().into_openapi();
    for item in api.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            // `create` alone is the name of many.
            let noun = operation.tags.as_ref().and_then(|tags| tags.first());
            if let (Some(noun), Some(verb)) = (noun, &operation.operation_id) {
                operation.operation_id = Some(format!("{noun}_{verb}"));
            }
        }
    }
    idempotency::document(&mut api);
    api
}

/// The whole.
pub fn router(app: App) -> Router {
    let (mut router, mut api) = routes().split_for_parts();
    // Paths with a contract of their own know no keys.
    let once = Methods::of(&api);
    let own = [Some(wsapi_routes()), app.apps.as_ref().map(|_| app_routes())];
    for routes in own.into_iter().flatten() {
        let (paths, documented) = routes.split_for_parts();
        router = router.merge(paths);
        api.merge(documented);
    }
    let gate = Arc::new(Gate {
        app: app.clone(),
        watch: Watch { ids: Arc::clone(&app.operations.ids), requests: Requests::of(&api) },
        largest_body: app.operations.largest_body,
        methods: Methods::of(&api),
        once,
        request_timeout: app.operations.request_timeout,
    });
    let pass = move |request, next| {
        let gate = Arc::clone(&gate);
        async move { gate.pass(request, next).await }
    };
    router.fallback(nothing_here).layer(from_fn(pass)).with_state(app)
}

async fn nothing_here(_: From) -> ApiError {
    ApiError::new(
        axum::http::StatusCode::NOT_FOUND,
        "no_such_path",
        "there is nothing at this path: /openapi.json lists what there is",
    )
}
