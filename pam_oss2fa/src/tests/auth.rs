//! The auth phase with an agent that keeps to the protocol.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{
    AgentMessage, Conversation, DisplayText, Echo, Login, ModuleMessage, Outcome, SshAuthInfo, Start,
};

use super::scripted_agent::{Act, ScriptedAgent};
use super::scripted_pam::{ScriptedPam, Step};
use super::{Host, answer, ask, done, login, start, tell};
use crate::login::authenticate;
use crate::outcome::PamCode;
use crate::pam::{PamError, Severity, Style};
use crate::proof::Proof;

fn run(pam: &mut ScriptedPam, agent: &ScriptedAgent, more: &[&str], shown: Conversation) -> PamCode {
    let mut arguments = vec![agent.argument()];
    arguments.extend(more.iter().map(|it| it.as_bytes().to_vec()));
    authenticate(pam, &Host::new(), &arguments, shown).code()
}

fn typed(code: &'static str) -> Step {
    Step::Prompt(Echo::Off, "Code: ", Ok(code))
}

fn asking(outcome: Outcome) -> ScriptedAgent {
    ScriptedAgent::new(vec![
        Act::Hear(start()),
        Act::Say(ask("Code: ")),
        Act::Hear(answer("123456")),
        Act::Say(done(outcome)),
        Act::HearNothing,
    ])
}

#[test]
fn a_verified_code_is_success_and_leaves_a_proof() {
    let mut pam = ScriptedPam::new([typed("123456")]);
    assert_eq!(run(&mut pam, &asking(Outcome::Verified), &[], Conversation::Messages), PamCode::Success);
    assert!(pam.proof.as_ref().is_some_and(|proof| proof.covers(&login())));
    assert_eq!(pam.logged(), "");
}

#[test]
fn every_other_outcome_has_its_code_and_leaves_none() {
    for (outcome, code) in [
        (Outcome::Refused, PamCode::AuthErr),
        (Outcome::Locked, PamCode::MaxTries),
        (Outcome::UserUnknown, PamCode::UserUnknown),
        (Outcome::NotEnrolled, PamCode::AuthErr),
        (Outcome::Skipped, PamCode::Ignore),
        (Outcome::Unavailable, PamCode::AuthinfoUnavail),
        (Outcome::Misconfigured, PamCode::ServiceErr),
    ] {
        let mut pam = ScriptedPam::new([typed("123456")]);
        assert_eq!(run(&mut pam, &asking(outcome), &[], Conversation::Messages), code, "{outcome:?}");
        assert_eq!(pam.proof, None, "{outcome:?}");
    }
}

#[test]
fn a_failed_login_takes_the_proof_of_an_earlier_one_away() {
    let mut pam = ScriptedPam::new([typed("123456")]);
    pam.proof = Proof::from_agent(Outcome::Verified, &login());
    run(&mut pam, &asking(Outcome::Refused), &[], Conversation::Messages);
    assert_eq!(pam.proof, None);

    // Also where the module gets no further than its arguments.
    let mut pam = ScriptedPam::new([]);
    pam.proof = Proof::from_agent(Outcome::Verified, &login());
    let code = authenticate(&mut pam, &Host::new(), &[b"nullok".to_vec()], Conversation::Messages).code();
    assert_eq!(code, PamCode::ServiceErr);
    assert_eq!(pam.proof, None);
    assert!(pam.logged().starts_with("Error argument \"nullok\" in the PAM stack: "), "{}", pam.logged());
}

#[test]
fn prompts_and_messages_are_shown_as_the_agent_says() {
    let agent = ScriptedAgent::new(vec![
        Act::Hear(start()),
        Act::Say(tell("Two devices")),
        Act::Say(AgentMessage::Ask { echo: Echo::On, text: DisplayText::new("Which? ") }),
        Act::Hear(answer("b")),
        Act::SayInPieces(ask("Code: ")),
        Act::Hear(answer("")),
        Act::Say(tell("Goodbye")),
        Act::Say(done(Outcome::Refused)),
    ]);
    let mut pam = ScriptedPam::new([
        Step::Message(Style::Info, "Two devices", Ok(())),
        Step::Prompt(Echo::On, "Which? ", Ok("b")),
        typed(""),
        // Not every program takes a message: nothing depends on it.
        Step::Message(Style::Info, "Goodbye", Err(PamError::Conversation)),
    ]);
    assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), PamCode::AuthErr);
}

#[test]
fn a_message_that_is_not_taken_does_not_spoil_a_login() {
    let agent = ScriptedAgent::new(vec![
        Act::Hear(start()),
        Act::Say(tell("Hello")),
        Act::Say(done(Outcome::Verified)),
    ]);
    let mut pam = ScriptedPam::new([Step::Message(Style::Info, "Hello", Err(PamError::Conversation))]);
    assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), PamCode::Success);
}

#[test]
fn quiet_and_pam_silent_leave_prompts_alone() {
    for (more, shown) in [
        (&["quiet"][..], Conversation::Messages),
        (&[], Conversation::PromptsOnly),
        (&["quiet"], Conversation::PromptsOnly),
    ] {
        let agent = ScriptedAgent::new(vec![
            Act::Hear(ModuleMessage::Start(Start {
                login: login(),
                conversation: Conversation::PromptsOnly,
                prompt: None,
                echo: Echo::Off,
                ssh: None,
            })),
            Act::Say(tell("not shown")),
            Act::Say(ask("Code: ")),
            Act::Hear(answer("123456")),
            Act::Say(done(Outcome::Verified)),
        ]);
        let mut pam = ScriptedPam::new([typed("123456")]);
        assert_eq!(run(&mut pam, &agent, more, shown), PamCode::Success);
    }
}

#[test]
fn the_stack_s_words_reach_the_agent() {
    let agent = ScriptedAgent::new(vec![
        Act::Hear(ModuleMessage::Start(Start {
            login: login(),
            conversation: Conversation::Messages,
            prompt: Some("Your code: ".to_owned()),
            echo: Echo::On,
            ssh: None,
        })),
        Act::Say(done(Outcome::Refused)),
    ]);
    let mut pam = ScriptedPam::new([]);
    let code = run(&mut pam, &agent, &["prompt=Your code: ", "echo"], Conversation::Messages);
    assert_eq!(code, PamCode::AuthErr);
}

#[test]
fn leaving_at_a_prompt_is_a_conversation_error_and_cancels() {
    for error in [PamError::Conversation, PamError::Memory, PamError::Libpam] {
        let agent = ScriptedAgent::new(vec![
            Act::Hear(start()),
            Act::Say(ask("Code: ")),
            Act::Hear(ModuleMessage::Cancel),
            Act::HearNothing,
        ]);
        let mut pam = ScriptedPam::new([Step::Prompt(Echo::Off, "Code: ", Err(error))]);
        let expected = match error {
            PamError::Conversation => PamCode::ConvErr,
            PamError::Memory => PamCode::BufErr,
            PamError::Libpam => PamCode::SystemErr,
        };
        assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), expected);
        assert_eq!(pam.proof, None);
    }
}

#[test]
fn items_that_are_missing_are_left_out() {
    let bare = Login { tty: None, rhost: None, ..login() };
    for empty in [None, Some(Vec::new())] {
        let agent = ScriptedAgent::new(vec![
            Act::Hear(ModuleMessage::Start(Start {
                login: bare.clone(),
                conversation: Conversation::Messages,
                prompt: None,
                echo: Echo::Off,
                ssh: None,
            })),
            Act::Say(done(Outcome::Verified)),
        ]);
        let mut pam = ScriptedPam::new([]);
        pam.tty = empty.clone();
        pam.rhost = empty.clone();
        pam.ruser = empty;
        assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), PamCode::Success);
    }
}

#[test]
fn a_remote_host_that_is_not_text_stays_a_remote_host() {
    let agent = ScriptedAgent::new(vec![
        Act::Hear(ModuleMessage::Start(Start {
            login: Login { rhost: Some("h\u{fffd}st".to_owned()), ..login() },
            conversation: Conversation::Messages,
            prompt: None,
            echo: Echo::Off,
            ssh: None,
        })),
        Act::Say(done(Outcome::Refused)),
    ]);
    let mut pam = ScriptedPam::new([]);
    pam.rhost = Some(b"h\xffst".to_vec());
    assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), PamCode::AuthErr);
}

#[test]
fn without_a_user_or_a_service_the_agent_is_not_even_asked() {
    for (user, code) in [
        (Ok(b"ferr\xefs".to_vec()), PamCode::UserUnknown),
        (Ok(Vec::new()), PamCode::UserUnknown),
        (Err(PamError::Conversation), PamCode::ConvErr),
        (Err(PamError::Libpam), PamCode::SystemErr),
    ] {
        let mut pam = ScriptedPam::new([]);
        pam.user = user;
        assert_eq!(run(&mut pam, &never_called(), &[], Conversation::Messages), code);
    }
    for service in [None, Some(Vec::new()), Some(b"ssh\xff".to_vec())] {
        let mut pam = ScriptedPam::new([]);
        pam.service = service;
        assert_eq!(run(&mut pam, &never_called(), &[], Conversation::Messages), PamCode::ServiceErr);
    }
}

// Only the connection of the script's own end comes.
fn never_called() -> ScriptedAgent {
    ScriptedAgent::new(vec![Act::HearNothing])
}

#[test]
fn a_user_who_is_renamed_at_the_prompt_is_refused() {
    for outcome in [Outcome::Verified, Outcome::Skipped] {
        let mut pam = ScriptedPam::new([Step::Rename("root"), typed("123456")]);
        assert_eq!(run(&mut pam, &asking(outcome), &[], Conversation::Messages), PamCode::AuthErr);
        assert_eq!(pam.proof, None);
        assert!(pam.logged().contains("changed the user name"), "{}", pam.logged());
    }
}

#[test]
fn debug_logs_each_step_and_no_code() {
    let agent = ScriptedAgent::new(vec![
        Act::Hear(start()),
        Act::Say(ask("Code: ")),
        Act::Hear(answer("canary-314159")),
        Act::Say(done(Outcome::Verified)),
    ]);
    let mut pam = ScriptedPam::new([typed("canary-314159")]);
    assert_eq!(run(&mut pam, &agent, &["debug"], Conversation::Messages), PamCode::Success);
    let logged = pam.logged();
    assert!(logged.contains("\"ferris\" logs in at \"sshd\"") && logged.contains("Verified"), "{logged}");
    assert!(!logged.contains("canary"), "{logged}");
    assert!(pam.log.borrow().iter().all(|(severity, _)| *severity == Severity::Debug));
}

#[test]
fn a_name_with_line_breaks_makes_no_line_of_its_own_in_the_log() {
    let hostile = "x\nsshd[1]: Accepted password for root";
    let agent = ScriptedAgent::new(vec![
        Act::Hear(ModuleMessage::Start(Start {
            login: Login { user: hostile.to_owned(), ..login() },
            conversation: Conversation::Messages,
            prompt: None,
            echo: Echo::Off,
            ssh: None,
        })),
        Act::Say(done(Outcome::UserUnknown)),
    ]);
    let mut pam = ScriptedPam::new([]);
    pam.user = Ok(hostile.as_bytes().to_vec());
    assert_eq!(run(&mut pam, &agent, &["debug"], Conversation::Messages), PamCode::UserUnknown);
    assert!(pam.log.borrow().iter().all(|(_, line)| !line.contains('\n')));
}

#[test]
fn what_sshd_says_in_the_pam_environment_reaches_the_agent_and_nothing_else_of_it_does() {
    let said = b"publickey ssh-ed25519 AAAA\n";
    for (variables, ssh) in [
        (vec![("SSH_AUTH_INFO_0", said.to_vec())], Some(said.to_vec())),
        (vec![("SSH_AUTH_INFO", said.to_vec()), ("LANG", b"C".to_vec())], None),
        (vec![("SSH_AUTH_INFO_0", Vec::new())], None),
        (vec![("SSH_AUTH_INFO_0", vec![b'x'; 8 * 1024 + 1])], None),
        (vec![("SSH_AUTH_INFO_0", b"publickey \xff".to_vec())], None),
    ] {
        let agent = ScriptedAgent::new(vec![
            Act::Hear(ModuleMessage::Start(Start {
                login: login(),
                conversation: Conversation::Messages,
                prompt: None,
                echo: Echo::Off,
                ssh: ssh.map(|ssh| SshAuthInfo::new(&ssh).unwrap()),
            })),
            Act::Say(done(Outcome::Verified)),
        ]);
        let mut pam = ScriptedPam::new([]);
        pam.variables = variables;
        assert_eq!(run(&mut pam, &agent, &[], Conversation::Messages), PamCode::Success);
    }
}
