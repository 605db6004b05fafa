//! The account phase: with `enforce`, no login without a second factor for who must have one.
//!
//! A program may let a user in without the auth phase, as sshd does with a public key alone. The
//! account phase still runs, and is the last place to ask for what was left out.
#![forbid(unsafe_code)]

use oss2fa_core::wire::{AccountAnswer, AgentMessage, Conversation, Login, ModuleMessage};

use crate::agent::{Agent, AgentError};
use crate::login::{debug, narrower};
use crate::options::{Enforcement, Options, Phase};
use crate::outcome::{Ending, Failure};
use crate::pam::{Pam, Style};
use crate::system::System;
use crate::who;

/// `pam_sm_acct_mgmt`. `shown` as in [`crate::login::authenticate`].
pub fn manage(
    pam: &mut impl Pam,
    system: &impl System,
    arguments: &[Vec<u8>],
    shown: Conversation,
) -> Ending {
    let ending = decide(pam, system, arguments, shown).unwrap_or_else(Ending::Failed);
    if let Ending::Failed(failure) = &ending {
        pam.log(failure.severity(), &failure.to_string());
    }
    ending
}

fn decide(
    pam: &mut impl Pam,
    system: &impl System,
    arguments: &[Vec<u8>],
    shown: Conversation,
) -> Result<Ending, Failure> {
    let began = system.now();
    let options = Options::parse(arguments, Phase::Account)?;
    match options.enforcement {
        Enforcement::Off => return Ok(Ending::NoOpinion),
        Enforcement::On => {}
    }
    let login = who::logs_in(pam)?;
    if let Some(proof) = pam.kept()?.filter(|proof| proof.covers(&login)) {
        debug(pam, &options, || format!("{:?} has shown a second factor", login.user));
        return Ok(Ending::SeenBefore(proof));
    }
    debug(pam, &options, || format!("{:?} has shown no second factor here", login.user));
    let mut agent = Agent::connect(system, &options, began)?;
    agent.say(&ModuleMessage::Account(login.clone()))?;
    let ending = ask(pam, &mut agent, narrower(options.conversation, shown))?;
    if let Ending::NotRequired = ending {
        who::is_still(pam, &login)?;
    }
    debug(pam, &options, || said(&ending, &login));
    Ok(ending)
}

fn ask<S: System>(
    pam: &mut impl Pam,
    agent: &mut Agent<'_, S>,
    conversation: Conversation,
) -> Result<Ending, Failure> {
    loop {
        match agent.hear()? {
            AgentMessage::Account { answer: AccountAnswer::NotRequired } => return Ok(Ending::NotRequired),
            AgentMessage::Account { answer: AccountAnswer::Required } => return Ok(Ending::Unproven),
            AgentMessage::Done { outcome } => return Ok(Ending::of_account(outcome)),
            AgentMessage::Tell { text } => match conversation {
                // Not every program shows it, and the refusal stands without it.
                Conversation::Messages => drop(pam.message(Style::Error, text.as_str())),
                Conversation::PromptsOnly => {}
            },
            AgentMessage::Ask { .. } => return Err(AgentError::OutOfPlace("a prompt").into()),
        }
    }
}

fn said(ending: &Ending, login: &Login) -> String {
    format!("the agent on {:?}: {ending:?}", login.user)
}
