//! Security keys of the server while it is away: by their public halves, which came here with a login before.

use std::sync::atomic::{AtomicBool, Ordering};

use super::keys::{Page, decoded, here, judging};
use super::*;
use crate::token::soft::{Protocol, SoftKey};

/// A host at which ferris has touched the key of this page, and got in.
fn known(page: &Arc<Page>, server: &Scripted, more: &str) -> Daemon {
    let host = asking_with(server, more, "");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    assert_eq!(host.login_by(here(), &[""]).outcome, Outcome::Verified);
    host
}

/// Something that has happened, for the other side to see.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn raise(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_up(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn wait(&self) {
        let until = Instant::now() + SOON;
        while !self.is_up() {
            assert!(Instant::now() < until, "it did not happen");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A host at which ferris got in by this key once more, without the server.
fn touched_while_away(page: &Arc<Page>) -> Daemon {
    let server = Scripted::start(Identity::Right, judging(&[page], Vec::new(), "touch"));
    let host = known(page, &server, "");
    server.stop();
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Verified);
    host
}

fn round(host: &Daemon) {
    courier::round(&host.live, &host.live.in_force().server.unwrap()).unwrap();
}

#[test]
fn a_key_lets_in_without_the_server_once_for_each_touch() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], Vec::new(), "touch"));
    let host = known(&page, &server, "");
    server.stop();
    page.key.touch();
    let ended = host.login_by(here(), &[]);
    assert_eq!((ended.outcome, ended.prompts.len()), (Outcome::Verified, 0), "{ended:?}");
    assert_eq!(host.waiting(), ["offline_touch"]);
    let waiting = host.live.store.waiting_events(1).unwrap().remove(0);
    let told: Value = serde_json::from_str(waiting.assertion.as_deref().unwrap()).unwrap();
    assert_eq!(told["device"], 9, "by the number that the server has for it");
    let (said, data) = (decoded(&told["client_data"]), decoded(&told["authenticator_data"]));
    assert!(page.signed(&said, &data, &decoded(&told["signature"])));
    let words: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!((&words["origin"], &words["type"]), (&json!("oss2fa:host"), &json!("webauthn.get")));
    // A copy of the key counts as it did before.
    let behind = page.key.inside().count - 1;
    page.key.inside().count = behind;
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Refused);
    assert!(host.events().contains(&"cloned_key".to_owned()), "{:?}", host.events());
    // Who is elsewhere has no key in this host, and nothing else that counts.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Unavailable);
}

#[test]
fn it_counts_with_the_proof_that_the_server_is_away_alone() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], Vec::new(), "touch");
    let broken = Flag::default();
    let now_broken = broken.clone();
    let server = Scripted::start(Identity::Right, move |asked, before| match now_broken.is_up() {
        true => refused(500, "internal"),
        false => usual(asked, before),
    });
    let host = known(&page, &server, "");
    broken.raise();
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Unavailable);
    assert_eq!(host.waiting(), Vec::<String>::new());
}

#[test]
fn nobody_is_known_who_did_not_get_in_here() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], vec![device(7, "TOTP", None)], "touch"));
    let host = asking(&server, "");
    assert_eq!(host.login_by(here(), &["000000"]).outcome, Outcome::Refused);
    server.stop();
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Unavailable);
}

#[test]
fn what_the_server_has_removed_is_gone_at_the_next_contact() {
    // By the courier; by a login of the same user that is refused; by one of a user who has nothing left there.
    for (by_login, others) in [(false, 1), (true, 1), (true, 0)] {
        let page = Page::new(1, 9);
        let others = vec![device(7, "TOTP", None); others];
        let with_key = judging(&[&page], others.clone(), "touch");
        let without = judging(&[], others.clone(), "touch");
        let nothing = others.is_empty();
        let removed = Flag::default();
        let now_removed = removed.clone();
        let server = Scripted::start(Identity::Right, move |asked, before| {
            if asked.path == "/integrations/host-events" {
                return Reaction::Answer(200, json!({"recorded": 1}));
            }
            match now_removed.is_up() {
                true if nothing && asked.path.ends_with("/auth") => {
                    Reaction::Answer(200, json!({"result": 1, "devices": []}))
                }
                true => without(asked, before),
                false => with_key(asked, before),
            }
        });
        let host = known(&page, &server, "");
        round(&host);
        assert_eq!(host.live.store.users_with_server_keys().unwrap(), ["ferris"], "it is listed");
        removed.raise();
        match by_login {
            true => assert_ne!(host.login_by(here(), &["000000"]).outcome, Outcome::Verified),
            false => round(&host),
        }
        assert!(host.live.store.users_with_server_keys().unwrap().is_empty());
        assert!(host.events().contains(&"offline_revoked".to_owned()));
        server.stop();
        page.key.touch();
        assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Unavailable, "{by_login}");
    }
}

#[test]
fn what_was_touched_meanwhile_is_told_with_what_the_key_has_signed() {
    let page = Page::new(1, 9);
    let host = touched_while_away(&page);
    // It is back, and hears of it before it says what became of the keys.
    let without = judging(&[], Vec::new(), "touch");
    let back = Scripted::start(Identity::Right, move |asked, before| match asked.path.as_str() {
        "/integrations/host-events" => Reaction::Answer(200, json!({"recorded": 1})),
        _ => without(asked, before),
    });
    let asking = asking(&back, "");
    courier::round(&host.live, &asking.live.in_force().server.unwrap()).unwrap();
    let told = &server_events(&back)[0];
    assert_eq!((&told["event"], &told["username"]), (&json!("offline_touch"), &json!("ferris")));
    assert!(told["detail"].as_str().unwrap().starts_with("fido2 device="), "{told}");
    let signed = &told["assertion"];
    assert_eq!(signed["device"], 9);
    let part = |name: &str| decoded(&signed[name]);
    assert!(page.signed(&part("client_data"), &part("authenticator_data"), &part("signature")));
    assert!(host.waiting().is_empty());
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "it was removed meanwhile");
}

fn server_events(server: &Scripted) -> Vec<Value> {
    let told = server.asked_for("/integrations/host-events").into_iter();
    told.flat_map(|asked| asked.body["events"].as_array().unwrap().clone()).collect()
}

#[test]
fn a_pin_is_asked_where_the_server_wanted_it() {
    let page = Page::of(SoftKey::new(Protocol::Both, 1).with_pin("2580"), 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], Vec::new(), "user"));
    let host = asking(&server, "");
    host.hub.plug_in("blue", &page.key);
    page.key.touch();
    assert_eq!(host.login_by(here(), &["2580"]).outcome, Outcome::Verified);
    server.stop();
    page.key.touch();
    let ended = host.login_by(here(), &["2580"]);
    assert_eq!((ended.outcome, ended.prompts.len()), (Outcome::Verified, 1), "{ended:?}");
}

#[test]
fn a_service_that_passes_without_the_server_asks_for_the_key_that_could_be_touched() {
    let page = Page::new(1, 9);
    let server = Scripted::start(Identity::Right, judging(&[&page], Vec::new(), "touch"));
    let host = known(&page, &server, "fail_open_services = [\"sudo\", \"sshd\"]");
    server.stop();
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Verified);
    assert_eq!(host.waiting(), ["offline_touch"]);
    // Nobody from afar can touch it: that the administrator has decided.
    assert_eq!(host.login(&[]).outcome, Outcome::Skipped);
}

#[test]
fn an_offline_code_stands_beside_the_key() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let server = Scripted::start(Identity::Right, move |asked, before| {
        match asked.path.starts_with("/integrations/offline-credentials")
            || asked.path.starts_with("/integrations/clients") && !asked.path.ends_with("/auth")
        {
            true => listing("active")(asked, before),
            false => usual(asked, before),
        }
    });
    let host = known(&page, &server, "");
    let (device, secret) = enroll_offline(&host);
    assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
    server.stop();
    host.hub.pull_out("blue");
    let ended = host.login_by(here(), &[&hotp(&secret, 1)]);
    assert_eq!(ended.outcome, Outcome::Verified, "{ended:?}");
    assert!(ended.prompts[0].contains("The server cannot be reached."), "{ended:?}");
    assert_eq!(host.waiting(), ["offline_code"]);
    let listed = match admin::answer(
        &host.live,
        Caller::Root,
        Request::Remove { user: "ferris".to_owned(), device: DeviceId(-1), proof: None },
    ) {
        Response::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(listed, RefusalCode::UnknownDevice, "a key of the server is changed there");
}

#[test]
fn whom_the_server_denies_has_no_key_at_this_host_from_then_on() {
    let page = Page::new(1, 9);
    let usual = judging(&[&page], Vec::new(), "touch");
    let denied = Flag::default();
    let now_denied = denied.clone();
    let server = Scripted::start(Identity::Right, move |asked, before| {
        match now_denied.is_up() && asked.path.ends_with("/auth") {
            true => Reaction::Answer(200, json!({"result": 4, "devices": []})),
            false => usual(asked, before),
        }
    });
    let host = known(&page, &server, "");
    denied.raise();
    // From elsewhere, too.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused);
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty());
    assert!(host.events().contains(&"offline_revoked".to_owned()), "{:?}", host.events());
    server.stop();
    page.key.touch();
    assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Unavailable);
}

#[test]
fn the_courier_keeps_no_key_that_no_login_has_kept() {
    let (blue, red) = (Page::new(1, 9), Page::new(2, 10));
    let both = judging(&[&blue, &red], Vec::new(), "touch");
    let one = judging(&[&blue], Vec::new(), "touch");
    let (enrolled, listing, dropped) = (Flag::default(), Flag::default(), Flag::default());
    let (now_enrolled, is_listing, was_dropped) = (enrolled.clone(), listing.clone(), dropped.clone());
    let server = Scripted::start(Identity::Right, move |asked, before| match asked.path.as_str() {
        path if path.ends_with("/auth") && is_listing.is_up() => {
            Reaction::Answer(200, json!({"result": 4, "devices": []}))
        }
        path if path.contains("security-keys") && now_enrolled.is_up() => {
            let listed = both(asked, before);
            if before > 2 {
                is_listing.raise();
                was_dropped.wait();
            }
            listed
        }
        _ => one(asked, before),
    });
    let host = known(&blue, &server, "");
    enrolled.raise();
    // A key that is new at the server.
    round(&host);
    assert_eq!(host.events().iter().filter(|event| *event == "key_kept").count(), 1, "{:?}", host.events());
    // One that goes by a login while the courier hears that it is there.
    assert!(!listing.is_up());
    thread::scope(|scope| {
        let courier = scope.spawn(|| round(&host));
        listing.wait();
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused);
        assert!(host.live.store.users_with_server_keys().unwrap().is_empty());
        dropped.raise();
        courier.join().unwrap();
    });
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "{:?}", host.events());
}

#[test]
fn an_event_that_the_server_does_not_take_stops_no_revocation() {
    let page = Page::new(1, 9);
    let host = touched_while_away(&page);
    let without = judging(&[], Vec::new(), "touch");
    let back = Scripted::start(Identity::Right, move |asked, before| match asked.path.as_str() {
        "/integrations/host-events" => refused(400, "bad_request"),
        _ => without(asked, before),
    });
    let asking = asking(&back, "");
    assert!(courier::round(&host.live, &asking.live.in_force().server.unwrap()).is_err());
    assert_eq!(host.waiting(), ["offline_touch"], "it is told again");
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "and the key is gone");
}

#[test]
fn a_key_that_is_removed_while_its_owner_logs_in_is_not_kept_by_that_login() {
    let page = Page::new(1, 9);
    let with_key = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let without = judging(&[], vec![device(7, "TOTP", None)], "touch");
    let removed = Flag::default();
    let server = Scripted::start(Identity::Right, move |asked, before| {
        if asked.path == "/integrations/clients/verify" {
            removed.raise();
        }
        if removed.is_up() { without(asked, before) } else { with_key(asked, before) }
    });
    let host = asking(&server, "");
    assert_eq!(host.login_by(here(), &["123456"]).outcome, Outcome::Verified);
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "{:?}", host.events());
}

#[test]
fn what_the_courier_has_dropped_is_not_kept_again_by_a_login_that_began_before() {
    let page = Page::new(1, 9);
    let with_key = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let without = judging(&[], vec![device(7, "TOTP", None)], "touch");
    let (proving, removed, dropped) = (Flag::default(), Flag::default(), Flag::default());
    let (is_proving, was_removed, was_dropped) = (proving.clone(), removed.clone(), dropped.clone());
    let server = Scripted::start(Identity::Right, move |asked, before| {
        if asked.path == "/integrations/clients/verify" {
            is_proving.raise();
            was_dropped.wait();
        }
        if was_removed.is_up() { without(asked, before) } else { with_key(asked, before) }
    });
    let host = known(&page, &server, "");
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login_by(here(), &["123456"]));
        proving.wait();
        removed.raise();
        round(&host);
        assert!(host.live.store.users_with_server_keys().unwrap().is_empty());
        dropped.raise();
        assert_eq!(login.join().unwrap().outcome, Outcome::Verified);
    });
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "{:?}", host.events());
}

#[test]
fn a_list_that_is_under_way_while_another_says_less_is_asked_for_again() {
    let page = Page::new(1, 9);
    let with_key = judging(&[&page], vec![device(7, "TOTP", None)], "touch");
    let without = judging(&[], vec![device(7, "TOTP", None)], "touch");
    let (listing, heard) = (Flag::default(), Flag::default());
    let (is_listing, was_heard) = (listing.clone(), heard.clone());
    let server = Scripted::start(Identity::Right, move |asked, before| {
        // The first is that of the look-up, the second comes with the proof.
        if asked.path.contains("security-keys") && before == 1 {
            is_listing.raise();
            was_heard.wait();
            return with_key(asked, before);
        }
        if is_listing.is_up() { without(asked, before) } else { with_key(asked, before) }
    });
    let host = asking(&server, "");
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login_by(here(), &["123456"]));
        listing.wait();
        // Another login of the same user, which is left, has heard that there is no key any more.
        assert_eq!(host.login_by(here(), &[]).outcome, Outcome::Refused);
        heard.raise();
        assert_eq!(login.join().unwrap().outcome, Outcome::Verified);
    });
    assert!(host.live.store.users_with_server_keys().unwrap().is_empty(), "{:?}", host.events());
}
