//! A code prompt that stays open beside the keys: a touch, a code, and what becomes of the wait at the key.

use super::*;

/// A prompt that is open, and the module's end of it.
struct Open<'a> {
    theirs: &'a mut Connection,
    told: Vec<String>,
    prompt: String,
}

impl Open<'_> {
    /// What was asked or decided next.
    fn next(&mut self) -> AgentMessage {
        loop {
            match self.theirs.receive(Instant::now() + SOON).unwrap() {
                AgentMessage::Tell { text } => self.told.push(text.as_str().to_owned()),
                other => return other,
            }
        }
    }

    fn type_line(&mut self, line: &str) -> AgentMessage {
        self.theirs.send(&ModuleMessage::Answer { text: SecretText::new(line.to_owned()) }).unwrap();
        self.next()
    }
}

fn done(message: &AgentMessage) -> Option<Outcome> {
    match message {
        AgentMessage::Done { outcome } => Some(*outcome),
        _ => None,
    }
}

fn question(message: &AgentMessage) -> &str {
    match message {
        AgentMessage::Ask { text, .. } => text.as_str(),
        other => panic!("{other:?}"),
    }
}

fn until(condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "it did not happen");
        thread::sleep(Duration::from_millis(1));
    }
}

impl Host {
    /// A login of `ferris` whose first prompt is open; whatever `then` leaves of it hangs up.
    fn at_prompt(&self, service: &str, conversation: Conversation, then: impl FnOnce(&mut Open<'_>)) {
        let login = Login {
            user: "ferris".to_owned(),
            service: service.to_owned(),
            tty: Some("tty1".to_owned()),
            rhost: None,
            ruser: None,
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut ours, mut theirs) = (Connection::new(ours).unwrap(), Connection::new(theirs).unwrap());
        let start = Start { login, conversation, prompt: None, echo: Echo::Off, ssh: None };
        thread::scope(|scope| {
            let serving =
                scope.spawn(move || login::authenticate(&self.live, &mut ours, Caller::Root, start));
            let mut open = Open { theirs: &mut theirs, told: Vec::new(), prompt: String::new() };
            open.prompt = question(&open.next()).to_owned();
            then(&mut open);
            drop(theirs);
            serving.join().unwrap().unwrap();
        });
    }

    fn with_both(&self) -> SoftKey {
        let key = self.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
        self.with_codes("ferris");
        key
    }
}

const BOTH: [Conversation; 2] = [Conversation::Messages, Conversation::PromptsOnly];

#[test]
fn a_touch_while_the_prompt_is_open_lets_in_at_the_next_enter_and_not_before() {
    for conversation in BOTH {
        let host = host("");
        let key = host.with_both();
        host.at_prompt("sudo", conversation, |open| {
            let shown = format!("{}\n{}", open.told.concat(), open.prompt);
            assert_eq!(
                shown.trim_start(),
                "Touch your security key and press Enter, or type a code.\nVerification code: "
            );
            until(|| key.inside().blinking == 2);
            key.touch();
            until(|| host.newest().event == "accepted");
            assert!(open.theirs.receive_if_there::<AgentMessage>().unwrap().is_none(), "nothing was typed");
            assert_eq!(done(&open.type_line("")), Some(Outcome::Verified));
        });
        assert!(host.newest().detail.starts_with("fido2 device="), "{}", host.newest().detail);
    }
}

#[test]
fn a_code_typed_instead_lets_in_and_the_key_stops_blinking() {
    for conversation in BOTH {
        let host = host("");
        let key = host.with_both();
        host.at_prompt("sudo", conversation, |open| {
            until(|| key.inside().blinking == 2);
            assert_eq!(done(&open.type_line("755224")), Some(Outcome::Verified));
        });
        until(|| key.inside().cancelled == 1 && key.inside().open == 0);
        assert!(host.newest().detail.starts_with("hotp device="));
        key.touch();
        assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified), "the key works after it");
    }
}

#[test]
fn a_wrong_code_beside_a_key_is_refused_and_no_touch_comes_too_late_for_it() {
    let host = host("");
    let key = host.with_both();
    host.at_prompt("sudo", Conversation::Messages, |open| {
        until(|| key.inside().blinking == 2);
        assert_eq!(done(&open.type_line("000000")), Some(Outcome::Refused));
    });
    assert_eq!(host.newest().event, "refused");
}

#[test]
fn enter_before_the_touch_goes_on_with_the_same_wait() {
    let host = host("");
    let key = host.with_both();
    host.at_prompt("sudo", Conversation::Messages, |open| {
        until(|| key.inside().blinking == 2);
        open.theirs.send(&ModuleMessage::Answer { text: SecretText::new(String::new()) }).unwrap();
        // By the second time the key has heard nothing else meanwhile.
        let before = key.inside().reminded;
        until(|| key.inside().reminded > before + 30);
        key.touch();
        assert_eq!(done(&open.next()), Some(Outcome::Verified));
        assert_eq!(open.told[1], "Touch your security key, or wait to be asked for a code.");
    });
    assert_eq!(key.inside().blinking, 2, "it was asked once");
    assert_eq!(key.inside().cancelled, 0);
}

#[test]
fn whoever_hangs_up_at_the_prompt_stops_the_wait_and_the_next_login_is_served() {
    let host = patient_host();
    let key = host.with_both();
    let begun = std::cell::Cell::new(None);
    host.at_prompt("sudo", Conversation::PromptsOnly, |_| {
        until(|| key.inside().blinking == 2);
        begun.set(Some(Instant::now()));
    });
    until(|| key.inside().cancelled == 1 && key.inside().open == 0);
    assert!(begun.get().unwrap().elapsed() < Duration::from_secs(10));
    key.touch();
    assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified));
}

#[test]
fn a_key_that_is_plugged_in_while_the_prompt_is_open_counts() {
    let host = host("");
    let key = host.with_both();
    host.hub.pull_out("ferris");
    host.at_prompt("sudo", Conversation::Messages, |open| {
        host.hub.plug_in("elsewhere", &key);
        until(|| key.inside().blinking == 2);
        key.touch();
        until(|| host.newest().event == "accepted");
        assert_eq!(done(&open.type_line("")), Some(Outcome::Verified));
    });
}

#[test]
fn a_cloned_key_refuses_the_login_whatever_is_typed_beside_it() {
    let host = host("");
    let key = host.with_both();
    key.inside().count = 10;
    key.touch();
    assert_eq!(host.login(&[""]).outcome, Some(Outcome::Verified));
    // The copy has not heard of that login.
    key.inside().count = 3;
    host.at_prompt("sudo", Conversation::Messages, |open| {
        key.touch();
        until(|| host.newest().event == "cloned_key");
        assert_eq!(done(&open.type_line("755224")), Some(Outcome::Refused));
    });
    assert_eq!(host.login(&["755224"]).outcome, Some(Outcome::Verified), "the code was not spent");
}

#[test]
fn a_device_that_poses_as_the_key_is_refused_and_the_code_beside_it_is_not() {
    for conversation in BOTH {
        let host = host("");
        let key = host.with_both();
        let forged = key.forged();
        host.hub.plug_in("forged", &forged);
        host.at_prompt("sudo", conversation, |open| {
            forged.touch();
            until(|| host.newest().event == "refused");
            assert_eq!(done(&open.type_line("755224")), Some(Outcome::Verified));
        });
        let refused = host.logged().iter().filter(|entry| entry.event == "refused").count();
        assert_eq!(refused, 1, "it was asked once");
        assert!(host.newest().detail.starts_with("hotp device="), "{}", host.newest().detail);
    }
}

#[test]
fn a_device_that_poses_as_the_key_keeps_out_neither_that_nor_one_that_comes_later() {
    let host = host("");
    let key = host.with_both();
    host.hub.pull_out("ferris");
    let forged = key.forged();
    host.hub.plug_in("forged", &forged);
    host.at_prompt("sudo", Conversation::Messages, |open| {
        forged.touch();
        until(|| host.newest().event == "refused");
        key.touch();
        host.hub.plug_in("elsewhere", &key);
        until(|| host.newest().event == "accepted");
        assert_eq!(done(&open.type_line("")), Some(Outcome::Verified));
    });
    // Enter without a touch: its owner hears of it, and is asked for a code.
    host.hub.pull_out("elsewhere");
    forged.touch();
    let ended = host.login(&["", "755224"]);
    assert_eq!(ended.outcome, Some(Outcome::Verified));
    assert!(
        ended.told.iter().any(|told| told.contains("calls itself your security key")),
        "{:?}",
        ended.told
    );
}

#[test]
fn a_device_that_poses_as_the_key_of_who_has_no_codes_is_refused_by_itself_and_not_beside_that() {
    let host = patient_host();
    let key = host.with_key("ferris", Protocol::Ctap2, KeyKind::Fido2);
    let forged = key.forged();
    host.hub.plug_in("forged", &forged);
    thread::scope(|scope| {
        let login = scope.spawn(|| host.login(&[]));
        forged.touch();
        until(|| host.newest().event == "refused");
        assert!(host.newest().detail.starts_with("fido2 device="), "{}", host.newest().detail);
        key.touch();
        assert_eq!(login.join().unwrap().outcome, Some(Outcome::Verified));
    });
    host.hub.pull_out("ferris");
    forged.touch();
    let begun = Instant::now();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    assert!(begun.elapsed() < Duration::from_secs(20), "it waited");
}

#[test]
fn no_pin_is_asked_for_where_prompts_are_relabelled_and_enter_changes_nothing_about_it() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1).with_pin("4711");
    host.hub.plug_in("one", &key);
    key.touch();
    host.enrolled(KeyEnrollment { pin: true, ..key_of("ferris", KeyKind::Fido2) }, &["4711"]);
    let enrolled = key.inside().blinking;
    host.with_codes("ferris");
    for service in ["polkit-1", "swaylock"] {
        host.at_prompt(service, Conversation::Messages, |open| {
            assert_eq!(question(&open.type_line("")), "Verification code: ");
            assert_eq!(question(&open.type_line("")), "Verification code: ");
            assert_eq!(done(&open.type_line("")), Some(Outcome::Refused));
        });
        let first = host.login_to(service, Conversation::Messages, &["4711"]);
        assert_eq!(first.outcome, Some(Outcome::Refused), "what looks like a PIN is a wrong code there");
    }
    assert_eq!(key.inside().tries_left, 8);
    assert_eq!(key.inside().blinking, enrolled, "the key was left alone");
    // In a terminal the same key asks.
    host.at_prompt("sudo", Conversation::PromptsOnly, |open| {
        assert_eq!(question(&open.type_line("")), "PIN of your security key (8 tries left): ");
        key.touch();
        assert_eq!(done(&open.type_line("4711")), Some(Outcome::Verified));
    });
}

#[test]
fn two_prompts_that_are_open_take_a_touch_each() {
    let host = host("");
    let key = host.with_both();
    host.at_prompt("sudo", Conversation::PromptsOnly, |first| {
        until(|| key.inside().blinking == 2);
        host.at_prompt("sudo", Conversation::PromptsOnly, |second| {
            key.touch();
            // Whoever came first has it, and then it blinks for the second.
            until(|| key.inside().blinking == 3);
            assert_eq!(done(&first.type_line("")), Some(Outcome::Verified));
            key.touch();
            assert_eq!(done(&second.type_line("")), Some(Outcome::Verified));
        });
    });
    assert_eq!(host.newest().event, "accepted");
}
