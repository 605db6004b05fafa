//! The audit as administrators read it.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use oss2fa_server::ids::{IntegrationId, TenantId};
use oss2fa_server::listen::ClientSocket;
use oss2fa_server::outside::Clock;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::Sql;
use oss2fa_server::store::verb::{Tx, Verb};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::administrators::Role;
use serde_json::Value;
use tower::ServiceExt;

use crate::world::World;

const TENANT: TenantId = TenantId(1);

/// So many events at once: every tenth is of another name.
struct Happen(Doer, u32);

impl Verb for Happen {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        let Self(doer, many) = self;
        tx.events.extend((0..*many).map(|n| {
            let name = if n % 10 == 0 { "ferris" } else { "corro" };
            doer.event("happened", name, format!("number {n}, \u{fc}n\u{ef}code and \"quotes\""))
        }));
        Ok(())
    }
}

async fn happen(world: &World, many: u32) {
    let doer = Doer { integration: Some(IntegrationId(1)), ..world.doer(TENANT) };
    world.store.write(Happen(doer, many)).await.unwrap();
}

fn lines(path: &str, admin: &str) -> Request<Body> {
    let mut request = Request::get(path)
        .header("X-Admin-Token", admin)
        .header("Accept", "application/x-ndjson")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(ClientSocket("192.0.2.7:40000".parse().unwrap()));
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_the_stream_say_the_same_and_all_of_it() {
    let world = World::new().await;
    happen(&world, 2345).await;
    let admin = world.admin(Some(TENANT), Role::Helpdesk, "desk").await;
    let all = world.number("SELECT count(*) FROM audit WHERE tenant = 1");
    let mut paged: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = world.look(&admin, &format!("/tenants/audit?limit=200{cursor}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let page = reply.json();
        paged.extend(page["results"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_i64() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged.len() as i64, all);
    assert!(paged.iter().zip(1..).all(|(event, seq)| event["seq"] == seq));
    let reply = world.send(lines("/tenants/audit", &admin)).await;
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let streamed: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(streamed, paged);
    // After a number, and only of one client.
    let reply = world.send(lines("/tenants/audit?cursor=1000&username=Ferris", &admin)).await;
    let text = String::from_utf8(reply.body.to_vec()).unwrap();
    let sql = "SELECT count(*) FROM audit WHERE tenant = 1 AND seq > 1000 AND username = 'ferris'";
    assert_eq!(text.lines().count() as i64, world.number(sql));
    assert!(text.lines().all(|line| line.contains("\"username\":\"ferris\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_they_name() {
    let world = World::new().await;
    happen(&world, 30).await;
    let before = world.clock.now().to_rfc3339();
    world.clock.by(3600);
    happen(&world, 3000).await;
    let after = world.clock.now().to_rfc3339();
    let admin = world.admin(None, Role::Owner, "root").await;
    let found = async |query: &str| {
        let reply = world.look(&admin, &format!("/tenants/audit?tenant=1&limit=200&{query}")).await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {reply:?}");
        reply.json()
    };
    let many = |page: &Value| page["results"].as_array().unwrap().len();
    assert_eq!(many(&found(&format!("event=happened&username=ferris&until={after}")).await), 3);
    assert_eq!(many(&found("event=tenant_created").await), 1);
    assert_eq!(many(&found("event=nothing").await), 0);
    assert_eq!(many(&found("integration=2").await), 0);
    assert_eq!(many(&found(&format!("integration=1&until={after}")).await), 31);
    assert_eq!(many(&found(&format!("since={before}&until={before}")).await), 0);
    // The first of 200 lie beyond a thousand others.
    let page = found(&format!("since={after}&username=ferris")).await;
    assert_eq!(many(&page), 200);
    let rest = found(&format!("since={after}&username=ferris&cursor={}", page["next"])).await;
    assert_eq!((many(&rest), rest["next"].is_null()), (100, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let admin = world.admin(None, Role::Owner, "root").await;
    for (query, status) in [
        ("since=yesterday", 400),
        ("until=2020-01-01", 400),
        ("username=a%20b", 422),
        ("integration=x", 400),
        ("limit=0", 400),
        ("limit=201", 400),
        ("cursor=-1", 400),
        ("event=a%00b", 400),
    ] {
        let reply = world.look(&admin, &format!("/tenants/audit?tenant=1&{query}")).await;
        assert_eq!(reply.status.as_u16(), status, "{query}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_the_audit_of_others() {
    let world = World::new().await;
    let (other, ..) = world.tenant("other").await;
    let owner = world.admin(None, Role::Owner, "root").await;
    let own = world.admin(Some(TENANT), Role::Administrator, "ada").await;
    let foreign = world.admin(Some(other), Role::Helpdesk, "otto").await;
    for path in ["/tenants/audit", "/tenants/audit/verify"] {
        for (who, query, status) in [
            (&owner, "", 422),
            (&owner, "?tenant=1", 200),
            (&owner, "?tenant=0", 200),
            (&owner, "?tenant=77", 404),
            (&own, "", 200),
            (&own, "?tenant=1", 200),
            (&own, "?tenant=0", 404),
            (&own, &format!("?tenant={other}"), 404),
            (&foreign, "?tenant=1", 404),
            (&world.token, "", 401),
        ] {
            let reply = world.look(who, &format!("{path}{query}")).await;
            assert_eq!(reply.status.as_u16(), status, "{path}{query}: {reply:?}");
        }
        let request = Request::get(path).header("X-Integration-Token", &world.token);
        assert_eq!(world.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
    }
    let reply = world.look(&foreign, "/tenants/audit").await.json();
    let first = &reply["results"][0];
    assert_eq!((&first["event"], &first["detail"]), (&"tenant_created".into(), &"other".into()));
    let reply = world.send(lines("/tenants/audit?tenant=1", &foreign)).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_what_was_there_at_its_beginning() {
    let world = World::new().await;
    happen(&world, 5000).await;
    let admin = world.admin(Some(TENANT), Role::Administrator, "ada").await;
    let head = world.number("SELECT seq FROM audit_head WHERE tenant = 1");
    let response = world.router.clone().oneshot(lines("/tenants/audit", &admin)).await.unwrap();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    // Nobody takes more for a while: what comes meanwhile is not part of it.
    happen(&world, 500).await;
    let rest = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8([first, rest].concat()).unwrap();
    assert_eq!(text.lines().count() as i64, head);
    assert!(text.lines().last().unwrap().starts_with(&format!("{{\"seq\":{head},")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_hand_is_found() {
    let world = World::new().await;
    happen(&world, 1500).await;
    let admin = world.admin(Some(TENANT), Role::Helpdesk, "desk").await;
    let head = world.number("SELECT seq FROM audit_head WHERE tenant = 1");
    let verdict = world.look(&admin, "/tenants/audit/verify").await;
    assert_eq!((verdict.status, &verdict.json()["whole"]["events"]), (StatusCode::OK, &head.into()));
    let newest = verdict.json()["whole"]["chain"].as_str().unwrap().to_owned();
    let page = world.look(&admin, &format!("/tenants/audit?cursor={}", head - 1)).await.json();
    assert_eq!(page["results"][0]["chain"], newest.as_str(), "the hash that an operator notes down");
    let changed = world.database().execute("UPDATE audit SET username = 'mallory' WHERE seq = 1202", []);
    assert_eq!(changed.unwrap(), 1);
    let verdict = world.look(&admin, "/tenants/audit/verify").await.json();
    assert_eq!(verdict["broken"]["at"], 1202, "{verdict}");
    world.database().execute("DELETE FROM audit WHERE seq = 3", []).unwrap();
    let verdict = world.look(&admin, "/tenants/audit/verify").await.json();
    assert_eq!(verdict["broken"]["at"], 3, "{verdict}");
}
