//! Codes for the time without a server, break-glass accounts, and what is told and dropped afterwards.

use super::*;

#[test]
fn an_offline_code_counts_once_and_only_while_the_server_is_proved_away() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let host = asking(&server, "");
    let (device, secret) = enroll_offline(&host);
    assert!(device.0 < 0, "{device}");
    assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
    let noted = &server.asked_for("/integrations/offline-credentials")[0];
    assert_eq!(
        noted.body,
        json!({"username": "ferris", "host": "tower", "name": "offline"}),
        "and no secret"
    );
    // While the server answers it is a wrong code, and the server's business.
    let online = host.login(&[&hotp(&secret, 1)]);
    assert_eq!(online.outcome, Outcome::Refused);
    assert!(!prompt_offline(&online), "{online:?}");
    server.stop();
    let right = hotp(&secret, 2);
    let first = host.login(&[&right]);
    assert_eq!(first.outcome, Outcome::Verified);
    assert!(prompt_offline(&first), "{first:?}");
    assert_eq!(host.login(&[&right]).outcome, Outcome::Refused, "used");
    assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Refused, "passed over");
    // The server's own codes do not count without it.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused);
    assert_eq!(host.waiting(), ["offline_code", "offline_refused", "offline_refused", "offline_refused"]);
    for _ in 0..2 {
        assert_eq!(host.login(&["000000"]).outcome, Outcome::Refused);
    }
    assert_eq!(host.login(&[&hotp(&secret, 3)]).outcome, Outcome::Locked, "tries are counted here");
}

#[test]
fn what_the_server_has_revoked_is_gone_here_and_what_happened_is_told_once() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let pin = format!("pinned_certificate = {:?}", server.fingerprint);
    let host = host(&[server.url()], &pin, "", "");
    let (device, secret) = enroll_offline(&host);
    assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
    let asked = host.live.in_force().server.unwrap();
    courier::round(&host.live, &asked).unwrap();
    assert_eq!(host.live.store.offline_devices().unwrap()[0].removed, Removed::No, "it is listed");
    // Told: what waits, with the host's own ids; then nothing waits.
    let note = || {
        let context = crate::store::Context::of_agent(1_800_000_000);
        host.live.store.note_fail_open(context, "in a test".to_owned()).unwrap();
    };
    note();
    note();
    courier::round(&host.live, &asked).unwrap();
    courier::round(&host.live, &asked).unwrap();
    let told = server.asked_for("/integrations/host-events");
    assert_eq!(told.len(), 1);
    let events = told[0].body["events"].as_array().unwrap();
    assert_eq!((&told[0].body["host"], events.len()), (&json!("tower"), 2));
    assert_eq!(
        (&events[0]["event"], &events[0]["at"]),
        (&json!("fail_open"), &json!("2027-01-15T08:00:00Z"))
    );
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert!(host.waiting().is_empty());
}

#[test]
fn a_credential_that_the_server_does_not_list_as_active_is_dropped() {
    for nothing in [false, true] {
        let revoked = listing("revoked");
        let server = Scripted::start(Identity::Right, move |asked, before| {
            let lists = asked.method == "GET" && asked.path.starts_with("/integrations/offline-credentials");
            match nothing && lists {
                true => Reaction::Answer(200, json!({"results": [], "next": null})),
                false => revoked(asked, before),
            }
        });
        let host = asking(&server, "");
        let (device, secret) = enroll_offline(&host);
        assert!(matches!(confirm(&host, device, &hotp(&secret, 0)), Response::Device(_)));
        courier::round(&host.live, &host.live.in_force().server.unwrap()).unwrap();
        assert_eq!(host.live.store.offline_devices().unwrap()[0].removed, Removed::Yes, "{nothing}");
        assert!(host.events().contains(&"offline_revoked".to_owned()));
        server.stop();
        assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn events_that_were_not_taken_wait() {
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/host-events", 0) => refused(500, "internal"),
        ("/integrations/host-events", _) => Reaction::Answer(200, json!({"recorded": 1})),
        _ => well(asked),
    });
    let host = asking(&server, "");
    let context = crate::store::Context::of_agent(1_800_000_000);
    host.live.store.note_fail_open(context, String::new()).unwrap();
    let asked = host.live.in_force().server.unwrap();
    assert!(courier::round(&host.live, &asked).is_err());
    assert_eq!(host.waiting(), ["fail_open"]);
    courier::round(&host.live, &asked).unwrap();
    assert!(host.waiting().is_empty());
    let told = server.asked_for("/integrations/host-events");
    assert_eq!(
        told[0].body["events"][0]["id"], told[1].body["events"][0]["id"],
        "the same id, so that it is once"
    );
}

#[test]
fn break_glass_accounts_are_verified_here_online_or_not() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking_with(&server, "mode = \"remote-then-local\"", "");
    // Without a device here the server decides.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    let enroll = Request::Enroll {
        user: "ferris".to_owned(),
        kind: OtpKind::Hotp,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Place::Host,
    };
    let made = match admin::answer(&host.live, Caller::Root, enroll) {
        Response::Enrolled(made) => made,
        other => panic!("{other:?}"),
    };
    let secret =
        oss2fa_core::otpauth::parse(made.provisioning_uri.expose()).unwrap().secret.expose().to_vec();
    assert!(matches!(confirm(&host, made.device, &hotp(&secret, 0)), Response::Device(_)));
    let before = server.asked().len();
    assert_eq!(host.login(&[&hotp(&secret, 1)]).outcome, Outcome::Verified);
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Refused, "the server's codes are others");
    assert_eq!(server.asked().len(), before, "the server was not asked");
    server.stop();
    assert_eq!(host.login(&[&hotp(&secret, 2)]).outcome, Outcome::Verified);
}

#[test]
fn devices_of_this_host_do_not_count_where_the_server_decides_alone() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking(&server, "");
    let enroll = Request::Enroll {
        user: "ferris".to_owned(),
        kind: OtpKind::Hotp,
        name: None,
        parameters: Default::default(),
        proof: None,
        place: Place::Host,
    };
    match admin::answer(&host.live, Caller::Root, enroll) {
        Response::Refused(refused) => assert_eq!(refused.code, RefusalCode::AtServer),
        other => panic!("{other:?}"),
    }
}
