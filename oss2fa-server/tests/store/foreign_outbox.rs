//! The cases of `foreign.rs` about what waits and what is remembered: audit, locks, webhooks, retries.

use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_server::store::audit::{AuditFilter, AuditHead, AuditSpan};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::deliveries::{ClaimDeliveries, Outcome, Settle};
use oss2fa_server::store::verbs::idempotency::{
    Keep, KeptAnswer, Marked, Principal, Release, Reserve, Reserved,
};
use oss2fa_server::store::verbs::locks::LocksOf;
use oss2fa_server::store::verbs::tenants::Removed;
use oss2fa_server::store::verbs::webhooks::{CreateWebhook, CreatedWebhook, ListWebhooks, RemoveWebhook};

use crate::everything::marked;
use crate::raw::number;
use crate::victim::{Victim, integration_of};

/// The victim's request, as somebody else would send it again.
fn theirs(victim: &Victim<'_>, doer: &Doer) -> Marked {
    Marked {
        tenant: doer.tenant,
        principal: Principal::Integration(integration_of(doer)),
        ..marked(victim.world, victim.own)
    }
}

cases! {
    Tenant AuditHead(victim, doer) {
        let head = victim.store.read(AuditHead { tenant: doer.tenant }).await.unwrap();
        let theirs = format!("SELECT max(seq) FROM audit WHERE tenant = {}", doer.tenant);
        assert_eq!(head, number(victim.store, theirs).await);
    }
    Tenant AuditSpan(victim, doer) {
        let span = AuditSpan {
            tenant: doer.tenant,
            after: 0,
            last: i64::MAX,
            limit: 1000,
            filter: AuditFilter { username: Some("ferris".to_owned()), ..AuditFilter::default() },
        };
        let found = victim.store.read(span).await.unwrap();
        assert!(found.iter().all(|entry| entry.event != "enrolled"), "{found:?}");
    }
    Tenant LocksOf(victim, doer) {
        let of = |tenant| LocksOf { tenant, client: victim.client };
        assert_ne!(victim.store.read(of(victim.own.tenant)).await.unwrap(), []);
        assert_eq!(victim.store.read(of(doer.tenant)).await.unwrap(), []);
    }
    Tenant CreateWebhook(victim, doer) {
        let create = CreateWebhook {
            doer,
            integration: victim.own.integration,
            url: "https://example.net/stolen".to_owned(),
            origin: "https://example.net".to_owned(),
            secret: SecretText::new("0".repeat(40)),
        };
        assert_eq!(victim.store.write(create).await.unwrap(), CreatedWebhook::NotThere);
    }
    Tenant ListWebhooks(victim, doer) {
        let list = |tenant| ListWebhooks { tenant, integration: victim.own.integration };
        assert_eq!(victim.store.read(list(victim.own.tenant)).await.unwrap().len(), 1);
        assert_eq!(victim.store.read(list(doer.tenant)).await.unwrap(), []);
    }
    Integration RemoveWebhook(victim, doer) {
        let remove = RemoveWebhook { integration: integration_of(&doer), doer, webhook: victim.webhook };
        assert_eq!(victim.store.write(remove).await.unwrap(), Removed::NotThere);
    }
    Tenant ClaimDeliveries(victim, doer) {
        let claim = ClaimDeliveries {
            tenant: doer.tenant,
            webhook: victim.webhook,
            now: doer.now,
            until: doer.now.after(60),
            most: 8,
        };
        let claimed = victim.store.write(claim).await.unwrap();
        assert!(claimed.is_none(), "{claimed:?}");
    }
    Tenant Settle(victim, doer) {
        let waiting = format!("SELECT min(pk) FROM webhook_delivery WHERE webhook = {}", victim.webhook);
        let delivery = number(victim.store, waiting).await;
        for outcome in [Outcome::Delivered, Outcome::Again(doer.now.after(60)), Outcome::GivenUp] {
            let settle = Settle {
                tenant: doer.tenant,
                webhook: victim.webhook,
                integration: victim.own.integration,
                now: doer.now,
                outcomes: vec![(delivery, outcome)],
                failure: Some(("of a stranger".to_owned(), doer.now.after(60))),
            };
            victim.store.write(settle).await.unwrap();
        }
    }
    Integration Reserve(victim, doer) {
        // The same word is a key of their own.
        let reserved = victim.store.write(Reserve(theirs(victim, &doer))).await.unwrap();
        assert!(matches!(reserved, Reserved::Yours), "{reserved:?}");
        victim.store.write(Release(theirs(victim, &doer))).await.unwrap();
    }
    Integration Keep(victim, doer) {
        let body = SecretBytes::new(b"of a stranger".to_vec());
        let answer = KeptAnswer { status: 200, headers: Vec::new(), body };
        victim.store.write(Keep { marked: theirs(victim, &doer), answer }).await.unwrap();
    }
    Integration Release(victim, doer) {
        victim.store.write(Release(theirs(victim, &doer))).await.unwrap();
    }
}
