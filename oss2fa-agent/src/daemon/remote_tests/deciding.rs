//! What each answer of the server comes to.

use super::*;

#[test]
fn a_right_code_lets_in_and_the_server_is_told_who_where_and_whence() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let host = asking(&server, "");
    let ended = host.login(&["123456"]);
    assert_eq!((ended.outcome, ended.prompts), (Outcome::Verified, vec!["Verification code: ".to_owned()]));
    let verify = &server.asked_for("/integrations/clients/verify")[0];
    assert_eq!(verify.body["username"], "ferris");
    let context = &verify.body["binding_context"];
    assert_eq!(
        (
            &context["host"],
            &context["service"],
            &context["tty"],
            &context["address"],
            &context["remote_host"]
        ),
        (&json!("tower"), &json!("sshd"), &json!("ssh"), &json!("192.0.2.7"), &json!("192.0.2.7"))
    );
    assert!(context["program"].is_string(), "{context}");
    assert!(server.asked().iter().all(|asked| asked.key.is_some() && asked.token.as_deref() == Some(TOKEN)));
    assert_eq!(host.events(), ["accepted"]);
}

#[test]
fn wrong_codes_locks_and_answers_about_this_host_are_what_they_are() {
    for (reaction, outcome, event) in [
        (refused(403, "wrong_token"), Outcome::Refused, Some("refused")),
        (refused(403, "client_inactive"), Outcome::Refused, Some("refused")),
        (refused(404, "not_found"), Outcome::Refused, Some("refused")),
        (refused(429, "locked"), Outcome::Locked, Some("locked")),
        (refused(401, "unauthorized"), Outcome::Unavailable, None),
        (refused(403, "network_not_allowed"), Outcome::Unavailable, None),
        (refused(429, "too_many_requests"), Outcome::Unavailable, None),
        (refused(500, "internal"), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({"client": 3})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!({"client": "3", "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(200, json!([])), Outcome::Unavailable, None),
        (Reaction::Answer(200, Value::Null), Outcome::Unavailable, None),
        (Reaction::Answer(201, json!({"client": 3, "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(202, json!({"client": 3, "device": 7})), Outcome::Unavailable, None),
        (Reaction::Answer(204, Value::Null), Outcome::Unavailable, None),
        (
            Reaction::WithHead(302, "Location: https://127.0.0.1/", json!({"client": 3, "device": 7})),
            Outcome::Unavailable,
            None,
        ),
    ] {
        let words = format!("{reaction:?}");
        let server = Scripted::start(Identity::Right, move |asked, _| match asked.path.as_str() {
            "/integrations/clients/verify" => reaction.clone(),
            _ => well(asked),
        });
        let host = asking_with(&server, "fail_open_services = [\"sshd\"]", "");
        assert_eq!(host.login(&["123456"]).outcome, outcome, "{words}");
        assert_eq!(host.events(), event.into_iter().collect::<Vec<_>>(), "{words}");
    }
}

#[test]
fn each_decision_is_obeyed() {
    let skip = "[policy]\nunenrolled = \"skip\"\n";
    for (result, policy, outcome, account) in [
        (1, "", Outcome::NotEnrolled, Ok(AccountAnswer::Required)),
        (1, skip, Outcome::Skipped, Ok(AccountAnswer::NotRequired)),
        (3, "", Outcome::Skipped, Ok(AccountAnswer::NotRequired)),
        (4, "", Outcome::Refused, Ok(AccountAnswer::Required)),
        (4, skip, Outcome::Refused, Ok(AccountAnswer::Required)),
        // A challenge on nothing, and decisions that nobody knows.
        (2, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
        (0, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
        (5, skip, Outcome::Unavailable, Err(Outcome::Unavailable)),
    ] {
        let server = Scripted::start(Identity::Right, decides(result));
        let host = asking(&server, policy);
        assert_eq!(host.login(&["123456"]).outcome, outcome, "{result} {policy}");
        assert_eq!(host.account(), account, "{result} {policy}");
        let skipped = host.events().iter().filter(|event| *event == "skipped").count();
        assert_eq!(skipped, if outcome == Outcome::Skipped { 2 } else { 0 }, "each bypass is audited");
    }
}

#[test]
fn whom_the_server_denies_is_asked_like_everybody_else() {
    let server = Scripted::start(Identity::Right, decides(4));
    let ended = asking(&server, "").login(&["123456"]);
    assert_eq!(ended.prompts, ["Verification code: "]);
    assert_eq!(ended.told.len(), 1);
    assert!(ended.told[0].starts_with("That code was not accepted."), "{:?}", ended.told);
    assert_eq!(server.asked_for("/integrations/clients/verify").len(), 0);
}

#[test]
fn whoever_was_seen_with_a_device_is_never_taken_for_somebody_without() {
    // Challenged once; then the server has lost the devices.
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/clients/auth", 0) => well(asked),
        _ => Reaction::Answer(200, json!({"result": 1, "devices": []})),
    });
    let host = asking(&server, "[policy]\nunenrolled = \"skip\"\n");
    assert_eq!(host.login(&[""]).outcome, Outcome::Refused);
    assert_eq!(host.login(&[]).outcome, Outcome::NotEnrolled);
    assert_eq!(host.account(), Ok(AccountAnswer::Required));
}

#[test]
fn local_policy_comes_first_and_asks_no_server() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    for policy in ["exempt_groups = [\"robots\"]", "skip_networks = [\"192.0.2.0/24\"]"] {
        let host = asking(&server, &format!("[policy]\n{policy}\n"));
        assert_eq!(host.login(&[]).outcome, Outcome::Skipped);
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn whoever_is_not_the_server_is_never_believed_nor_taken_for_an_absent_one() {
    for identity in
        [Identity::Expired, Identity::OfAnotherName, Identity::OfAnotherAuthority, Identity::Plain]
    {
        let server = Scripted::start(identity, decides(3));
        let host = asking_with(&server, "timeout = 1\nfail_open_services = [\"sshd\"]", "");
        let words = format!("{identity:?}");
        let ended = host.login_within(Duration::from_millis(1300), &["123456"], Outcome::Unavailable, &words);
        assert_eq!(ended.told.len(), 1);
        assert!(ended.told[0].starts_with("The second factor could not be checked"), "{:?}", ended.told);
        assert!(host.events().is_empty() && host.waiting().is_empty());
    }
}

#[test]
fn a_pinned_certificate_is_the_one_or_not() {
    // Nobody vouches for it, and its name and dates say nothing.
    for identity in
        [Identity::Right, Identity::OfAnotherName, Identity::OfAnotherAuthority, Identity::Expired]
    {
        let server = Scripted::start(identity, |asked, _| well(asked));
        let pin = format!("pinned_certificate = {:?}", server.fingerprint);
        assert_eq!(host(&[server.url()], &pin, "", "").login(&["123456"]).outcome, Outcome::Verified);
        let other = format!("pinned_certificate = \"sha256:{}\"", "ab".repeat(32));
        let host = host(&[server.url()], &other, "fail_open_services = [\"sshd\"]", "");
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn a_server_that_is_slow_broken_or_talks_nonsense_is_not_away() {
    let slow = Duration::from_secs(4);
    for reaction in [
        Reaction::Late(slow, 200, json!({"result": 3, "devices": []})),
        Reaction::Garbage,
        Reaction::Cut,
        Reaction::HalfAnAnswer,
        refused(500, "internal"),
        refused(503, "store_unavailable"),
        refused(401, "unauthorized"),
        Reaction::WithHead(307, "Location: /elsewhere", json!({"result": 3, "devices": []})),
        Reaction::Answer(200, json!({"result": "3"})),
    ] {
        let words = format!("{reaction:?}");
        let server = Scripted::start(Identity::Right, move |_, _| reaction.clone());
        let host = asking_with(&server, "timeout = 1\nfail_open_services = [\"sshd\"]", "");
        host.login_within(Duration::from_millis(1400), &["123456"], Outcome::Unavailable, &words);
        assert!(host.events().is_empty() && host.waiting().is_empty(), "{words}");
        assert_eq!(host.account(), Err(Outcome::Unavailable), "{words}");
    }
}
