//! Administrators: nobody makes one above themselves, and the last owner stays.

use serde_json::{Value, json};

use crate::fixture::{owner, world};
use crate::world::Credential;

const PATH: &str = "/tenants/administrators";

#[tokio::test]
async fn nobody_makes_an_administrator_above_themselves() {
    let (world, f) = world().await;
    let before = world.rows();
    let make = async |who: &Credential, body: Value| world.ask(who, "POST", PATH, &body).await;
    let forbidden = (403, "forbidden".to_owned());
    for role in ["owner", "administrator", "helpdesk"] {
        let new = json!({"name": "x", "role": role});
        assert_eq!(make(&f.a.helpdesk, new).await.refusal(), forbidden, "{role}");
    }
    assert_eq!(make(&f.a.admin, json!({"name": "x", "role": "owner"})).await.refusal(), forbidden);
    let new = json!({"name": "x", "role": "owner", "tenant": f.a.tenant});
    assert_eq!(make(&f.a.admin, new.clone()).await.refusal(), forbidden);
    // An owner is of no tenant, and everybody else of one.
    assert_eq!(make(&f.owner, new).await.status, 422);
    assert_eq!(make(&f.owner, json!({"name": "x", "role": "helpdesk"})).await.status, 422);
    let new = json!({"name": "x", "role": "administrator", "tenant": f.b.tenant});
    assert_eq!(make(&f.a.admin, new).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(world.rows(), before);
    // Without a tenant it is one's own.
    let made = make(&f.a.admin, json!({"name": "x", "role": "administrator"})).await.ok();
    assert_eq!((&made["tenant"], &made["role"]), (&json!(f.a.tenant), &json!("administrator")));
    assert_eq!(make(&f.owner, json!({"name": "y", "role": "owner"})).await.ok()["tenant"], Value::Null);
}

#[tokio::test]
async fn an_owner_is_out_of_reach_for_others_and_the_last_one_stays() {
    let (world, f) = world().await;
    let remove = async |who: &Credential, pk: i64| {
        world.ask(who, "DELETE", &format!("{PATH}/{pk}"), &Value::Null).await
    };
    assert_eq!(remove(&f.a.admin, f.owner_pk).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(remove(&f.a.admin, f.b.admin_pk).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(remove(&f.a.helpdesk, f.a.helpdesk_pk).await.refusal(), (403, "forbidden".to_owned()));
    assert_eq!(remove(&f.owner, f.owner_pk).await.refusal(), (403, "forbidden".to_owned()));
    let (second, second_pk) = owner(&world, "second").await;
    assert_eq!(remove(&second, f.owner_pk).await.status, 204);
    assert_eq!(world.ask(&f.owner, "GET", "/tenants", &Value::Null).await.status, 401);
    assert_eq!(remove(&second, second_pk).await.refusal(), (403, "forbidden".to_owned()));
    assert_eq!(remove(&second, 999_999).await.status, 404);
    // The audit of the administrator's own tenant has it, whoever it was.
    assert_eq!(remove(&second, f.a.helpdesk_pk).await.status, 204);
    let [event, _, actor, _, detail] = world.audit(f.a.tenant).pop().unwrap();
    assert_eq!([event, actor, detail], ["administrator_removed", "admin:second", "aurora helpdesk"]);
    assert_eq!(world.ask(&f.a.helpdesk, "GET", "/tenants", &Value::Null).await.status, 401);
}

#[tokio::test]
async fn two_owners_cannot_remove_each_other() {
    let (world, f) = world().await;
    let (second, second_pk) = owner(&world, "second").await;
    let (one, other) = (format!("{PATH}/{second_pk}"), format!("{PATH}/{}", f.owner_pk));
    let (first, last) = tokio::join!(
        world.ask(&f.owner, "DELETE", &one, &Value::Null),
        world.ask(&second, "DELETE", &other, &Value::Null)
    );
    let mut statuses = [first.status.as_u16(), last.status.as_u16()];
    statuses.sort_unstable();
    assert!(matches!(statuses, [204, 401 | 403]), "{statuses:?}");
}

#[tokio::test]
async fn administrators_see_their_own_tenant_and_the_owner_all() {
    let (world, f) = world().await;
    let names = async |who: &Credential, path: &str| {
        let page = world.ask(who, "GET", path, &Value::Null).await.ok();
        let results = page["results"].as_array().unwrap().clone();
        results.iter().map(|found| found["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&f.a.admin, PATH).await, ["aurora administrator", "aurora helpdesk"]);
    assert_eq!(names(&f.owner, PATH).await.len(), 5);
    let of_b = format!("{PATH}?tenant={}", f.b.tenant);
    assert_eq!(names(&f.owner, &of_b).await, ["borealis administrator", "borealis helpdesk"]);
    assert_eq!(world.ask(&f.a.admin, "GET", &of_b, &Value::Null).await.status, 404);
    assert_eq!(names(&f.a.helpdesk, "/tenants").await, ["aurora"]);
    assert_eq!(names(&f.owner, "/tenants").await, ["default", "aurora", "borealis"]);
    assert_eq!(names(&f.a.helpdesk, "/tenants/integrations").await, ["aurora vpn", "aurora wiki"]);
    let unnamed = world.ask(&f.owner, "GET", "/tenants/integrations", &Value::Null).await;
    assert_eq!(unnamed.status, 422, "the owner has to say where");
}
