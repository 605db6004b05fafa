//! `enroll yubikey-hmac` and `enroll yubico-otp`: YubiKeys by what they answer and by what they type.

use clap::ValueEnum;
use oss2fa_core::factor::yubico_otp::{PublicId, TypedOtp};
use oss2fa_core::ids::DeviceName;

use super::arguments::shown_id;
use super::code::Code;
use super::context::Context;
use super::failure::{Failure, OwnCode};
use super::proof::Proof;
use crate::admin::{Request, Response, TypistEnrollment, TypistSecrets, YubikeyEnrollment, YubikeySlot};

/// What belongs to YubiKeys alone.
#[derive(Debug, clap::Args)]
pub(crate) struct YubikeyOptions {
    /// Which slot of the YubiKey answers challenges; yubikey-hmac only [default: 2]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "1|2")]
    slot: Option<Slot>,
    /// Keep the YubiKey's own secrets on this host, instead of asking validation servers; yubico-otp only
    #[arg(long)]
    own_secrets: bool,
    /// The private id among them, 12 hexadecimal digits; asked for where it is left out, "-" reads it from standard input
    #[arg(long, value_name = "HEX", requires = "own_secrets")]
    private_id: Option<Code>,
    /// The AES key among them, 32 hexadecimal digits; asked for as well
    #[arg(long, value_name = "HEX", requires = "own_secrets")]
    aes_key: Option<Code>,
    /// Refuse every YubiKey but the one with this public id; yubico-otp only
    #[arg(long, value_name = "MODHEX", value_parser = PublicId::parse)]
    public_id: Option<PublicId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Slot {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

/// How a YubiKey is a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// It answers challenges while it is plugged in.
    Answers,
    /// It types passwords.
    Passwords,
}

/// What both enrolments need.
pub(crate) struct Wanted<'e> {
    pub(crate) user: String,
    pub(crate) name: &'e Option<DeviceName>,
    pub(crate) proof: &'e Proof,
}

impl YubikeyOptions {
    /// What is wrong with them where a device of this kind is enrolled; `None` for one that is no YubiKey.
    pub(crate) fn misused(&self, by: Option<By>) -> Option<&'static str> {
        let of_passwords = self.own_secrets || self.public_id.is_some();
        match by {
            Some(By::Answers) if !of_passwords => None,
            Some(By::Passwords) if self.slot.is_none() => None,
            None if self.slot.is_none() && !of_passwords => None,
            Some(By::Passwords) => Some("--slot belongs to yubikey-hmac alone"),
            Some(By::Answers) => Some("--own-secrets and --public-id belong to yubico-otp alone"),
            None => Some("--slot belongs to yubikey-hmac alone, --own-secrets and --public-id to yubico-otp"),
        }
    }

    pub(crate) fn enroll(
        &self,
        by: By,
        wanted: &Wanted<'_>,
        context: &mut Context<'_, '_>,
    ) -> Result<(), Failure> {
        let answer = match by {
            By::Answers => self.by_answers(wanted, context)?,
            By::Passwords => self.by_passwords(wanted, context)?,
        };
        let Response::Device(view) = answer else { return Err(Failure::out_of_place(&answer)) };
        let counts = match by {
            By::Answers => "counts from the next login at this host on, while it is plugged in",
            By::Passwords => "counts from the next login on: touch it where a code is asked for",
        };
        let words = format!(
            "Done: device {} ({}) of {} {counts}.\nFor the day it is lost, make recovery codes, or have root enrol \
             another one:\n  {}",
            shown_id(view.device),
            view.name,
            view.user,
            context.hint("recovery-codes", &wanted.user)
        );
        context.answer(&view, &words)
    }

    fn by_answers(&self, wanted: &Wanted<'_>, context: &mut Context<'_, '_>) -> Result<Response, Failure> {
        let slot = match self.slot {
            Some(Slot::One) => YubikeySlot::One,
            Some(Slot::Two) | None => YubikeySlot::Two,
        };
        let agent = context.agent()?;
        wanted.proof.send_talking(&agent, context, |proof| {
            Request::EnrollYubikey(YubikeyEnrollment {
                user: wanted.user.clone(),
                slot,
                name: wanted.name.clone(),
                proof,
            })
        })
    }

    fn by_passwords(&self, wanted: &Wanted<'_>, context: &mut Context<'_, '_>) -> Result<Response, Failure> {
        let agent = context.agent()?;
        let mut secret = |given: &Option<Code>, question: &str| match given {
            Some(given) => given.read(context.console),
            None => context.console.ask_hidden(question),
        };
        let secrets = match self.own_secrets {
            true => Some(TypistSecrets {
                private_id: secret(&self.private_id, "Private id (12 hexadecimal digits, not shown): ")?,
                key: secret(&self.aes_key, "AES key (32 hexadecimal digits, not shown): ")?,
            }),
            false => None,
        };
        let otp = context.console.ask_hidden("Touch your YubiKey (what it types is not shown): ")?;
        if let (Some(meant), Some(typed)) = (&self.public_id, TypedOtp::read(otp.expose()))
            && typed.public_id() != meant
        {
            let what = format!("the YubiKey that was touched has the public id {}", typed.public_id());
            return Err(Failure::new(OwnCode::BadUsage, what));
        }
        wanted.proof.send(&agent, context, |proof| {
            Request::EnrollTypist(TypistEnrollment {
                user: wanted.user.clone(),
                name: wanted.name.clone(),
                otp: otp.clone(),
                secrets: secrets.clone(),
                proof,
            })
        })
    }
}
