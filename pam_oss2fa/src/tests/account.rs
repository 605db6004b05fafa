//! The account phase.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{AccountAnswer, AgentMessage, Conversation, Login, ModuleMessage, Outcome};

use super::scripted_agent::{Act, ScriptedAgent};
use super::scripted_pam::{ScriptedPam, Step};
use super::{Host, ask, done, login, tell};
use crate::account::manage;
use crate::outcome::PamCode;
use crate::pam::{PamError, Style};
use crate::proof::Proof;

fn run(pam: &mut ScriptedPam, agent: &ScriptedAgent, more: &[&str]) -> PamCode {
    let mut arguments = vec![agent.argument()];
    arguments.extend(more.iter().map(|it| it.as_bytes().to_vec()));
    manage(pam, &Host::new(), &arguments, Conversation::Messages).code()
}

fn answering(messages: Vec<AgentMessage>) -> ScriptedAgent {
    let mut acts = vec![Act::Hear(ModuleMessage::Account(login()))];
    acts.extend(messages.into_iter().map(Act::Say));
    ScriptedAgent::new(acts)
}

fn says(answer: AccountAnswer) -> AgentMessage {
    AgentMessage::Account { answer }
}

fn not_called() -> ScriptedAgent {
    ScriptedAgent::new(vec![Act::HearNothing])
}

#[test]
fn without_enforce_it_has_no_opinion() {
    let mut pam = ScriptedPam::new([]);
    assert_eq!(run(&mut pam, &not_called(), &[]), PamCode::Ignore);
    assert_eq!(run(&mut pam, &not_called(), &["quiet", "debug", "timeout=5"]), PamCode::Ignore);
}

#[test]
fn an_argument_that_is_not_understood_refuses_also_here() {
    let mut pam = ScriptedPam::new([]);
    assert_eq!(run(&mut pam, &not_called(), &["enforced"]), PamCode::ServiceErr);
    assert!(pam.logged().contains("\"enforced\""), "{}", pam.logged());
}

#[test]
fn a_second_factor_in_this_transaction_is_enough() {
    let mut pam = ScriptedPam::new([]);
    pam.proof = Proof::from_agent(Outcome::Verified, &login());
    assert_eq!(run(&mut pam, &not_called(), &["enforce"]), PamCode::Success);
}

#[test]
fn a_second_factor_of_another_user_or_service_is_none() {
    for other in [
        Login { user: "root".to_owned(), ..login() },
        Login { user: "Ferris".to_owned(), ..login() },
        Login { service: "sudo".to_owned(), ..login() },
    ] {
        let mut pam = ScriptedPam::new([]);
        pam.proof = Proof::from_agent(Outcome::Verified, &other);
        let agent = answering(vec![says(AccountAnswer::Required)]);
        assert_eq!(run(&mut pam, &agent, &["enforce"]), PamCode::PermDenied);
    }
}

#[test]
fn who_must_have_one_and_has_shown_none_is_refused_with_the_agent_s_words() {
    let agent = answering(vec![tell("Log in with a code."), says(AccountAnswer::Required)]);
    for taken in [Ok(()), Err(PamError::Conversation)] {
        let mut pam = ScriptedPam::new([Step::Message(Style::Error, "Log in with a code.", taken)]);
        let agent = match taken {
            Ok(()) => &agent,
            Err(_) => &answering(vec![tell("Log in with a code."), says(AccountAnswer::Required)]),
        };
        assert_eq!(run(&mut pam, agent, &["enforce"]), PamCode::PermDenied);
    }
}

#[test]
fn quiet_keeps_the_words_back_and_refuses_all_the_same() {
    let agent = answering(vec![tell("Log in with a code."), says(AccountAnswer::Required)]);
    let mut pam = ScriptedPam::new([]);
    assert_eq!(run(&mut pam, &agent, &["enforce", "quiet"]), PamCode::PermDenied);
}

#[test]
fn who_needs_none_is_let_in() {
    let agent = answering(vec![says(AccountAnswer::NotRequired)]);
    assert_eq!(run(&mut ScriptedPam::new([]), &agent, &["enforce"]), PamCode::Success);
}

#[test]
fn an_outcome_decides_nothing_here() {
    for (outcome, code) in [
        (Outcome::Verified, PamCode::AuthinfoUnavail),
        (Outcome::Refused, PamCode::AuthinfoUnavail),
        (Outcome::Locked, PamCode::AuthinfoUnavail),
        (Outcome::UserUnknown, PamCode::UserUnknown),
        (Outcome::NotEnrolled, PamCode::AuthinfoUnavail),
        (Outcome::Skipped, PamCode::AuthinfoUnavail),
        (Outcome::Unavailable, PamCode::AuthinfoUnavail),
        (Outcome::Misconfigured, PamCode::ServiceErr),
    ] {
        let agent = answering(vec![done(outcome)]);
        assert_eq!(run(&mut ScriptedPam::new([]), &agent, &["enforce"]), code, "{outcome:?}");
    }
}

#[test]
fn a_prompt_has_no_place_here() {
    let agent = answering(vec![ask("Code: ")]);
    assert_eq!(run(&mut ScriptedPam::new([]), &agent, &["enforce"]), PamCode::AuthinfoUnavail);
}

#[test]
fn an_agent_that_is_away_refuses() {
    let mut pam = ScriptedPam::new([]);
    let arguments = [b"socket=/nonexistent/agent.sock".to_vec(), b"enforce".to_vec()];
    let ending = manage(&mut pam, &Host::new(), &arguments, Conversation::Messages);
    assert_eq!(ending.code(), PamCode::AuthinfoUnavail);
    assert!(pam.logged().contains("/nonexistent/agent.sock"), "{}", pam.logged());
}
