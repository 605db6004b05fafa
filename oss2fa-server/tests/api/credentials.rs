//! What proves who asks: one credential, shown once, worthless at once when it is replaced or removed.

use serde_json::{Value, json};

use crate::fixture::world;
use crate::world::Credential;

#[tokio::test]
async fn two_credentials_at_once_are_none() {
    let (world, f) = world().await;
    let path = format!("/integrations/clients?integration={}", f.a.integration);
    let every = [&f.a.token, &f.a.pair, &f.a.admin, &f.owner];
    for (n, one) in every.iter().enumerate() {
        for other in &every[n..] {
            for path in
                [path.as_str(), "/integrations/clients", "/tenants", "/devices-kind", "/integrations/policy"]
            {
                let answer = world.ask_with(&[one, other], "GET", path, &Value::Null).await;
                assert_eq!(
                    answer.refusal(),
                    (401, "unauthorized".to_owned()),
                    "{path} with {one:?} and {other:?}"
                );
            }
        }
    }
    for one in every {
        world.ask(one, "GET", "/devices-kind", &Value::Null).await.ok();
    }
}

#[tokio::test]
async fn a_desk_has_whoever_it_says() {
    let (world, f) = world().await;
    let get = async |who: &Credential, path: &str| world.ask(who, "GET", path, &Value::Null).await;
    let clients = "/integrations/clients";
    let named = |pk: i64| format!("{clients}?integration={pk}");
    assert_eq!(get(&f.a.admin, clients).await.refusal(), (400, "bad_request".to_owned()));
    assert_eq!(get(&f.a.admin, &format!("{clients}?integration=x")).await.status, 400);
    get(&f.a.token, &named(f.a.integration)).await.ok();
    // What an integration names besides itself is not there, and not silently its own.
    assert_eq!(get(&f.a.token, &named(f.b.integration)).await.refusal(), (404, "not_found".to_owned()));
    assert_eq!(get(&f.b.admin, &named(f.a.integration)).await.status, 404);
    assert_eq!(get(&f.a.admin, &named(999_999)).await.status, 404);
    // By its pair as by its token.
    for path in [clients, &named(f.a.integration)] {
        assert_eq!(get(&f.a.pair, path).await.ok()["results"][0]["pk"], f.a.client);
    }
    assert_eq!(get(&f.a.pair, &named(f.b.integration)).await.refusal(), (404, "not_found".to_owned()));
    let unlock = format!("{clients}/{}/unlock?integration={}", f.a.client, f.a.integration);
    let key = Credential::SentBefore("once".to_owned());
    let unlocked = world.ask_with(&[&f.a.pair, &key], "POST", &unlock, &Value::Null).await;
    assert_eq!(unlocked.status, 204, "{unlocked:?}");
    // A name that stands twice is read once, by one reader.
    let twice = format!("{}&integration={}", named(f.a.integration), f.b.integration);
    let found = get(&f.a.admin, &twice).await.ok();
    assert_eq!(found["results"][0]["pk"], f.a.client);
    // Each kind of token is good for its own header alone.
    let (Credential::Admin(admin), Credential::Integration(token)) = (&f.a.admin, &f.a.token) else {
        panic!()
    };
    assert_eq!(get(&Credential::Integration(admin.clone()), clients).await.status, 401);
    assert_eq!(get(&Credential::Admin(token.clone()), "/tenants").await.status, 401);
}

#[tokio::test]
async fn an_administrator_has_a_pair_too() {
    let (world, f) = world().await;
    let new = json!({"name": "jane", "role": "administrator", "tenant": f.a.tenant});
    let made = world.ask(&f.owner, "POST", "/tenants/administrators", &new).await.ok();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let pair = Credential::Pair(text("access_key"), text("secret_key"));
    let tenants = world.ask(&pair, "GET", "/tenants", &Value::Null).await.ok();
    assert_eq!(tenants["results"][0]["pk"], f.a.tenant);
    let path = format!("/integrations/clients?integration={}", f.a.integration);
    world.ask(&pair, "GET", &path, &Value::Null).await.ok();
    // All kinds, as by the token; those that policy offers for an integration, by its pair as well.
    let kinds = async |who: &Credential| world.ask(who, "GET", "/devices-kind", &Value::Null).await.ok();
    let policy = format!("/tenants/integrations/{}/policy", f.a.integration);
    world.ask(&f.a.admin, "PUT", &policy, &json!({"device_kinds": ["TOTP"]})).await.ok();
    assert_eq!(kinds(&pair).await, kinds(&f.a.admin).await);
    assert_eq!(kinds(&f.a.pair).await.as_array().unwrap().len(), 1);
    let wrong = Credential::Pair(text("access_key"), text("token"));
    assert_eq!(world.ask(&wrong, "GET", "/devices-kind", &Value::Null).await.status, 401);
    assert_eq!(world.ask(&wrong, "GET", "/tenants", &Value::Null).await.status, 401);
}

#[tokio::test]
async fn what_proves_somebody_is_shown_once_and_stored_nowhere() {
    let (world, f) = world().await;
    let new = json!({"name": "shown once", "tenant": f.a.tenant});
    let made = world.ask(&f.owner, "POST", "/tenants/integrations", &new).await.ok();
    let path = format!("/tenants/integrations/{}", made["pk"]);
    let rotated = world.ask(&f.owner, "POST", &format!("{path}/rotate-token"), &Value::Null).await.ok();
    let new = json!({"name": "shown once", "role": "helpdesk", "tenant": f.a.tenant});
    let hired = world.ask(&f.owner, "POST", "/tenants/administrators", &new).await.ok();
    let mut secrets = Vec::new();
    for shown in [&made, &rotated, &hired] {
        for name in ["token", "access_key", "secret_key"] {
            let text = shown[name].as_str().expect(name).to_owned();
            assert!(text.len() == 40 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "{name}");
            if name != "access_key" {
                secrets.push(text);
            }
        }
    }
    assert_ne!(made["token"], rotated["token"]);
    assert_ne!(made["secret_key"], rotated["secret_key"]);
    let mut seen = world.rows();
    for path in
        [path.as_str(), "/tenants/administrators", &format!("/tenants/integrations?tenant={}", f.a.tenant)]
    {
        seen.push_str(&world.ask(&f.owner, "GET", path, &Value::Null).await.text);
    }
    seen.push_str(&format!("{:?}", world.audit(f.a.tenant)));
    assert!(seen.contains(rotated["access_key"].as_str().unwrap()), "the look-up finds what it should");
    for secret in secrets {
        assert!(!seen.contains(&secret), "a secret is shown again, or stored");
    }
}

#[tokio::test]
async fn row_52_a_replaced_token_is_worth_nothing_at_once() {
    let (world, f) = world().await;
    let get =
        async |who: &Credential| world.ask(who, "GET", "/integrations/policy", &Value::Null).await.status;
    assert_eq!(
        (get(&f.a.token).await, get(&f.a.pair).await),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    let path = format!("/tenants/integrations/{}/rotate-token", f.a.integration);
    let rotated = world.ask(&f.a.admin, "POST", &path, &Value::Null).await.ok();
    assert_eq!(
        (get(&f.a.token).await, get(&f.a.pair).await),
        (401.try_into().unwrap(), 401.try_into().unwrap())
    );
    let text = |name: &str| rotated[name].as_str().unwrap().to_owned();
    assert_eq!(get(&Credential::Integration(text("token"))).await, 200);
    assert_eq!(get(&Credential::Pair(text("access_key"), text("secret_key"))).await, 200);
    assert_eq!(get(&f.b.token).await, 200);
}

#[tokio::test]
async fn row_46_a_changed_policy_holds_at_once() {
    let (world, f) = world().await;
    let get = async || world.ask(&f.a.token, "GET", "/integrations/policy", &Value::Null).await;
    assert_eq!(get().await.ok()["attempts"], 5);
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    let put = async |policy: Value| world.ask(&f.a.admin, "PUT", &path, &policy).await.ok();
    assert_eq!(put(json!({"attempts": 2})).await["attempts"], 2);
    assert_eq!(get().await.ok()["attempts"], 2);
    put(json!({"api_networks": ["198.51.100.0/24"]})).await;
    assert_eq!(get().await.refusal(), (403, "forbidden".to_owned()));
    put(json!({})).await;
    assert_eq!(get().await.ok()["attempts"], 5, "what is left out has its default again");
}

#[tokio::test]
async fn row_56_nothing_of_a_removed_tenant_or_integration_is_let_in() {
    let (world, f) = world().await;
    let get =
        async |who: &Credential, path: &str| world.ask(who, "GET", path, &Value::Null).await.status.as_u16();
    let policy = "/integrations/policy";
    for who in [&f.a.token, &f.a.pair, &f.a.sibling] {
        assert_eq!(get(who, policy).await, 200);
    }
    let integration = format!("/tenants/integrations/{}", f.a.integration);
    assert_eq!(world.ask(&f.a.admin, "DELETE", &integration, &Value::Null).await.status, 204);
    assert_eq!((get(&f.a.token, policy).await, get(&f.a.pair, policy).await), (401, 401));
    assert_eq!(get(&f.a.sibling, policy).await, 200);
    assert_eq!(get(&f.a.admin, &integration).await, 404);
    let tenant = format!("/tenants/{}", f.a.tenant);
    assert_eq!(world.ask(&f.owner, "DELETE", &tenant, &Value::Null).await.status, 204);
    assert_eq!(get(&f.a.sibling, policy).await, 401);
    assert_eq!((get(&f.a.admin, "/tenants").await, get(&f.a.helpdesk, "/tenants").await), (401, 401));
    assert_eq!(get(&f.owner, &tenant).await, 404);
    assert!(!world.rows().contains("aurora"), "a row of the tenant is left");
    assert!(world.audit(f.a.tenant).is_empty());
    let own = world.audit(0);
    let [event, _, actor, source, detail] = own.last().unwrap();
    let removed = format!("tenant={}", f.a.tenant);
    assert_eq!(
        [event, actor, source, detail],
        ["tenant_removed", "admin:root", "192.0.2.7", removed.as_str()]
    );
    // The other tenant has not noticed.
    assert_eq!((get(&f.b.token, policy).await, get(&f.b.admin, "/tenants").await), (200, 200));
    let verify = json!({"username": f.b.username, "token": f.b.answer});
    world.ask(&f.b.token, "POST", "/integrations/clients/verify", &verify).await.ok();
}
