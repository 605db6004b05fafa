//! Apps on both databases: a seed, its tokens, who may see it, and what happens to it.

use std::sync::Arc;

use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_server::config::{SeedReads, TokenUse, UngleichOtpConfig};
use oss2fa_server::device::Kinds;
use oss2fa_server::device::app::Seed;
use oss2fa_server::ids::AppUuid;
use oss2fa_server::message::{Delivery, Messenger};
use oss2fa_server::outside::{System, Timestamp};
use oss2fa_server::service::Service;
use oss2fa_server::service::apps::own::{AppName, NewApp};
use oss2fa_server::service::apps::{AppClaim, Apps, Denied, Door, Reason, Verdict, home};
use oss2fa_server::store::Store;
use oss2fa_server::store::audit::{AuditFilter, AuditPage};
use oss2fa_server::store::verbs::Doer;
use oss2fa_server::store::verbs::apps::{AppChange, ChangeApp, Registered, TakeSeed, TakenSeed, Trusted};
use oss2fa_server::store::verbs::clients::{ChangeClient, ClientChange, ClientStatus, FindByName};
use oss2fa_server::store::verbs::tenants::Removed;

use crate::raw::{change, number};
use crate::sow::name;
use crate::world::World;

clauses!(
    a_token_lets_in_as_often_as_it_is_shown,
    a_single_use_token_lets_in_once,
    the_window_is_as_wide_as_it_is_set,
    only_a_trusted_app_asks_about_others,
    whoever_is_inactive_removed_or_without_a_device_is_refused,
    wrong_tokens_lock_the_app_and_not_the_one_that_asks,
    a_seed_is_shown_as_often_as_the_policy_says,
    nothing_is_written_for_a_token_that_was_accepted_a_moment_ago,
    a_seed_that_was_removed_does_not_bring_its_used_tokens_back,
    of_two_who_ask_at_once_one_sees_a_seed_that_is_shown_once,
);

/// The secret of RFC 6238, appendix B, and its codes of 6 digits at the times of the appendix.
const RFC_SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const RFC_TOKENS: [(i64, &str); 3] = [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")];
/// One that it does not have at those times.
const WRONG: &str = "000000";

const ADDRESS: Door = Door::Rest(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

/// Apps of a store, by these rules.
struct Made {
    store: Arc<Store>,
    apps: Apps,
}

fn rules(tokens: TokenUse, seed_reads: SeedReads) -> UngleichOtpConfig {
    UngleichOtpConfig { window: 1, tokens, seed_reads, bus: None }
}

fn apps(store: &Arc<Store>, rules: &UngleichOtpConfig) -> Apps {
    let config = oss2fa_server::config::Config::parse(
        std::path::Path::new("/server.toml"),
        "",
        oss2fa_server::config::Overrides::default(),
    );
    let delivery = Delivery::configured(&config.unwrap(), Arc::new(System), Arc::new(System)).unwrap();
    let messenger: Arc<dyn Messenger> = Arc::new(delivery);
    let service = Service {
        store: Arc::clone(store),
        kinds: Kinds::all(),
        messenger,
        authority: Arc::new(oss2fa_server::yubico::Nobody),
        clock: Arc::new(System),
        mail_subject: "Your code".into(),
    };
    Apps::new(service, rules)
}

impl Made {
    async fn with(world: &World, rules: &UngleichOtpConfig) -> Self {
        let store = Arc::new(world.begun().await);
        Self { apps: apps(&store, rules), store }
    }

    async fn new(world: &World) -> Self {
        Self::with(world, &rules(TokenUse::WithinStep, SeedReads::Always)).await
    }

    async fn doer(&self, now: Timestamp) -> Doer {
        let home = home::found_or_made(&self.store, "cli", now).await.unwrap();
        let (actor, source) = ("cli".to_owned(), String::new());
        Doer {
            tenant: home.tenant,
            integration: Some(home.pk),
            actor: actor.into(),
            source,
            now,
            whereabouts: Default::default(),
        }
    }

    async fn app_with(&self, user: &str, trusted: Trusted, seed: &str) -> AppUuid {
        let new = NewApp { name: AppName::parse("web app").unwrap(), username: name(user), trusted };
        let seed = Seed::parse(seed).unwrap();
        let register = new.register(self.doer(at(0)).await, &seed, &System).unwrap();
        match self.store.write(register).await.unwrap() {
            Registered::New(app) => app.appuuid,
            other => panic!("{other:?}"),
        }
    }

    /// One whose seed the tests have no tokens of.
    async fn other(&self, user: &str) -> AppUuid {
        let seed = Seed::generate(&System).unwrap();
        self.app_with(user, Trusted::No, seed.text().expose()).await
    }

    async fn requester(&self, app: &AppUuid, token: &str, now: Timestamp) -> Result<(), Reason> {
        match self.apps.requester(ADDRESS, &claim(app, token), now).await {
            Ok(_) => Ok(()),
            Err(Denied::Refused(reason)) => Err(reason),
            Err(Denied::Failed(error)) => panic!("{error}"),
        }
    }

    async fn events(&self) -> Vec<String> {
        let tenant = self.doer(at(0)).await.tenant;
        let page = AuditPage { tenant, after: 0, limit: 1000, filter: AuditFilter::default() };
        self.store.read(page).await.unwrap().into_iter().map(|entry| entry.event).collect()
    }
}

fn claim(app: &AppUuid, token: &str) -> AppClaim {
    AppClaim { appuuid: app.as_str().to_owned(), token: SecretText::new(token.to_owned()) }
}

/// An independent check: the seed's own token by RFC 4226, with what the tests have of HMAC elsewhere.
fn token(seed: &str, seconds: i64) -> String {
    let secret = SecretBytes::new(data_encoding::BASE32_NOPAD.decode(seed.as_bytes()).unwrap());
    let secret = data_encoding::HEXLOWER.encode(secret.expose());
    let said = std::process::Command::new("oathtool")
        .args(["--totp", &secret, "--now", &format!("@{seconds}")])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

async fn a_token_lets_in_as_often_as_it_is_shown(world: &World) {
    let made = Made::new(world).await;
    let app = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    for (seconds, token) in RFC_TOKENS {
        for _ in 0..3 {
            assert_eq!(made.requester(&app, token, at(seconds)).await, Ok(()), "{seconds}");
        }
        assert_eq!(made.requester(&app, WRONG, at(seconds)).await, Err(Reason::Requester), "{seconds}");
    }
    let upper = AppClaim {
        appuuid: app.as_str().to_ascii_uppercase(),
        token: SecretText::new(RFC_TOKENS[2].1.to_owned()),
    };
    assert!(made.apps.requester(ADDRESS, &upper, at(RFC_TOKENS[2].0)).await.is_ok());
    for stranger in ["", "not a uuid", "00000000-0000-4000-8000-000000000000"] {
        let claim = AppClaim { appuuid: stranger.to_owned(), ..claim(&app, RFC_TOKENS[2].1) };
        let refused = made.apps.requester(ADDRESS, &claim, at(RFC_TOKENS[2].0)).await;
        assert!(matches!(refused, Err(Denied::Refused(Reason::Requester))), "{stranger}");
    }
}

async fn a_single_use_token_lets_in_once(world: &World) {
    let made = Made::with(world, &rules(TokenUse::Once, SeedReads::Always)).await;
    let app = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    for (seconds, token) in RFC_TOKENS {
        assert_eq!(made.requester(&app, token, at(seconds)).await, Ok(()), "{seconds}");
        assert_eq!(made.requester(&app, token, at(seconds)).await, Err(Reason::Requester), "{seconds}");
    }
    // Of many at once, one.
    let later = 2_000_000_100;
    let next = token(RFC_SEED, later);
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (apps, claim) = (made.apps.clone(), claim(&app, &next));
        tries.spawn(async move { apps.requester(ADDRESS, &claim, at(later)).await.is_ok() });
    }
    assert_eq!(tries.join_all().await.into_iter().filter(|accepted| *accepted).count(), 1);
}

async fn the_window_is_as_wide_as_it_is_set(world: &World) {
    let store = Arc::new(world.begun().await);
    let now = 1_999_999_995;
    for window in [0_u8, 1, 3] {
        let rules = UngleichOtpConfig { window, ..rules(TokenUse::WithinStep, SeedReads::Always) };
        let made = Made { apps: apps(&store, &rules), store: Arc::clone(&store) };
        for steps in -4_i64..=4 {
            // An app for each, so that no wrong token locks it.
            let seed = Seed::generate(&System).unwrap().text();
            let app = made.app_with("ferris", Trusted::No, seed.expose()).await;
            let shown = token(seed.expose(), now + 30 * steps);
            let expected = steps.unsigned_abs() <= u64::from(window);
            let got = made.requester(&app, &shown, at(now)).await.is_ok();
            assert_eq!(got, expected, "window {window}, {steps} steps");
        }
    }
}

async fn only_a_trusted_app_asks_about_others(world: &World) {
    let made = Made::new(world).await;
    let (seconds, token_of) = RFC_TOKENS[2];
    let now = at(seconds);
    let asking = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    let seed = Seed::generate(&System).unwrap().text();
    let other = made.app_with("corro", Trusted::No, seed.expose()).await;
    let right = token(seed.expose(), seconds);
    let ask = async |door, requester: &AppClaim, about: &AppClaim| {
        made.apps.verify(door, requester, about, now).await.unwrap()
    };
    let (me, it) = (claim(&asking, token_of), claim(&other, &right));
    assert_eq!(ask(ADDRESS, &me, &it).await, Verdict::Fail(Reason::Untrusted));
    let doer = made.doer(now).await;
    let trust =
        |trusted| ChangeApp { doer: doer.clone(), app: asking.clone(), change: AppChange::Trust(trusted) };
    assert_eq!(made.store.write(trust(Trusted::Yes)).await.unwrap(), Removed::Done);
    for door in [ADDRESS, Door::Bus] {
        assert_eq!(ask(door, &me, &it).await, Verdict::Ok);
        assert_eq!(ask(door, &me, &me).await, Verdict::Ok);
        assert_eq!(ask(door, &me, &claim(&other, WRONG)).await, Verdict::Fail(Reason::About));
        assert_eq!(ask(door, &me, &claim(&asking, &right)).await, Verdict::Fail(Reason::About));
        assert_eq!(ask(door, &me, &claim(&other, "")).await, Verdict::Fail(Reason::About));
        assert_eq!(ask(door, &claim(&asking, &right), &it).await, Verdict::Fail(Reason::Requester));
        assert_eq!(ask(door, &it, &me).await, Verdict::Fail(Reason::Untrusted));
    }
    assert_eq!(made.store.write(trust(Trusted::No)).await.unwrap(), Removed::Done);
    assert_eq!(ask(ADDRESS, &me, &it).await, Verdict::Fail(Reason::Untrusted));
    let events = made.events().await;
    for expected in ["app_registered", "app_trusted", "app_untrusted", "accepted", "refused"] {
        assert!(events.iter().any(|event| event == expected), "{expected} in {events:?}");
    }
}

async fn whoever_is_inactive_removed_or_without_a_device_is_refused(world: &World) {
    let made = Made::new(world).await;
    let (seconds, right) = RFC_TOKENS[2];
    let now = at(seconds);
    let app = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    let doer = made.doer(now).await;
    let find =
        FindByName { tenant: doer.tenant, integration: doer.integration.unwrap(), username: app.username() };
    let (client, devices) = made.store.read(find).await.unwrap().unwrap();
    assert_eq!((devices.len(), devices[0].kind.as_str()), (1, "TOTP"));
    let turn = async |change| {
        let change = ChangeClient { doer: doer.clone(), client: client.pk, change };
        assert_eq!(made.store.write(change).await.unwrap(), Removed::Done);
    };
    assert_eq!(made.requester(&app, right, now).await, Ok(()));
    turn(ClientChange::Status(ClientStatus::Inactive)).await;
    assert_eq!(made.requester(&app, right, now).await, Err(Reason::Requester));
    turn(ClientChange::Status(ClientStatus::Active)).await;
    assert_eq!(made.requester(&app, right, now).await, Ok(()));
    // Whom a person would be let in without a factor: an app is not.
    turn(ClientChange::Status(ClientStatus::Bypass)).await;
    assert_eq!(made.requester(&app, WRONG, now).await, Err(Reason::Requester));
    assert_eq!(made.requester(&app, right, now).await, Ok(()));
    turn(ClientChange::RemoveDevice(devices[0].pk)).await;
    assert_eq!(made.requester(&app, right, now).await, Err(Reason::Requester));
    // A new seed helps.
    let seed = Seed::generate(&System).unwrap();
    let device = Box::new(seed.device());
    let rotate = ChangeApp { doer: doer.clone(), app: app.clone(), change: AppChange::Seed(device) };
    assert_eq!(made.store.write(rotate).await.unwrap(), Removed::Done);
    let fresh = token(seed.text().expose(), seconds);
    assert_eq!(made.requester(&app, &fresh, now).await, Ok(()));
    turn(ClientChange::Remove).await;
    assert_eq!(made.requester(&app, &fresh, now).await, Err(Reason::Requester));
    assert_eq!(number(&made.store, "SELECT count(*) FROM app").await, 0);
}

async fn wrong_tokens_lock_the_app_and_not_the_one_that_asks(world: &World) {
    let made = Made::new(world).await;
    let (seconds, right) = RFC_TOKENS[2];
    let now = at(seconds);
    let asking = made.app_with("ferris", Trusted::Yes, RFC_SEED).await;
    let seed = Seed::generate(&System).unwrap().text();
    let other = made.app_with("corro", Trusted::No, seed.expose()).await;
    let (me, it) = (claim(&asking, right), claim(&other, &token(seed.expose(), seconds)));
    let ask = async |about: &AppClaim| made.apps.verify(Door::Bus, &me, about, now).await.unwrap();
    assert_eq!(ask(&it).await, Verdict::Ok);
    for _ in 0..20 {
        assert_eq!(ask(&claim(&other, WRONG)).await, Verdict::Fail(Reason::About));
    }
    assert_eq!(ask(&it).await, Verdict::Fail(Reason::About), "it is locked");
    assert!(made.events().await.iter().any(|event| event == "locked"));
    // Strangers' tokens for many unknown apps, too, do not lock out whoever asks.
    for n in 0..150 {
        let stranger = AppUuid::parse(&format!("00000000-0000-4000-8000-{n:012x}")).unwrap();
        assert_eq!(ask(&claim(&stranger, WRONG)).await, Verdict::Fail(Reason::About));
    }
    assert_eq!(ask(&me).await, Verdict::Ok);
    // It releases by itself, and by an administrator at once.
    let doer = made.doer(now).await;
    let (tenant, integration) = (doer.tenant, doer.integration.unwrap());
    let find = FindByName { tenant, integration, username: other.username() };
    let (client, _) = made.store.read(find).await.unwrap().unwrap();
    let unlock = ChangeClient { doer, client: client.pk, change: ClientChange::Unlock };
    assert_eq!(made.store.write(unlock).await.unwrap(), Removed::Done);
    assert_eq!(ask(&it).await, Verdict::Ok);
}

async fn a_seed_is_shown_as_often_as_the_policy_says(world: &World) {
    let store = Arc::new(world.begun().await);
    let (seconds, right) = RFC_TOKENS[2];
    let now = at(seconds);
    let made =
        |reads| Made { apps: apps(&store, &rules(TokenUse::WithinStep, reads)), store: Arc::clone(&store) };
    let (always, once, first) =
        (made(SeedReads::Always), made(SeedReads::Once), made(SeedReads::UntilFirstUse));
    let asking = always.app_with("ferris", Trusted::No, RFC_SEED).await;
    let foreign = always.other("corro").await;
    let new = always.other("ferris").await;
    let read = async |from: &Made, app: &AppUuid| {
        let requester = from.apps.requester(ADDRESS, &claim(&asking, right), now).await.unwrap();
        match from.apps.seed(&requester, app.as_str()).await {
            Ok(seed) => Ok(seed.expose().to_owned()),
            Err(Denied::Refused(reason)) => Err(reason),
            Err(Denied::Failed(error)) => panic!("{error}"),
        }
    };
    let seen = read(&once, &new).await.unwrap();
    assert_eq!(seen.len(), 32);
    assert_eq!(read(&once, &new).await, Err(Reason::SeedSpent));
    for _ in 0..3 {
        assert_eq!(read(&always, &new).await.as_ref(), Ok(&seen));
        assert_eq!(read(&first, &new).await.as_ref(), Ok(&seen));
    }
    assert_eq!(always.requester(&new, &token(&seen, seconds), now).await, Ok(()), "it is that app's seed");
    assert_eq!(read(&first, &new).await, Err(Reason::SeedSpent));
    assert_eq!(read(&always, &new).await.as_ref(), Ok(&seen));
    // Its own, which it has just used, and those of others.
    assert_eq!(read(&always, &asking).await.as_deref(), Ok(RFC_SEED));
    assert_eq!(read(&first, &asking).await, Err(Reason::SeedSpent));
    for made in [&always, &once, &first] {
        assert_eq!(read(made, &foreign).await, Err(Reason::NotThere));
    }
    let shown = always.events().await.iter().filter(|event| *event == "seed_read").count();
    assert_eq!(shown, 1 + 3 + 3 + 1 + 1);
}

async fn nothing_is_written_for_a_token_that_was_accepted_a_moment_ago(world: &World) {
    let made = Made::new(world).await;
    let (seconds, right) = RFC_TOKENS[2];
    let app = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    assert_eq!(made.requester(&app, right, at(seconds)).await, Ok(()));
    let before = crate::raw::dump(&made.store, made.doer(at(0)).await.tenant).await;
    for _ in 0..100 {
        assert_eq!(made.requester(&app, right, at(seconds + 1)).await, Ok(()));
    }
    assert_eq!(crate::raw::dump(&made.store, made.doer(at(0)).await.tenant).await, before);
    // After some minutes its use is written down once more.
    let later = seconds + 301;
    assert_eq!(made.requester(&app, &token(RFC_SEED, later), at(later)).await, Ok(()));
    let accepted = made.events().await.iter().filter(|event| *event == "accepted").count();
    assert_eq!(accepted, 2);
    // A lock that is closed is not passed by, and one that is open again is cleared.
    change(&made.store, format!("UPDATE lock SET locked_until = {}", at(later + 60).0)).await;
    assert_eq!(made.requester(&app, WRONG, at(later)).await, Err(Reason::Requester));
    change(&made.store, format!("UPDATE lock SET locked_until = {}", at(later + 60).0)).await;
    assert_eq!(made.requester(&app, &token(RFC_SEED, later), at(later)).await, Err(Reason::Requester));
    change(&made.store, "UPDATE lock SET locked_until = 0").await;
    assert_eq!(made.requester(&app, &token(RFC_SEED, later), at(later)).await, Ok(()));
    assert_eq!(
        number(&made.store, "SELECT count(*) FROM lock WHERE scope LIKE '%192.0.2.7' AND client IS NOT NULL")
            .await,
        0
    );
}

async fn a_seed_that_was_removed_does_not_bring_its_used_tokens_back(world: &World) {
    let made = Made::with(world, &rules(TokenUse::Once, SeedReads::Always)).await;
    let (seconds, right) = RFC_TOKENS[2];
    let now = at(seconds);
    let app = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    assert_eq!(made.requester(&app, right, now).await, Ok(()));
    let remove = ChangeApp { doer: made.doer(now).await, app: app.clone(), change: AppChange::Remove };
    assert_eq!(made.store.write(remove).await.unwrap(), Removed::Done);
    let again = made.app_with("ferris", Trusted::No, RFC_SEED).await;
    assert_eq!(made.requester(&again, right, now).await, Err(Reason::Requester));
    let later = seconds + 30;
    assert_eq!(made.requester(&again, &token(RFC_SEED, later), at(later)).await, Ok(()));
    // Two apps of one seed would take each token twice.
    let new = NewApp { name: AppName::parse("x").unwrap(), username: name("corro"), trusted: Trusted::No };
    let twin = new.register(made.doer(now).await, &Seed::parse(RFC_SEED).unwrap(), &System).unwrap();
    assert_eq!(made.store.write(twin).await.unwrap(), Registered::SeedInUse);
}

async fn of_two_who_ask_at_once_one_sees_a_seed_that_is_shown_once(world: &World) {
    let made = Made::new(world).await;
    let app = made.other("ferris").await;
    let doer = made.doer(at(1)).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (store, doer, app) = (Arc::clone(&made.store), doer.clone(), app.clone());
        asking.spawn(async move {
            let take = TakeSeed { doer, app, username: None, reads: Some(SeedReads::Once) };
            matches!(store.write(take).await.unwrap(), TakenSeed::Material(_))
        });
    }
    assert_eq!(asking.join_all().await.into_iter().filter(|seen| *seen).count(), 1);
}
