//! `enroll`: a new device, which counts once its first code was shown.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use oss2fa_core::factor::otp::{Algorithm, Digits, OtpParameters, Period};
use oss2fa_core::ids::DeviceName;

use super::arguments::device_name;
use super::context::{Context, Form, Output, Whose};
use super::failure::{Failure, OwnCode};
use super::proof::{Proof, TRIES};
use super::provisioning;
use crate::admin::{Enrolled, OtpKind, RefusalCode, Request, Response};

/// Add an authenticator app or a code token
///
/// Shows a QR code for the app, asks for the first code, and only then makes the device count. With
/// --json it prints the provisioning URI instead, and the device waits for `oss2fa-agent confirm`.
///
/// Many apps know only the default digits, algorithm and period, and ignore others without a word.
#[derive(Debug, clap::Args)]
pub(crate) struct Enroll {
    /// How its codes are made
    kind: Kind,
    #[command(flatten)]
    whose: Whose,
    /// What you call it, for example "phone"
    #[arg(long, short, value_parser = device_name)]
    name: Option<DeviceName>,
    /// Length of a code
    #[arg(long, default_value = "6", value_parser =
        PossibleValuesParser::new(["6", "7", "8"]).try_map(|text| text.parse::<Digits>()))]
    digits: Digits,
    /// The hash inside
    #[arg(long, default_value = "sha1", value_parser =
        PossibleValuesParser::new(["sha1", "sha256", "sha512"]).try_map(|text| text.parse::<Algorithm>()))]
    algorithm: Algorithm,
    /// Seconds from one code to the next, 15 to 300; totp only [default: 30]
    #[arg(long, value_name = "SECONDS")]
    period: Option<Period>,
    #[command(flatten)]
    proof: Proof,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// By the clock, as authenticator apps do (RFC 6238)
    Totp,
    /// By a counter, as tokens with a button do (RFC 4226)
    Hotp,
}

impl Enroll {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let kind = match self.kind {
            Kind::Totp => OtpKind::Totp,
            Kind::Hotp if self.period.is_some() => {
                return Err(Failure::new(
                    OwnCode::BadUsage,
                    "--period belongs to totp: the codes of a hotp device go by a counter, not by the clock",
                ));
            }
            Kind::Hotp => OtpKind::Hotp,
        };
        let user = context.user(&self.whose)?;
        let agent = context.agent()?;
        let parameters = OtpParameters {
            algorithm: self.algorithm,
            digits: self.digits,
            period: self.period.unwrap_or_default(),
        };
        let answer = self.proof.send(&agent, context, |proof| Request::Enroll {
            user: user.clone(),
            kind,
            name: self.name.clone(),
            parameters,
            proof,
        })?;
        let enrolled = match answer {
            Response::Enrolled(enrolled) => enrolled,
            other => return Err(Failure::out_of_place(&other)),
        };
        if context.form == Form::Json {
            return context.console.json(&enrolled);
        }
        provisioning::show(context, &user, &enrolled.provisioning_uri)?;
        self.prove(context, &user, &enrolled)
    }

    fn prove(&self, context: &mut Context<'_, '_>, user: &str, enrolled: &Enrolled) -> Result<(), Failure> {
        let agent = context.agent()?;
        let device = enrolled.device;
        let later = format!(
            "Device {device} waits for its first code and does not count before that:\n  {} --device {device} CODE\n\
             or remove it:\n  {} --device {device}",
            context.hint("confirm", user),
            context.hint("remove", user)
        );
        for left in (0..TRIES).rev() {
            let code =
                context.console.ask("First code from it: ").map_err(|failure| failure.with_advice(&later))?;
            match agent.ask(&Request::Confirm { user: user.to_owned(), device, code })? {
                Response::Device(view) => {
                    context.console.say(&format!(
                        "\nDone: device {device} ({}) of {} is active and counts from the next login on.",
                        view.name, view.user
                    ))?;
                    let next = context.hint("recovery-codes", user);
                    return context.console.say(&format!(
                        "For the day it is lost, make recovery codes and keep them on paper:\n  {next}"
                    ));
                }
                Response::Refused(refused) if refused.code == RefusalCode::CodeRefused && left > 0 => {
                    context.console.note(&refused.message)?;
                    if self.is_unusual() {
                        context.console.note(
                            "(Many apps know only 6 digits, sha1 and 30 seconds, and ignore other values without a word.)",
                        )?;
                    }
                }
                Response::Refused(refused) => return Err(Failure::from(refused).with_advice(&later)),
                other => return Err(Failure::out_of_place(&other)),
            }
        }
        Ok(())
    }

    fn is_unusual(&self) -> bool {
        let usual = OtpParameters::default();
        self.digits != usual.digits
            || self.algorithm != usual.algorithm
            || self.period.is_some_and(|period| period != usual.period)
    }
}
