//! Pages: whatever their size, everything comes exactly once.

use serde_json::{Value, json};

use crate::fixture::{enroll, world};
use crate::world::{Credential, World};

async fn all(world: &World, who: &Credential, path: &str, limit: usize) -> Vec<i64> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let sign = if path.contains('?') { '&' } else { '?' };
        let page =
            world.ask(who, "GET", &format!("{path}{sign}limit={limit}{cursor}"), &Value::Null).await.ok();
        let results = page["results"].as_array().expect("results");
        assert!(results.len() <= limit, "{path}: {} on a page of {limit}", results.len());
        found.extend(results.iter().map(|result| result["pk"].as_i64().expect("a number")));
        match &page["next"] {
            Value::Null => return found,
            next => {
                assert_eq!(results.len(), limit, "{path}: a page that is not full has a next one");
                cursor = format!("&cursor={next}");
            }
        }
    }
}

#[tokio::test]
async fn everything_comes_exactly_once_on_pages_of_any_size() {
    let (world, f) = world().await;
    let (mut tenants, mut integrations, mut administrators) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..5 {
        let post = async |path: &str, body: Value| world.ask(&f.owner, "POST", path, &body).await.pk();
        tenants.push(post("/tenants", json!({"name": format!("t{n}")})).await);
        let new = json!({"name": format!("i{n}"), "tenant": f.a.tenant});
        integrations.push(post("/tenants/integrations", new).await);
        let new = json!({"name": format!("a{n}"), "role": "helpdesk", "tenant": f.a.tenant});
        administrators.push(post("/tenants/administrators", new).await);
    }
    let mut clients = vec![f.a.client];
    for (n, last) in ["A", "B", "C", "D", "E", "F"].into_iter().enumerate() {
        // The other integrations have clients, too, between those that are listed.
        let secret = format!("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ{last}");
        clients.push(enroll(&world, &f.a.token, &format!("client{n}"), &secret).await);
        enroll(&world, &f.a.sibling, &format!("client{n}"), &secret.replace("GEZ", "MEZ")).await;
    }
    let (t, i, a) = (
        "/tenants".to_owned(),
        format!("/tenants/integrations?tenant={}", f.a.tenant),
        format!("/tenants/administrators?tenant={}", f.a.tenant),
    );
    let c = format!("/integrations/clients?integration={}", f.a.integration);
    for (path, least, exact) in
        [(t, &tenants, 8), (i, &integrations, 7), (a, &administrators, 7), (c, &clients, 7)]
    {
        let whole = all(&world, &f.owner, &path, 200).await;
        assert_eq!(whole.len(), exact, "{path}: {whole:?}");
        assert!(whole.is_sorted_by(|one, next| one < next), "{path}: {whole:?}");
        assert!(least.iter().all(|pk| whole.contains(pk)), "{path}: {whole:?} without some of {least:?}");
        for limit in [1, 2, 3, exact, exact + 1] {
            assert_eq!(all(&world, &f.owner, &path, limit).await, whole, "{path} by {limit}");
        }
    }
    assert_eq!(all(&world, &f.a.admin, "/tenants", 1).await, [f.a.tenant]);
    assert_eq!(all(&world, &f.a.token, "/integrations/clients", 2).await, clients);
}

#[tokio::test]
async fn a_client_is_found_by_its_name_in_any_spelling() {
    let (world, f) = world().await;
    for spelling in ["ann.aurora", "ANN.Aurora", "%EF%BD%81nn.aurora"] {
        let path = format!("/integrations/clients?username={spelling}");
        let found = world.ask(&f.a.token, "GET", &path, &Value::Null).await.ok();
        assert_eq!(found["results"][0]["pk"], f.a.client, "{spelling}");
        assert_eq!(found["results"].as_array().unwrap().len(), 1, "{spelling}");
    }
    let none =
        world.ask(&f.b.token, "GET", "/integrations/clients?username=ann.aurora", &Value::Null).await.ok();
    assert_eq!(none, json!({"results": [], "next": null}));
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let (world, f) = world().await;
    for query in
        ["limit=0", "limit=201", "limit=-1", "limit=x", "cursor=-1", "cursor=x", "cursor=9223372036854775808"]
    {
        let answer =
            world.ask(&f.a.token, "GET", &format!("/integrations/clients?{query}"), &Value::Null).await;
        assert_eq!(answer.refusal(), (400, "bad_request".to_owned()), "{query}");
    }
    let path = "/integrations/clients?cursor=9223372036854775807";
    let last = world.ask(&f.a.token, "GET", path, &Value::Null).await.ok();
    assert_eq!(last, json!({"results": [], "next": null}));
}
