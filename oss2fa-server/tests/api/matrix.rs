//! Deny by default: every operation of the documentation, asked by everybody.

use std::collections::BTreeSet;

use oss2fa_server::http::router::documentation;
use serde_json::Value;

use crate::fixture::{CANARY, Fixture, world};
use crate::operations::{Admits, OPERATIONS, Operation, Role};
use crate::world::{Answer, Credential, World};

/// Everybody who could ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Principal {
    Nobody,
    Stranger,
    Integration,
    IntegrationByPair,
    SiblingIntegration,
    ForeignIntegration,
    Helpdesk,
    Administrator,
    ForeignHelpdesk,
    ForeignAdministrator,
    Owner,
}

use Principal::{
    Administrator, ForeignAdministrator, ForeignHelpdesk, ForeignIntegration, Helpdesk, Integration,
    IntegrationByPair, Nobody, Owner, SiblingIntegration, Stranger,
};

const EVERYBODY: [Principal; 11] = [
    Nobody,
    Stranger,
    Integration,
    IntegrationByPair,
    SiblingIntegration,
    ForeignIntegration,
    Helpdesk,
    Administrator,
    ForeignHelpdesk,
    ForeignAdministrator,
    Owner,
];

impl Principal {
    fn credential(self, f: &Fixture, operation: &Operation) -> Credential {
        let bad = "0123456789abcdef0123456789abcdef01234567".to_owned();
        match self {
            Nobody => Credential::Nothing,
            Stranger if operation.route.contains(" /tenants") => Credential::Admin(bad),
            Stranger => Credential::Integration(bad),
            Integration => f.a.token.clone(),
            IntegrationByPair => f.a.pair.clone(),
            SiblingIntegration => f.a.sibling.clone(),
            ForeignIntegration => f.b.token.clone(),
            Helpdesk => f.a.helpdesk.clone(),
            Administrator => f.a.admin.clone(),
            ForeignHelpdesk => f.b.helpdesk.clone(),
            ForeignAdministrator => f.b.admin.clone(),
            Owner => f.owner.clone(),
        }
    }

    fn role(self) -> Option<Role> {
        match self {
            Helpdesk | ForeignHelpdesk => Some(Role::Helpdesk),
            Administrator | ForeignAdministrator => Some(Role::Administrator),
            Owner => Some(Role::Owner),
            Nobody | Stranger | Integration | IntegrationByPair | SiblingIntegration | ForeignIntegration => {
                None
            }
        }
    }

    fn is_foreign(self) -> bool {
        matches!(self, ForeignIntegration | ForeignHelpdesk | ForeignAdministrator)
    }
}

const IN: u16 = 200;

/// What the table promises.
fn expected(principal: Principal, admits: Admits) -> u16 {
    use Admits::{
        Administrators, AnyAdministrators, AnyDesk, AnyIntegration, Anybody, Desk, Everyone,
        Integration as Own,
    };
    let is_integration = matches!(principal, Integration | IntegrationByPair);
    let is_other_integration = matches!(principal, SiblingIntegration | ForeignIntegration);
    let allowed = |roles: &[Role]| principal.role().is_some_and(|role| roles.contains(&role));
    match admits {
        Everyone => IN,
        _ if matches!(principal, Nobody | Stranger) => 401,
        Anybody => IN,
        Own | AnyIntegration if principal.role().is_some() => 401,
        Desk(_) | AnyDesk(_) | Own | AnyIntegration if is_integration => IN,
        AnyDesk(_) | AnyIntegration if is_other_integration => IN,
        Desk(_) | Own if is_other_integration => 404,
        // The integration that they name is not there for them, whatever they may do with their own.
        Desk(_) | AnyDesk(_) if principal.is_foreign() => 404,
        Administrators(_) | AnyAdministrators(_) if principal.role().is_none() => 401,
        // Whose role does not allow the action learns that, and nothing of the thing.
        Desk(roles) | AnyDesk(roles) | Administrators(roles) | AnyAdministrators(roles)
            if !allowed(roles) =>
        {
            403
        }
        Administrators(_) if principal.is_foreign() => 404,
        Desk(_) | AnyDesk(_) | Administrators(_) | AnyAdministrators(_) => IN,
        Own | AnyIntegration => panic!("{principal:?} is nobody that the table knows"),
    }
}

async fn ask(world: &World, f: &Fixture, operation: &Operation, principal: Principal) -> Answer {
    ask_marked(world, f, operation, principal, Credential::Nothing).await
}

async fn ask_marked(
    world: &World,
    f: &Fixture,
    operation: &Operation,
    principal: Principal,
    mark: Credential,
) -> Answer {
    let (mut path, body) = (operation.request)(f);
    if operation.is_desk() && principal.role().is_some() {
        let first = if path.contains('?') { '&' } else { '?' };
        path = format!("{path}{first}integration={}", f.a.integration);
    }
    let who = principal.credential(f, operation);
    world.ask_with(&[&who, &mark], operation.method(), &path, &body).await
}

fn check(operation: &Operation, principal: Principal, answer: &Answer) {
    let what = format!("{} by {principal:?}: {answer:?}", operation.route);
    match expected(principal, operation.admits) {
        IN => assert!(answer.status.is_success(), "{what}"),
        401 => assert_eq!(answer.refusal(), (401, "unauthorized".to_owned()), "{what}"),
        403 => assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{what}"),
        404 => assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{what}"),
        other => panic!("{other}: {what}"),
    }
    if principal.is_foreign() {
        assert!(!answer.text.contains(CANARY), "another tenant's name is in the answer: {what}");
    }
}

fn documented() -> BTreeSet<String> {
    let api = serde_json::to_value(documentation()).unwrap();
    let paths = api["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
            let here = methods.into_iter().filter(|method| item.get(method).is_some_and(Value::is_object));
            here.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn every_operation_is_in_the_table() {
    let table: BTreeSet<String> = OPERATIONS.iter().map(|operation| operation.route.to_owned()).collect();
    assert_eq!(documented(), table, "left: the documentation; right: tests/api/operations.rs");
    assert_eq!(table.len(), OPERATIONS.len(), "an operation stands twice in the table");
}

#[tokio::test]
async fn row_39_whoever_is_not_named_is_refused_and_changes_nothing() {
    for operation in OPERATIONS {
        let (world, f) = world().await;
        let before = world.rows();
        for principal in EVERYBODY {
            if expected(principal, operation.admits) == IN {
                continue;
            }
            check(operation, principal, &ask(&world, &f, operation, principal).await);
            assert_eq!(
                world.rows(),
                before,
                "{} by {principal:?} was refused and changed rows",
                operation.route
            );
        }
    }
}

#[tokio::test]
async fn whoever_is_named_is_let_in() {
    let mut seen = String::new();
    for operation in OPERATIONS {
        let mut let_in = Vec::new();
        for principal in EVERYBODY {
            if expected(principal, operation.admits) != IN {
                continue;
            }
            let (world, f) = world().await;
            check(operation, principal, &ask(&world, &f, operation, principal).await);
            let_in.push(match principal {
                Nobody => "everyone",
                Integration => "integration",
                Helpdesk => "helpdesk",
                Administrator => "administrator",
                Owner => "owner",
                // They ask in their own place, or by another header.
                Stranger | IntegrationByPair | SiblingIntegration | ForeignIntegration | ForeignHelpdesk
                | ForeignAdministrator => continue,
            });
        }
        let who = if let_in.contains(&"everyone") { "everyone".to_owned() } else { let_in.join(", ") };
        let (method, path) = operation.route.split_once(' ').unwrap();
        seen.push_str(&format!("{method:6} {path:52} {who}\n"));
    }
    insta::assert_snapshot!("who_may_do_what", seen);
}

#[tokio::test]
async fn nobody_gets_the_answer_of_another_by_the_mark_of_the_request() {
    let mark = Credential::SentBefore("one-and-the-same".to_owned());
    for operation in OPERATIONS.iter().filter(|operation| operation.method() != "GET") {
        let (world, f) = world().await;
        let entitled = [Integration, Owner].into_iter().find(|who| expected(*who, operation.admits) == IN);
        let entitled = entitled.expect("an integration or the owner may do everything");
        let first = ask_marked(&world, &f, operation, entitled, mark.clone()).await;
        check(operation, entitled, &first);
        for principal in EVERYBODY.into_iter().filter(|who| expected(*who, operation.admits) != IN) {
            let answer = ask_marked(&world, &f, operation, principal, mark.clone()).await;
            let what = format!("{} by {principal:?}: {answer:?}", operation.route);
            // Some have gone with the tenant.
            assert!(matches!(answer.status.as_u16(), 401 | 403 | 404), "{what}");
            assert!(!answer.headers.contains_key("idempotency-replayed"), "{what}");
        }
        let again = ask_marked(&world, &f, operation, entitled, mark.clone()).await;
        assert_eq!((again.status, again.text), (first.status, first.text), "{}", operation.route);
    }
}

#[tokio::test]
async fn where_administrators_manage_the_clients_the_integration_only_reads() {
    let (world, f) = world().await;
    let path = format!("/tenants/integrations/{}/policy", f.a.integration);
    let policy = serde_json::json!({"clients_managed_by": "administrators"});
    world.ask(&f.a.admin, "PUT", &path, &policy).await.ok();
    let before = world.rows();
    for operation in OPERATIONS.iter().filter(|operation| operation.is_desk()) {
        let answer = ask(&world, &f, operation, Integration).await;
        if operation.method() == "GET" {
            answer.ok();
        } else {
            assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{}", operation.route);
        }
    }
    assert_eq!(world.rows(), before);
    let unlock = format!("/integrations/clients/{}/unlock?integration={}", f.a.client, f.a.integration);
    world.ask(&f.a.helpdesk, "POST", &unlock, &Value::Null).await.ok();
}
