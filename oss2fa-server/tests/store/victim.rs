//! What a tenant has whose numbers others know, and how they are tried.

use std::pin::Pin;

use oss2fa_core::ids::DeviceId;
use oss2fa_server::ids::{
    AdministratorId, AppUuid, ChallengeId, ClientId, EnrollmentId, IntegrationId, WebhookId,
};
use oss2fa_server::store::Store;
use oss2fa_server::store::verbs::Doer;

use crate::sow::Own;
use crate::world::World;

/// What a tenant has, and who wants it.
pub(crate) struct Victim<'a> {
    pub(crate) world: &'a World,
    pub(crate) store: &'a Store,
    pub(crate) own: Own,
    pub(crate) client: ClientId,
    pub(crate) device: DeviceId,
    pub(crate) challenge: ChallengeId,
    pub(crate) enrollment: EnrollmentId,
    pub(crate) administrator: AdministratorId,
    pub(crate) app: AppUuid,
    pub(crate) webhook: WebhookId,
}

/// How far a verb reaches.
#[derive(PartialEq)]
pub(crate) enum Reach {
    /// Its integration.
    Integration,
    /// Its tenant.
    Tenant,
}

/// A try by somebody else.
pub(crate) type Case = for<'a> fn(&'a Victim<'a>, Doer) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! cases {
    ($($reach:ident $name:ident($victim:ident, $doer:ident) $body:block)*) => {
        pub(crate) const CASES: &[(&str, crate::victim::Reach, crate::victim::Case)] = &[
            $((stringify!($name), crate::victim::Reach::$reach, |$victim, $doer| Box::pin(async move $body))),*
        ];
    };
}

pub(crate) fn integration_of(doer: &Doer) -> IntegrationId {
    doer.integration.unwrap()
}
