//! A server that is away, and what is done again where a connection breaks.

use super::*;

#[test]
fn without_a_server_logins_are_refused_at_once_while_that_is_known() {
    let is_away = || {
        let server = Scripted::start(Identity::Right, |asked, _| well(asked));
        let host = asking_with(&server, "timeout = 2", "");
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
        server.stop();
        let first = host.login(&["123456"]);
        assert_eq!(first.outcome, Outcome::Unavailable);
        (server, host, first.took)
    };
    // The quickest of a few: this machine has other work, too.
    let mut tries = (0..3).map(|_| is_away());
    let (server, host, _) =
        tries.find(|(_, _, took)| *took < Duration::from_millis(1300)).expect("one that is in time");
    let known: Vec<Ended> = (0..5).map(|_| host.login(&["123456"])).collect();
    assert!(known.iter().all(|ended| ended.outcome == Outcome::Unavailable));
    assert!(known.iter().any(|ended| ended.took < Duration::from_millis(50)), "{known:?}");
    // And back as soon as it is.
    let again = Scripted::start_at(server.address(), Identity::Right, |asked, _| well(asked));
    let pin = host.login(&["123456"]);
    assert_eq!(pin.outcome, Outcome::Unavailable, "another authority: {:?}", again.url());
}

#[test]
fn a_server_that_is_back_is_asked_again_at_once() {
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let pin = format!("pinned_certificate = {:?}", server.fingerprint);
    let url = absent();
    let host = host(std::slice::from_ref(&url), &pin, "", "");
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Unavailable);
    drop(server);
    let back =
        Scripted::start_at(url.trim_start_matches("https://").parse().unwrap(), Identity::Plain, decides(3));
    let ended = host.login(&["123456"]);
    // It is no TLS that answers now: reached, and so refused for another reason.
    assert_eq!(ended.outcome, Outcome::Unavailable);
    assert!(host.live.in_force().server.unwrap().known_away().is_none(), "{}", back.url());
}

#[test]
fn fail_open_takes_the_proof_the_service_and_the_audit() {
    let urls = [absent(), absent()];
    let open = host(&urls, "", "fail_open_services = [\"sshd\"]", "");
    for _ in 0..2 {
        assert_eq!(open.login(&[]).outcome, Outcome::Skipped);
    }
    assert_eq!(open.account(), Ok(AccountAnswer::NotRequired));
    assert_eq!(open.events(), ["fail_open", "fail_open", "fail_open"]);
    assert_eq!(open.waiting(), ["fail_open", "fail_open", "fail_open"]);
    // Another service, and none.
    for section in ["fail_open_services = [\"sudo\"]", ""] {
        let shut = host(&urls, "", section, "");
        assert_eq!(shut.login(&[]).outcome, Outcome::Unavailable);
        assert!(shut.events().is_empty() && shut.waiting().is_empty());
    }
}

#[test]
fn one_server_that_was_reached_is_enough_to_refuse() {
    let server = Scripted::start(Identity::OfAnotherName, decides(3));
    let trust = format!("ca_file = {:?}", server.ca_file().display().to_string());
    for urls in [[absent(), server.url()], [server.url(), absent()]] {
        let host = host(&urls, &trust, "fail_open_services = [\"sshd\"]", "");
        for _ in 0..2 {
            assert_eq!(host.login(&[]).outcome, Outcome::Unavailable);
        }
    }
}

#[test]
fn the_next_url_is_asked_where_one_is_away_or_unwell() {
    let sick = Scripted::start(Identity::Right, |_, _| refused(503, "store_unavailable"));
    let server = Scripted::start(Identity::Right, |asked, _| well(asked));
    let both = format!(
        "{}{}",
        std::fs::read_to_string(sick.ca_file()).unwrap(),
        std::fs::read_to_string(server.ca_file()).unwrap()
    );
    std::fs::write(server.ca_file(), both).unwrap();
    let trust = format!("ca_file = {:?}", server.ca_file().display().to_string());
    let host = host(&[absent(), sick.url(), server.url()], &trust, "", "");
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    // One question, one key, wherever it goes.
    let keys = |server: &Scripted| server.asked_for("/integrations/clients/auth")[0].key.clone();
    assert_eq!(keys(&sick), keys(&server));
}

#[test]
fn a_connection_that_is_cut_is_asked_again_with_the_same_key() {
    for cut in [Reaction::Cut, Reaction::HalfAnAnswer] {
        let server = Scripted::start(Identity::Right, move |asked, before| match before {
            0 | 1 => cut.clone(),
            _ => well(asked),
        });
        let host = asking(&server, "");
        assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
        for path in ["/integrations/clients/auth", "/integrations/clients/verify"] {
            let asked = server.asked_for(path);
            assert_eq!(asked.len(), 3, "{path}");
            assert!(asked.iter().all(|again| again.key == asked[0].key && again.body == asked[0].body));
        }
        let keys =
            server.asked().into_iter().map(|asked| asked.key).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(keys.len(), 2, "one for each question");
    }
}

#[test]
fn a_question_that_is_still_being_answered_is_waited_for() {
    let server = Scripted::start(Identity::Right, |asked, before| match (asked.path.as_str(), before) {
        ("/integrations/clients/verify", 0 | 1) => refused(409, "idempotency_in_progress"),
        _ => well(asked),
    });
    assert_eq!(asking(&server, "").login(&["123456"]).outcome, Outcome::Verified);
}
