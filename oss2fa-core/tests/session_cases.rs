//! Logins as data: the files of `tests/cases`, and what must hold for every sequence of events.
#![cfg(feature = "factors")]

use oss2fa_core::secret::SecretText;
use oss2fa_core::session::{
    Beside, Codes, Effect, Event, Finish, Judgement, Menu, Opened, Pin, Refusal, Script, Session, Standing,
    Touched,
};
use oss2fa_core::wire::{Conversation, DisplayText, Echo};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "messages")]
    conversation: Conversation,
    #[serde(default = "off")]
    echo: Echo,
    steps: Vec<Vec<String>>,
}

fn messages() -> Conversation {
    Conversation::Messages
}

fn off() -> Echo {
    Echo::Off
}

fn script(conversation: Conversation, echo: Echo) -> Script {
    Script {
        prompt: DisplayText::new("[prompt]"),
        echo,
        conversation,
        refused: DisplayText::new("[refused]"),
        how_to_enroll: DisplayText::new("[how_to_enroll]"),
        unavailable: DisplayText::new("[unavailable]"),
    }
}

fn touched(text: &str) -> Touched<u32> {
    match text {
        "nothing" => Touched::Nothing,
        "pin_wanted" => Touched::PinWanted(Pin::TriesLeft(8)),
        "pin_wrong" => Touched::PinWanted(Pin::Wrong(7)),
        "pin_instead" => Touched::PinWanted(Pin::Instead(8)),
        "again" => Touched::Again(DisplayText::new("[again]")),
        "unusable" => Touched::Unusable(DisplayText::new("[why]")),
        "refused" => Touched::Judged(Judgement::Refused),
        "locked" => Touched::Judged(Judgement::Locked),
        "unavailable" => Touched::Judged(Judgement::Unavailable),
        "admitted 42" => Touched::Judged(Judgement::Admitted(42)),
        _ => unreachable!("the case file has a touch that is not known: {text}"),
    }
}

fn event(text: &str) -> Event<u32> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match (word, rest) {
        ("found", "unknown") => Event::Found(Standing::Unknown),
        ("found", "must_prove") => Event::Found(Standing::MustProve),
        ("found", "not_enrolled") => Event::Found(Standing::NotEnrolled),
        ("found", "skip") => Event::Found(Standing::Skip),
        ("found", "unavailable") => Event::Found(Standing::Unavailable),
        ("found", "denied") => Event::Found(Standing::Denied),
        ("found", "may_enroll") => Event::Found(Standing::MayEnroll),
        ("found", "must_prove_offline") => {
            Event::Found(Standing::MustProveOffline(DisplayText::new("[offline]")))
        }
        ("found", "must_choose") => Event::Found(Standing::MustChoose(Menu(
            ["TOTP", "e-mail to j***@example.org"].map(DisplayText::new).to_vec(),
        ))),
        ("found", "may_touch") => Event::Found(Standing::MayTouch(Codes::Beside)),
        ("found", "must_touch") => Event::Found(Standing::MayTouch(Codes::None)),
        ("found", "may_touch_or_choose") => Event::Found(Standing::MayTouchBeside(Beside::Menu(Menu(
            ["TOTP", "e-mail to j***@example.org"].map(DisplayText::new).to_vec(),
        )))),
        ("found", "may_touch_offline") => {
            Event::Found(Standing::MayTouchBeside(Beside::Words(DisplayText::new("[offline]"))))
        }
        ("touched", what) => Event::Touched(touched(what)),
        ("beside", what) => {
            let (touch, typed) = what.split_once('/').unwrap_or((what, ""));
            let touched = (touch != "waiting").then(|| touched(touch));
            Event::AnsweredBeside { text: SecretText::new(typed.to_owned()), touched }
        }
        ("opened", "ready") => Event::Opened(Opened::Ready),
        ("opened", "sent") => Event::Opened(Opened::Sent(DisplayText::new("j***@example.org"))),
        ("opened", "not_sent_again") => {
            Event::Opened(Opened::NotSentAgain(DisplayText::new("j***@example.org")))
        }
        ("opened", "refused") => Event::Opened(Opened::Refused),
        ("opened", "locked") => Event::Opened(Opened::Locked),
        ("opened", "unavailable") => Event::Opened(Opened::Unavailable),
        ("prepared", "") => Event::Prepared(DisplayText::new("[qr]")),
        ("not_prepared", "") => Event::NotPrepared,
        ("shown", "42") => Event::Shown(42),
        ("answered", typed) => Event::Answered(SecretText::new(typed.to_owned())),
        ("judged", "refused") => Event::Judged(Judgement::Refused),
        ("judged", "locked") => Event::Judged(Judgement::Locked),
        ("judged", "unavailable") => Event::Judged(Judgement::Unavailable),
        ("judged", "admitted 42") => Event::Judged(Judgement::Admitted(42)),
        ("judged", "admitted 43") => Event::Judged(Judgement::Admitted(43)),
        ("hung_up", "") => Event::HungUp,
        ("expired", "") => Event::Expired,
        _ => unreachable!("the case file has an event that is not known: {text}"),
    }
}

fn word(effect: &Effect<u32>) -> String {
    match effect {
        Effect::LookUp => "look_up".to_owned(),
        Effect::Ask(Echo::Off, text) => format!("ask {}", text.as_str()),
        Effect::Ask(Echo::On, text) => format!("ask shown {}", text.as_str()),
        Effect::AskOrTouch(Echo::Off, text) => format!("ask or touch {}", text.as_str()),
        Effect::AskOrTouch(Echo::On, text) => format!("ask shown or touch {}", text.as_str()),
        Effect::Tell(text) => format!("tell {}", text.as_str()),
        Effect::Judge(typed) => format!("judge {}", typed.expose()),
        Effect::Touch { words, codes, pin } => format!(
            "touch{}{}{}",
            if *codes == Codes::Beside { " beside codes" } else { "" },
            pin.as_ref().map(|pin| format!(" with {}", pin.expose())).unwrap_or_default(),
            words.as_ref().map(|words| format!(": {}", words.as_str())).unwrap_or_default(),
        ),
        Effect::Open(device) => format!("open {device}"),
        Effect::Resend => "resend".to_owned(),
        Effect::Complete(typed) => format!("complete {}", typed.expose()),
        Effect::Cancel => "cancel".to_owned(),
        Effect::Prepare => "prepare".to_owned(),
        Effect::Prove(typed) => format!("prove {}", typed.expose()),
        Effect::Finish(Finish::Admitted(evidence)) => format!("admit {evidence}"),
        Effect::Finish(Finish::Skipped) => "skip".to_owned(),
        Effect::Finish(Finish::Gone) => "gone".to_owned(),
        Effect::Finish(Finish::Refused(refusal)) => format!(
            "refuse {}",
            match refusal {
                Refusal::Answer => "answer",
                Refusal::Locked => "locked",
                Refusal::Unknown => "unknown",
                Refusal::NotEnrolled => "not_enrolled",
                Refusal::Unavailable => "unavailable",
            }
        ),
    }
}

fn run(file: &str, at_least: usize) {
    let file: File = toml::from_str(file).unwrap_or_else(|error| unreachable!("{error}"));
    assert!(file.case.len() >= at_least, "the file has lost cases");
    for case in file.case {
        let (mut session, effects) = Session::start::<u32>(script(case.conversation, case.echo));
        assert_eq!(effects, [Effect::LookUp], "{}", case.name);
        for (number, step) in case.steps.iter().enumerate() {
            let (given, expected) = step.split_first().unwrap_or_else(|| unreachable!("an empty step"));
            let (next, effects) = session.step(event(given));
            let effects: Vec<_> = effects.iter().map(word).collect();
            assert_eq!(effects, expected, "{}, step {number}: {given}", case.name);
            session = next;
        }
    }
}

#[test]
fn logins() {
    run(include_str!("cases/login.toml"), 22);
}

#[test]
fn leaving() {
    run(include_str!("cases/leaving.toml"), 11);
}

#[test]
fn confused() {
    run(include_str!("cases/confused.toml"), 11);
}

#[test]
fn choosing() {
    run(include_str!("cases/choosing.toml"), 18);
}

#[test]
fn enrolling() {
    run(include_str!("cases/enrolling.toml"), 8);
}

#[test]
fn touching() {
    run(include_str!("cases/touching.toml"), 30);
}

#[test]
fn touching_or_choosing() {
    run(include_str!("cases/beside.toml"), 6);
}

const EVENTS: [&str; 42] = [
    "found may_touch_or_choose",
    "found may_touch_offline",
    "shown 42",
    "found may_touch",
    "found must_touch",
    "touched nothing",
    "touched pin_wanted",
    "touched again",
    "beside again/",
    "touched unusable",
    "touched refused",
    "touched admitted 42",
    "beside waiting/",
    "beside waiting/123456",
    "beside admitted 42/",
    "beside admitted 42/123456",
    "beside refused/123456",
    "beside pin_wanted/",
    "found unknown",
    "found must_prove",
    "found not_enrolled",
    "found skip",
    "found unavailable",
    "found denied",
    "found may_enroll",
    "found must_prove_offline",
    "found must_choose",
    "opened ready",
    "opened sent",
    "opened unavailable",
    "prepared",
    "not_prepared",
    "answered r",
    "answered 2",
    "answered 123456",
    "answered ",
    "judged refused",
    "judged locked",
    "judged unavailable",
    "judged admitted 42",
    "hung_up",
    "expired",
];

proptest! {
    #[test]
    fn whatever_happens_a_login_ends_once_and_lets_in_only_on_evidence(
        events in prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..8),
        quiet in any::<bool>(),
    ) {
        let conversation = if quiet { Conversation::PromptsOnly } else { Conversation::Messages };
        let (mut session, _) = Session::start::<u32>(script(conversation, Echo::Off));
        let mut log = vec!["look_up".to_owned()];
        for given in &events {
            let (next, effects) = session.step(event(given));
            log.extend(effects.iter().map(word));
            session = next;
        }
        let ends = |word: &&String| ["admit", "skip", "gone", "refuse"].iter().any(|end| word.starts_with(end));
        prop_assert!(log.iter().filter(ends).count() <= 1, "{log:?}");
        // Whoever gets in has answered or touched a key, and that was judged, right before; or had shown something
        // that counts before they were looked up, and are asked for nothing.
        if log.last().is_some_and(|word| word == "admit 42") && events.first() == Some(&"shown 42") {
            prop_assert_eq!(&log, &["look_up", "admit 42"]);
        } else if let Some(admitted) = log.iter().position(|word| word.starts_with("admit")) {
            prop_assert_eq!(&log[admitted], "admit 42");
            let judged = &log[admitted - 1];
            let (touched, typed) = (["touch", "ask or touch"], ["judge ", "complete ", "prove "]);
            let by = |how: &[&str]| how.iter().any(|how| judged.starts_with(how));
            prop_assert!(by(&touched) || (by(&typed) && log[admitted - 2].starts_with("ask ")), "{:?}", log);
        }
        // A challenge that was opened is answered or given up, and nothing else is.
        let cancelled = log.iter().filter(|word| *word == "cancel").count();
        prop_assert!(cancelled <= 1 && (cancelled == 0 || log.iter().any(|word| word.starts_with("open "))));
        if log.iter().any(|word| word == "skip") {
            prop_assert_eq!(events.first(), Some(&"found skip"));
        }
        if quiet {
            prop_assert!(!log.iter().any(|word| word.starts_with("tell")));
        }
    }
}
