//! The auth phase: say who logs in, show what the agent asks and tells, report what it decided.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{AgentMessage, Conversation, ModuleMessage, Outcome, Start};

use crate::agent::{Agent, AgentError};
use crate::options::{Options, Phase, Verbosity};
use crate::outcome::{Ending, Failure};
use crate::pam::{Pam, Severity, Style};
use crate::system::System;
use crate::who;

/// `pam_sm_authenticate`. `shown` is what the application's flags let the module show
/// (`PAM_SILENT`: prompts only).
pub fn authenticate(
    pam: &mut impl Pam,
    system: &impl System,
    arguments: &[Vec<u8>],
    shown: Conversation,
) -> Ending {
    let ending = attempt(pam, system, arguments, shown).unwrap_or_else(Ending::Failed);
    if let Ending::Failed(failure) = &ending {
        pam.log(failure.severity(), &failure.to_string());
    }
    ending
}

fn attempt(
    pam: &mut impl Pam,
    system: &impl System,
    arguments: &[Vec<u8>],
    shown: Conversation,
) -> Result<Ending, Failure> {
    let began = system.now();
    // First of all: whatever happens here, an earlier login on this handle no longer counts.
    pam.keep(None)?;
    let options = Options::parse(arguments, Phase::Auth)?;
    let conversation = narrower(options.conversation, shown);
    let login = who::logs_in(pam)?;
    debug(pam, &options, || format!("{:?} logs in at {:?}", login.user, login.service));

    let mut agent = Agent::connect(system, &options, began)?;
    agent.say(&ModuleMessage::Start(Start {
        login: login.clone(),
        conversation,
        prompt: options.prompt.clone(),
        echo: options.echo,
        ssh: who::by_ssh(pam),
    }))?;
    let outcome = converse(pam, &mut agent, &options, conversation)?;
    debug(pam, &options, || format!("the agent's outcome: {outcome:?}"));

    let ending = Ending::of_auth(outcome, &login);
    match &ending {
        Ending::Verified(proof) => {
            who::is_still(pam, &login)?;
            pam.keep(Some(proof.clone()))?;
        }
        Ending::Skipped => who::is_still(pam, &login)?,
        _ => {}
    }
    Ok(ending)
}

fn converse<S: System>(
    pam: &mut impl Pam,
    agent: &mut Agent<'_, S>,
    options: &Options,
    conversation: Conversation,
) -> Result<Outcome, Failure> {
    loop {
        match agent.hear()? {
            AgentMessage::Ask { echo, text } => match pam.prompt(echo, text.as_str()) {
                Ok(text) => agent.say(&ModuleMessage::Answer { text })?,
                Err(error) => {
                    // Closing the connection says the same; this only says it sooner.
                    let told = agent.say(&ModuleMessage::Cancel);
                    debug(pam, options, || format!("the user left: {error}; told the agent: {told:?}"));
                    return Err(error.into());
                }
            },
            AgentMessage::Tell { text } => match conversation {
                Conversation::Messages => {
                    if let Err(error) = pam.message(Style::Info, text.as_str()) {
                        debug(pam, options, || format!("a message was not shown: {error}"));
                    }
                }
                Conversation::PromptsOnly => debug(pam, options, || "a message was kept back".to_owned()),
            },
            AgentMessage::Done { outcome } => return Ok(outcome),
            AgentMessage::Account { .. } => return Err(AgentError::OutOfPlace("an account answer").into()),
        }
    }
}

/// The less that two sides can show.
#[must_use]
pub fn narrower(one: Conversation, other: Conversation) -> Conversation {
    match (one, other) {
        (Conversation::Messages, Conversation::Messages) => Conversation::Messages,
        (Conversation::PromptsOnly, _) | (_, Conversation::PromptsOnly) => Conversation::PromptsOnly,
    }
}

/// One line for the log where the stack says `debug`.
pub fn debug(pam: &impl Pam, options: &Options, line: impl FnOnce() -> String) {
    match options.verbosity {
        Verbosity::Normal => {}
        Verbosity::Debug => pam.log(Severity::Debug, &line()),
    }
}
