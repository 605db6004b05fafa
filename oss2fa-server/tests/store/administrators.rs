//! Administrators: known by what proves them, of one tenant or of the server.

use oss2fa_server::ids::TenantId;
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::verbs::administrators::RemovedAdministrator;
use oss2fa_server::store::verbs::administrators::{
    Administrator, AuthenticateAdministrator, CreateAdministrator, ListAdministrators, RemoveAdministrator,
    Role,
};
use oss2fa_server::store::verbs::integrations::Authenticate;
use oss2fa_server::store::verbs::tenants::Created;
use oss2fa_server::store::verbs::{Doer, Page};

use crate::sow::tenant;
use crate::world::{World, digests};

clauses!(known_until_removed, only_into_a_tenant_that_is_there);

fn create(
    world: &World,
    tenant: Option<TenantId>,
    name: &str,
    role: Role,
    number: u8,
) -> CreateAdministrator {
    let own = tenant.unwrap_or(oss2fa_server::ids::SERVER);
    CreateAdministrator {
        doer: Doer { tenant: own, ..world.server() },
        tenant,
        name: name.to_owned(),
        role,
        credentials: digests(number),
    }
}

async fn made(store: &Store, create: CreateAdministrator) -> Administrator {
    match store.write(create).await.unwrap() {
        Created::New(made) => made,
        Created::NameTaken => panic!("taken"),
    }
}

async fn known_until_removed(world: &World) {
    let store = world.begun().await;
    let own = tenant(world, &store, 1).await;
    let owner = made(&store, create(world, None, "owner", Role::Owner, 20)).await;
    let ada = made(&store, create(world, Some(own.tenant), "ada", Role::Administrator, 21)).await;
    let help = made(&store, create(world, Some(own.tenant), "help", Role::Helpdesk, 22)).await;
    let known = async |by| store.read(AuthenticateAdministrator(by)).await.unwrap();
    let pair = |number, secret| Authenticate::Pair { access_key: format!("key{number}"), secret };
    assert_eq!(known(Authenticate::Token([20; 32])).await.as_ref(), Some(&owner));
    assert_eq!(known(pair(22, digests(22).secret)).await.as_ref(), Some(&help));
    assert_eq!(known(pair(22, digests(21).secret)).await, None);
    assert_eq!((owner.tenant, ada.tenant, help.role), (None, Some(own.tenant), Role::Helpdesk));
    // An integration's token is none of an administrator.
    assert_eq!(known(Authenticate::Token([1; 32])).await, None);
    let names = async |tenant| -> Vec<String> {
        let list = ListAdministrators { tenant, page: Page { after: 0, limit: 10 } };
        store.read(list).await.unwrap().into_iter().map(|found| found.name).collect()
    };
    assert_eq!(names(None).await, ["owner", "ada", "help"]);
    assert_eq!(names(Some(own.tenant)).await, ["ada", "help"]);
    let remove = |administrator| RemoveAdministrator {
        doer: Doer { tenant: own.tenant, ..world.server() },
        tenant: Some(own.tenant),
        administrator,
    };
    assert_eq!(
        store.write(remove(owner.pk)).await.unwrap(),
        RemovedAdministrator::NotThere,
        "not from a tenant"
    );
    assert_eq!(store.write(remove(ada.pk)).await.unwrap(), RemovedAdministrator::Done);
    assert_eq!(known(Authenticate::Token([21; 32])).await, None);
    assert_eq!(names(Some(own.tenant)).await, ["help"]);
}

async fn only_into_a_tenant_that_is_there(world: &World) {
    let store = world.begun().await;
    let refused = store.write(create(world, Some(TenantId(77)), "ada", Role::Administrator, 20)).await;
    assert!(matches!(refused, Err(StoreError::NoKeys(77))), "{refused:?}");
    made(&store, create(world, None, "owner", Role::Owner, 20)).await;
    let again = store.write(create(world, None, "owner", Role::Owner, 21)).await.unwrap();
    assert_eq!(again, Created::NameTaken);
}
