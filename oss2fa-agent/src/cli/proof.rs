//! A change to an existing set of factors needs a fresh code from one of them.

use oss2fa_core::secret::SecretText;

use super::code::Code;
use super::connection::Agent;
use super::context::Context;
use super::failure::Failure;
use crate::admin::{RefusalCode, Request, Response};

/// How often a person is asked for a code.
pub(crate) const TRIES: usize = 3;

/// `--code`, for the commands that may need one.
#[derive(Debug, clap::Args)]
pub(crate) struct Proof {
    /// A fresh code from one of the devices that are there already; "-" reads it from standard input
    #[arg(long, value_name = "PROOF")]
    code: Option<Code>,
}

impl Proof {
    /// Sends the request with the code that was given, or asks for one when the daemon wants it.
    pub(crate) fn send(
        &self,
        agent: &Agent,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
    ) -> Result<Response, Failure> {
        self.exchange(context, request, |_, request| agent.ask(request))
    }

    /// The same for a request that is a conversation with whoever holds a security key.
    pub(crate) fn send_talking(
        &self,
        agent: &Agent,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
    ) -> Result<Response, Failure> {
        self.exchange(context, request, |context, request| agent.talk(context.console, request))
    }

    fn exchange(
        &self,
        context: &mut Context<'_, '_>,
        request: impl Fn(Option<SecretText>) -> Request,
        ask: impl Fn(&mut Context<'_, '_>, &Request) -> Result<Response, Failure>,
    ) -> Result<Response, Failure> {
        let given = self.code.as_ref().map(|code| code.read(context.console)).transpose()?;
        let may_ask = given.is_none() && context.can_ask();
        let mut answer = ask(context, &request(given))?;
        let mut tries = 0;
        loop {
            match answer {
                Response::Refused(refused) if may_ask && tries < TRIES && asks_again(refused.code, tries) => {
                    if tries > 0 {
                        context.console.note(&refused.message)?;
                    }
                    let code = context.console.ask("Code from one of your devices: ")?;
                    answer = ask(context, &request(Some(code)))?;
                    tries += 1;
                }
                Response::Refused(refused) => {
                    let lacks_code = refused.code == RefusalCode::ProofNeeded;
                    let failure = Failure::from(refused);
                    return Err(if lacks_code {
                        failure.with_advice("Give one with --code CODE, or with --code - on standard input.")
                    } else {
                        failure
                    });
                }
                done => return Ok(done),
            }
        }
    }
}

fn asks_again(code: RefusalCode, tries: usize) -> bool {
    code == RefusalCode::ProofNeeded || (code == RefusalCode::CodeRefused && tries > 0)
}
