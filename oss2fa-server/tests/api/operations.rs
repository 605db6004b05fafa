//! Every operation, who is let in, and a request that succeeds for whoever is. What is not in this table fails
//! the matrix: a new operation is closed until somebody has said here whom it is for.

use serde_json::{Value, json};

use crate::fixture::Fixture;

/// Roles of administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Helpdesk,
    Administrator,
    Owner,
}

/// Whom an operation is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Admits {
    /// Everybody, without a credential.
    Everyone,
    /// Whoever has a credential.
    Anybody,
    /// The integration whose thing the request names.
    Integration,
    /// Every integration, in its own place.
    AnyIntegration,
    /// The integration whose thing it names, and administrators of its tenant with these roles.
    Desk(&'static [Role]),
    /// Every integration in its own place, and administrators of the named integration with these roles.
    AnyDesk(&'static [Role]),
    /// Administrators with these roles, of the tenant whose thing it names.
    Administrators(&'static [Role]),
    /// Administrators with these roles, each in their own place.
    AnyAdministrators(&'static [Role]),
}

/// One operation.
pub(crate) struct Operation {
    /// Method and path as the documentation has them.
    pub(crate) route: &'static str,
    pub(crate) admits: Admits,
    /// Path and body of a request about the first tenant.
    pub(crate) request: fn(&Fixture) -> (String, Value),
}

const OWNER: &[Role] = &[Role::Owner];
const MANAGERS: &[Role] = &[Role::Administrator, Role::Owner];
const STAFF: &[Role] = &[Role::Helpdesk, Role::Administrator, Role::Owner];

macro_rules! operations {
    ($($route:literal $admits:expr, |$f:ident| $path:expr, $body:tt;)*) => {
        &[$(Operation {
            route: $route,
            admits: $admits,
            request: |$f: &Fixture| { let _ = $f; (($path).to_string(), json!($body)) },
        }),*]
    };
}

use Admits::{
    Administrators, AnyAdministrators, AnyDesk, AnyIntegration, Anybody, Desk, Everyone, Integration,
};

pub(crate) const OPERATIONS: &[Operation] = operations![
    "GET /healthz" Everyone, |f| "/healthz", null;
    "GET /readyz" Everyone, |f| "/readyz", null;
    // By address, not by credential.
    "GET /metrics" Everyone, |f| "/metrics", null;
    "GET /openapi.json" Everyone, |f| "/openapi.json", null;
    "GET /devices-kind" Anybody, |f| "/devices-kind", null;

    "POST /integrations/enrollments" AnyIntegration, |f| "/integrations/enrollments", {"username": "new.person"};
    "GET /integrations/enrollments/{pk}" Integration,
        |f| format!("/integrations/enrollments/{}", f.a.enrollment), null;
    "POST /integrations/enrollments/{pk}/prepare-device" Integration,
        |f| format!("/integrations/enrollments/{}/prepare-device", f.a.enrollment), {"kind": "TOTP"};
    "POST /integrations/enrollments/{pk}/complete" Integration,
        |f| format!("/integrations/enrollments/{}/complete", f.a.enrollment), {"token": (f.a.proof)};

    "POST /integrations/clients/auth" AnyIntegration,
        |f| "/integrations/clients/auth", {"username": (f.a.username)};
    "POST /integrations/clients/verify" Integration,
        |f| "/integrations/clients/verify", {"username": (f.a.username), "token": (f.a.answer)};
    "POST /integrations/challenges" Integration,
        |f| "/integrations/challenges", {"username": (f.a.username), "device_pk": (f.a.device)};
    "GET /integrations/challenges/{pk}" Integration,
        |f| format!("/integrations/challenges/{}", f.a.challenge), null;
    "DELETE /integrations/challenges/{pk}" Integration,
        |f| format!("/integrations/challenges/{}", f.a.challenge), null;
    "POST /integrations/challenges/{pk}/complete" Integration,
        |f| format!("/integrations/challenges/{}/complete", f.a.challenge), {"token": (f.a.answer)};
    "POST /integrations/challenges/{pk}/resend" Integration,
        |f| format!("/integrations/challenges/{}/resend", f.a.mail_challenge), null;

    "GET /integrations/offline-credentials" AnyDesk(STAFF), |f| "/integrations/offline-credentials", null;
    "POST /integrations/offline-credentials" Integration,
        |f| "/integrations/offline-credentials", {"username": (f.a.username), "host": "web1", "name": "phone"};
    "DELETE /integrations/offline-credentials/{pk}" Desk(STAFF),
        |f| format!("/integrations/offline-credentials/{}", f.a.offline), null;
    "GET /integrations/security-keys" AnyDesk(STAFF),
        |f| format!("/integrations/security-keys?username={}", f.a.username), null;
    "POST /integrations/host-events" AnyIntegration, |f| "/integrations/host-events", {"host": "web1", "events": [
        {"id": "1", "at": "2026-01-01T00:00:00Z", "event": "fail_open", "username": (f.a.username)}]};

    "GET /integrations/policy" AnyDesk(STAFF), |f| "/integrations/policy", null;
    "GET /integrations/clients" AnyDesk(STAFF), |f| "/integrations/clients", null;
    "GET /integrations/clients/{pk}" Desk(STAFF), |f| format!("/integrations/clients/{}", f.a.client), null;
    "PATCH /integrations/clients/{pk}" Desk(MANAGERS),
        |f| format!("/integrations/clients/{}", f.a.client), {"status": "bypass"};
    "DELETE /integrations/clients/{pk}" Desk(MANAGERS),
        |f| format!("/integrations/clients/{}", f.a.client), null;
    "POST /integrations/clients/{pk}/unlock" Desk(STAFF),
        |f| format!("/integrations/clients/{}/unlock", f.a.client), null;
    "GET /integrations/clients/{pk}/devices" Desk(STAFF),
        |f| format!("/integrations/clients/{}/devices", f.a.client), null;
    "PATCH /integrations/clients/{pk}/devices/{device_pk}" Desk(MANAGERS),
        |f| format!("/integrations/clients/{}/devices/{}", f.a.client, f.a.device), {"name": "new name"};
    "DELETE /integrations/clients/{pk}/devices/{device_pk}" Desk(STAFF),
        |f| format!("/integrations/clients/{}/devices/{}", f.a.client, f.a.device), null;
    "DELETE /integrations/clients/{pk}/trusted-devices" Desk(STAFF),
        |f| format!("/integrations/clients/{}/trusted-devices", f.a.client), null;

    "GET /tenants" AnyAdministrators(STAFF), |f| "/tenants", null;
    "POST /tenants" Administrators(OWNER), |f| "/tenants", {"name": "another tenant"};
    "GET /tenants/{pk}" Administrators(STAFF), |f| format!("/tenants/{}", f.a.tenant), null;
    "DELETE /tenants/{pk}" Administrators(OWNER), |f| format!("/tenants/{}", f.a.tenant), null;
    "GET /tenants/integrations" Administrators(STAFF),
        |f| format!("/tenants/integrations?tenant={}", f.a.tenant), null;
    "POST /tenants/integrations" Administrators(MANAGERS),
        |f| "/tenants/integrations", {"name": "new integration", "tenant": (f.a.tenant)};
    "GET /tenants/integrations/{pk}" Administrators(STAFF),
        |f| format!("/tenants/integrations/{}", f.a.integration), null;
    "DELETE /tenants/integrations/{pk}" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}", f.a.integration), null;
    "POST /tenants/integrations/{pk}/rotate-token" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}/rotate-token", f.a.integration), null;
    "GET /tenants/integrations/{pk}/policy" Administrators(STAFF),
        |f| format!("/tenants/integrations/{}/policy", f.a.integration), null;
    "PUT /tenants/integrations/{pk}/policy" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}/policy", f.a.integration), {"attempts": 3};
    "GET /tenants/administrators" Administrators(MANAGERS),
        |f| format!("/tenants/administrators?tenant={}", f.a.tenant), null;
    "POST /tenants/administrators" Administrators(MANAGERS),
        |f| "/tenants/administrators", {"name": "newcomer", "role": "helpdesk", "tenant": (f.a.tenant)};
    "DELETE /tenants/administrators/{pk}" Administrators(MANAGERS),
        |f| format!("/tenants/administrators/{}", f.a.helpdesk_pk), null;
    "GET /tenants/integrations/{pk}/webhooks" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}/webhooks", f.a.integration), null;
    "POST /tenants/integrations/{pk}/webhooks" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}/webhooks", f.a.integration), {"url": "https://app.example.org/"};
    "DELETE /tenants/integrations/{pk}/webhooks/{webhook_pk}" Administrators(MANAGERS),
        |f| format!("/tenants/integrations/{}/webhooks/{}", f.a.integration, f.a.webhook), null;
    "GET /tenants/audit" Administrators(STAFF), |f| format!("/tenants/audit?tenant={}", f.a.tenant), null;
    "GET /tenants/audit/verify" Administrators(STAFF),
        |f| format!("/tenants/audit/verify?tenant={}", f.a.tenant), null;
];

impl Operation {
    pub(crate) fn method(&self) -> &'static str {
        self.route.split(' ').next().unwrap()
    }

    /// Whether an administrator has to name the integration in whose place they ask.
    pub(crate) fn is_desk(&self) -> bool {
        matches!(self.admits, Desk(_) | AnyDesk(_))
    }
}
