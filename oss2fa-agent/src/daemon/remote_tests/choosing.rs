//! Several devices, codes that are sent, and enrolling in the login itself.

use std::io::Write;
use std::os::unix::net::UnixListener;

use super::*;
use crate::daemon::connection::Broken;
use crate::daemon::workers::Workers;

/// Ferris has an app and two addresses.
fn several(asked: &Asked) -> Reaction {
    let challenge = |address: Option<&str>| {
        json!({"pk": 11, "username": "ferris", "device_pk": 8, "status": 2,
               "public_details": address.map(|address| json!({"address": address}))})
    };
    match (asked.method.as_str(), asked.path.as_str()) {
        (_, "/integrations/clients/auth") => Reaction::Answer(
            200,
            json!({"result": 2, "devices": [
                device(7, "TOTP", None),
                device(8, "EMAIL", Some("f***@example.org")),
                device(9, "RECOVERY", None),
            ]}),
        ),
        (_, "/integrations/challenges") if asked.body["device_pk"] == 8 => {
            Reaction::Answer(201, challenge(Some("f***@example.org")))
        }
        (_, "/integrations/challenges") => Reaction::Answer(201, challenge(None)),
        (_, "/integrations/challenges/11/resend") => {
            Reaction::Answer(200, challenge(Some("f***@example.org")))
        }
        (_, "/integrations/challenges/11/complete") if asked.body["token"] == "654321" => {
            Reaction::Answer(200, json!({"client": 3, "device": 8, "status": 3}))
        }
        (_, "/integrations/challenges/11/complete") => refused(403, "wrong_token"),
        ("DELETE", "/integrations/challenges/11") => Reaction::Answer(204, Value::Null),
        _ => well(asked),
    }
}

const MENU: &str = "1. TOTP\n2. e-mail to f***@example.org\nNumber, or code: ";
const SENT: &str = "Code sent to f***@example.org (r: send again): ";

#[test]
fn a_device_is_chosen_from_a_menu_and_its_code_sent() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let ended = host.login(&["2", "654321"]);
    assert_eq!((ended.outcome, ended.prompts), (Outcome::Verified, vec![MENU.to_owned(), SENT.to_owned()]));
    let ended = host.login(&["2", "r", "654321"]);
    assert_eq!(ended.prompts, [MENU, SENT, SENT]);
    assert_eq!(ended.outcome, Outcome::Verified);
    // A code typed straight away, and an app that was chosen.
    assert_eq!(host.login(&["123456"]).outcome, Outcome::Verified);
    let ended = host.login(&["1", "654321"]);
    assert_eq!((ended.outcome, &*ended.prompts[1]), (Outcome::Verified, "Verification code: "));
    assert_eq!(server.asked_for("/integrations/challenges/11").len(), 0, "none was given up");
    assert_eq!(host.login(&["2", "000000"]).outcome, Outcome::Refused);
}

#[test]
fn whoever_asks_once_more_and_is_locked_is_told_so() {
    let server = Scripted::start(Identity::Right, |asked, _| match asked.path.as_str() {
        "/integrations/challenges/11/resend" => refused(429, "locked"),
        _ => several(asked),
    });
    let ended = asking(&server, "").login(&["2", "r"]);
    assert_eq!((ended.outcome, ended.prompts), (Outcome::Locked, vec![MENU.to_owned(), SENT.to_owned()]));
}

#[test]
fn whoever_hangs_up_gives_the_challenge_up() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let left = host.login(&["2"]);
    assert_eq!(left.prompts, [MENU, SENT]);
    is_given_up(&server);
}

/// The other end of a login that was asked which device, and has said the one that codes are sent to.
fn chose_the_mail(host: &Daemon) -> (Connection, thread::JoinHandle<Result<(), Broken>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
    let live = Arc::clone(&host.live);
    let serving = thread::spawn(move || login::authenticate(&live, &mut ours, Caller::Root, start_of(who())));
    let menu = theirs.receive(Instant::now() + SOON);
    assert!(matches!(menu, Ok(AgentMessage::Ask { .. })), "{menu:?}");
    theirs.send(&ModuleMessage::Answer { text: SecretText::new("2".to_owned()) }).unwrap();
    (theirs, serving)
}

fn is_given_up(server: &Scripted) {
    let begun = Instant::now();
    while !server.asked_for("/integrations/challenges/11").iter().any(|asked| asked.method == "DELETE") {
        assert!(begun.elapsed() < SOON, "{:?}", server.asked());
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn whoever_leaves_while_the_challenge_is_being_made_gives_it_up() {
    let server = Scripted::start(Identity::Right, |asked, _| match (asked.path.as_str(), several(asked)) {
        ("/integrations/challenges", Reaction::Answer(status, body)) => {
            Reaction::Late(Duration::from_millis(300), status, body)
        }
        (_, other) => other,
    });
    let host = asking(&server, "");
    let (theirs, serving) = chose_the_mail(&host);
    while server.asked_for("/integrations/challenges").is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    drop(theirs);
    serving.join().unwrap().unwrap();
    is_given_up(&server);
}

#[test]
fn whoever_answers_with_nonsense_gives_the_challenge_up() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let (mut theirs, serving) = chose_the_mail(&host);
    assert!(matches!(theirs.receive(Instant::now() + SOON), Ok(AgentMessage::Ask { .. })));
    theirs.stream().try_clone().unwrap().write_all(b"\0\0\0\x01x").unwrap();
    assert!(matches!(serving.join().unwrap(), Err(Broken::Frame(_))));
    is_given_up(&server);
}

#[test]
fn a_daemon_that_stops_gives_up_the_challenges_of_who_has_not_answered() {
    let server = Scripted::start(Identity::Right, |asked, _| several(asked));
    let host = asking(&server, "");
    let socket = host.folder.path().join("sock");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let workers = Workers::start(Arc::clone(&host.live), listener).unwrap();
    let mut theirs = Connection::new(UnixStream::connect(&socket).unwrap()).unwrap();
    theirs.send(&ModuleMessage::Start(start_of(who()))).unwrap();
    for answer in [Some("2"), None] {
        let asked = theirs.receive(Instant::now() + SOON);
        assert!(matches!(asked, Ok(AgentMessage::Ask { .. })), "{asked:?}");
        if let Some(answer) = answer {
            theirs.send(&ModuleMessage::Answer { text: SecretText::new(answer.to_owned()) }).unwrap();
        }
    }
    workers.close();
    workers.finish(Duration::from_millis(100));
    is_given_up(&server);
}

#[test]
fn a_challenge_is_complete_only_with_the_status_that_says_so() {
    for body in [json!({"client": 3, "device": 8, "status": 2}), json!({"client": 3, "device": 8})] {
        let server = Scripted::start(Identity::Right, move |asked, _| match asked.path.as_str() {
            "/integrations/challenges/11/complete" => Reaction::Answer(200, body.clone()),
            _ => several(asked),
        });
        assert_eq!(asking(&server, "").login(&["2", "654321"]).outcome, Outcome::Unavailable);
    }
}

#[test]
fn a_user_without_a_device_enrols_in_the_login_where_that_is_wanted() {
    let uri = "otpauth://totp/OSS2FA:ferris?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=OSS2FA";
    let answer = move |asked: &Asked, _: usize| match asked.path.as_str() {
        "/integrations/clients/auth" => Reaction::Answer(200, json!({"result": 1, "devices": []})),
        "/integrations/enrollments" => Reaction::Answer(201, json!({"pk": 5, "status": 1})),
        "/integrations/enrollments/5/prepare-device" => {
            Reaction::Answer(200, json!({"pk": 5, "public_details": {"provisioning_uri": uri}}))
        }
        "/integrations/enrollments/5/complete" if asked.body["token"] == "123456" => {
            Reaction::WithHead(201, "X-Client-Id: 3", Value::Null)
        }
        // Not enrolled, whatever the status says.
        "/integrations/enrollments/5/complete" if asked.body["token"] == "222222" => {
            Reaction::Answer(201, Value::Null)
        }
        "/integrations/enrollments/5/complete" if asked.body["token"] == "333333" => {
            Reaction::WithHead(200, "X-Client-Id: 3", json!({"pk": 5}))
        }
        _ => refused(403, "wrong_token"),
    };
    let server = Scripted::start(Identity::Right, answer);
    let host = asking(&server, "[policy]\nenroll_at_login = [\"sshd\"]\n");
    let ended = host.login(&["123456"]);
    assert_eq!(ended.outcome, Outcome::Verified);
    assert!(ended.prompts[0].contains(uri) && ended.prompts[0].contains('█'), "{}", ended.prompts[0]);
    assert!(ended.prompts[0].ends_with("First code: "));
    let begun = &server.asked_for("/integrations/enrollments")[0].body;
    assert_eq!(
        (&begun["username"], &begun["binding_context"]["address"]),
        (&json!("ferris"), &json!("192.0.2.7"))
    );
    assert_eq!(host.login(&["000000"]).outcome, Outcome::Refused);
    assert_eq!(host.login(&["222222"]).outcome, Outcome::Unavailable);
    assert_eq!(host.login(&["333333"]).outcome, Outcome::Unavailable);
    // In other services they are told how.
    let other = asking(&server, "[policy]\nenroll_at_login = [\"sudo\"]\n");
    assert_eq!(other.login(&[]).outcome, Outcome::NotEnrolled);
}
