//! A change to an existing set of factors needs a fresh code from one of them, or the touch of a security key.

use oss2fa_core::secret::SecretText;

use super::code::Code;
use super::connection::Agent;
use super::context::Context;
use super::failure::Failure;
use crate::admin::{RefusalCode, Request, Response};

/// How often a person is asked for a code.
pub(crate) const TRIES: usize = 3;

/// `--code` and `--touch`, for the commands that may need one.
#[derive(Debug, clap::Args)]
pub(crate) struct Proof {
    /// A fresh code from one of the devices that are there already; "-" reads it from standard input
    #[arg(long, value_name = "PROOF")]
    code: Option<Code>,
    /// Show that it is you by touching a security key that is enrolled already, in place of a code
    #[arg(long, conflicts_with = "code")]
    touch: bool,
}

impl Proof {
    /// Sends the request with the code that was given, or asks for one, or for a touch, when the daemon wants it.
    pub(crate) fn send(
        &self,
        agent: &Agent,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
    ) -> Result<Response, Failure> {
        self.exchange(agent, context, request, |_, request| agent.ask(request))
    }

    /// The same for a request that is a conversation with whoever holds a security key.
    pub(crate) fn send_talking(
        &self,
        agent: &Agent,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
    ) -> Result<Response, Failure> {
        self.exchange(agent, context, request, |context, request| agent.talk(context.console, request))
    }

    fn exchange(
        &self,
        agent: &Agent,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
        ask: impl Fn(&mut Context<'_, '_>, &Request) -> Result<Response, Failure>,
    ) -> Result<Response, Failure> {
        let by_touch = |context: &mut Context<'_, '_>| {
            let change = Request::ByTouch { change: Box::new(request(None)) };
            agent.talk(context.console, &change).and_then(taken)
        };
        if self.touch {
            return by_touch(context);
        }
        let given = self.code.as_ref().map(|code| code.read(context.console)).transpose()?;
        let may_ask = given.is_none() && context.can_ask();
        let mut answer = ask(context, &request(given))?;
        let mut question = "Code from one of your devices: ";
        let mut tries = 0;
        loop {
            match answer {
                // Nothing has to be typed for it.
                Response::Refused(refused) if tries == 0 && refused.code == RefusalCode::TouchNeeded => {
                    return by_touch(context);
                }
                Response::Refused(refused) if may_ask && tries < TRIES && asks_again(refused.code, tries) => {
                    if tries > 0 {
                        context.console.note(&refused.message)?;
                    }
                    let or_touch = refused.code == RefusalCode::CodeOrTouchNeeded;
                    if or_touch {
                        question = "Code from one of your devices, or Enter to touch your security key: ";
                    }
                    let code = context.console.ask(question)?;
                    if or_touch && code.expose().is_empty() {
                        return by_touch(context);
                    }
                    answer = ask(context, &request(Some(code)))?;
                    tries += 1;
                }
                other => return taken(other),
            }
        }
    }
}

fn taken(answer: Response) -> Result<Response, Failure> {
    let Response::Refused(refused) = answer else { return Ok(answer) };
    let advice = match refused.code {
        RefusalCode::ProofNeeded => Some("Give one with --code CODE, or with --code - on standard input."),
        RefusalCode::CodeOrTouchNeeded => Some(
            "Give a code with --code CODE, or with --code - on standard input; or touch the key with --touch.",
        ),
        _ => None,
    };
    let failure = Failure::from(refused);
    Err(match advice {
        Some(advice) => failure.with_advice(advice),
        None => failure,
    })
}

fn asks_again(code: RefusalCode, tries: usize) -> bool {
    matches!(code, RefusalCode::ProofNeeded | RefusalCode::CodeOrTouchNeeded)
        || (code == RefusalCode::CodeRefused && tries > 0)
}
