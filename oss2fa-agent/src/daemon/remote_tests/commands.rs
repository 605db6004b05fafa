//! The command line on a host that asks a server: who may what.

use super::*;

#[test]
fn nobody_enrols_or_removes_without_a_code_nor_for_somebody_else() {
    let server = Scripted::start(Identity::Right, |asked, before| match asked.path.as_str() {
        "/integrations/enrollments/5" => Reaction::Answer(200, json!({"pk": 5, "username": "gopher"})),
        _ => listing("active")(asked, before),
    });
    let host = asking(&server, "");
    let code = || SecretText::new("123456".to_owned());
    let (user, device) = (|| "ferris".to_owned(), DeviceId(7));
    let totp = |proof| Request::Enroll {
        user: user(),
        kind: OtpKind::Totp,
        name: None,
        parameters: Default::default(),
        proof,
        place: Place::Usual,
    };
    let refusal = |caller, request| match admin::answer(&host.live, caller, request) {
        Response::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    };
    let owner = Caller::User(UID);
    let wrong = || Some(SecretText::new("000000".to_owned()));
    for (request, code) in [
        (totp(None), RefusalCode::ProofNeeded),
        (totp(wrong()), RefusalCode::CodeRefused),
        (Request::EnrollOffline { user: user(), name: None, proof: None }, RefusalCode::ProofNeeded),
        (Request::RecoveryCodes { user: user(), proof: None }, RefusalCode::ProofNeeded),
        (Request::Remove { user: user(), device, proof: Some(code()) }, RefusalCode::LastFactor),
        (Request::Remove { user: user(), device: DeviceId(99), proof: None }, RefusalCode::UnknownDevice),
        // An enrolment of somebody else.
        (
            Request::Confirm { user: user(), device: DeviceId(5), code: code(), name: None },
            RefusalCode::UnknownDevice,
        ),
        (Request::Resync { user: user(), device, first: code(), second: code() }, RefusalCode::AtServer),
        (
            Request::EnrollSshKey { user: user(), key: String::new(), name: None, proof: Some(code()) },
            RefusalCode::AtServer,
        ),
        (Request::Export { user: user(), device }, RefusalCode::AtServer),
    ] {
        let words = format!("{request:?}");
        assert_eq!(refusal(owner, request), code, "{words}");
    }
    for request in [
        totp(Some(code())),
        Request::EnrollOffline { user: user(), name: None, proof: Some(code()) },
        Request::Remove { user: user(), device, proof: Some(code()) },
        Request::Rename { user: user(), device, name: DeviceName::new("phone").unwrap() },
        Request::Verify { user: user(), code: code() },
        Request::List { user: Some(user()), after: None },
    ] {
        let words = format!("{request:?}");
        assert_eq!(refusal(Caller::User(UID + 1), request), RefusalCode::NotAllowed, "{words}");
    }
    assert!(server.asked_for("/integrations/enrollments").is_empty(), "nothing was begun");
}

#[test]
fn the_servers_devices_and_the_hosts_own_are_listed_apart() {
    let server = Scripted::start(Identity::Right, listing("active"));
    let host = asking(&server, "");
    let (offline, secret) = enroll_offline(&host);
    assert!(matches!(confirm(&host, offline, &hotp(&secret, 0)), Response::Device(_)));
    let list = Request::List { user: Some("ferris".to_owned()), after: None };
    match admin::answer(&host.live, Caller::Root, list) {
        Response::Devices { devices, .. } => {
            let listed: Vec<_> = devices.iter().map(|view| (view.device, view.shown_as.as_deref())).collect();
            assert_eq!(listed, [(DeviceId(7), None), (offline, Some("hotp, offline"))]);
        }
        other => panic!("{other:?}"),
    }
    let remove = Request::Remove { user: "ferris".to_owned(), device: offline, proof: None };
    assert!(matches!(admin::answer(&host.live, Caller::Root, remove), Response::Done {}));
    assert_eq!(server.asked_for("/integrations/offline-credentials/41")[0].method, "DELETE");
}
