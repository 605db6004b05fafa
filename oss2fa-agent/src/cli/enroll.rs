//! `enroll`: a new device, which counts once its first code was shown.

use std::path::Path;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use oss2fa_core::factor::otp::{Algorithm, Digits, OtpParameters, Period};
use oss2fa_core::ids::{DeviceId, DeviceName};

use super::arguments::{device_name, shown_id};
use super::context::{Context, Form, Output, Whose};
use super::enroll_ssh;
use super::failure::{Failure, OwnCode};
use super::proof::{Proof, TRIES};
use super::provisioning;
use crate::admin::{
    Enrolled, KeyEnrollment, KeyKind, OtpKind, Place, RefusalCode, Request, Response, SentKind,
};

/// Add an authenticator app, a code token, a security key, or an address for codes
///
/// Shows a QR code for the app, asks for the first code, and only then makes the device count. With
/// --json it prints the provisioning URI instead, and the device waits for `oss2fa-agent confirm`.
///
/// A security key is touched while it is plugged into this host, and then counts at once.
///
/// A key of ssh that lives on a security key is known by the file that ends in .pub.
///
/// On a host that asks a server the device is the server's: it counts on all its hosts.
///
/// Many apps know only the default digits, algorithm and period, and ignore others without a word.
#[derive(Debug, clap::Args)]
pub(crate) struct Enroll {
    /// How its codes are made
    kind: Kind,
    /// Where codes are sent to, for email and sms; the file that ends in .pub, for ssh-sk
    #[arg(value_name = "ADDRESS|FILE")]
    address: Option<String>,
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
    /// On this host alone, also where it asks a server: for an account that must get in without one (root)
    #[arg(long)]
    local: bool,
    /// Ask for the security key's PIN at each login with it; fido2 only
    #[arg(long)]
    pin: bool,
    /// Keep the credential in the security key, where other programs can find it by itself; fido2 only
    #[arg(long)]
    resident: bool,
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
    /// By the server, which sends them by e-mail
    Email,
    /// By the server, which sends them by SMS
    Sms,
    /// By a counter; they count on this host, and only while its server cannot be reached
    Offline,
    /// None: a security key that speaks FIDO2 is touched, plugged into this host
    Fido2,
    /// None: a security key that speaks U2F is touched, plugged into this host
    U2f,
    /// None: a key of ssh (ssh-keygen -t ecdsa-sk or ed25519-sk) is touched at the other end of ssh
    SshSk,
}

impl Kind {
    fn of_key(self) -> Option<KeyKind> {
        match self {
            Self::Fido2 => Some(KeyKind::Fido2),
            Self::U2f => Some(KeyKind::U2f),
            Self::Totp | Self::Hotp | Self::Email | Self::Sms | Self::Offline | Self::SshSk => None,
        }
    }
}

impl Enroll {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let misused = |what: &str| Err(Failure::new(OwnCode::BadUsage, what));
        match (self.kind, &self.address) {
            (Kind::Email | Kind::Sms, None) => {
                return misused("name the address: oss2fa-agent enroll email ADDRESS");
            }
            (Kind::SshSk, None) => {
                return misused("name the file with its public part: oss2fa-agent enroll ssh-sk FILE.pub");
            }
            (Kind::Totp | Kind::Hotp | Kind::Offline | Kind::Fido2 | Kind::U2f, Some(_)) => {
                return misused("an address belongs to email and sms alone");
            }
            _ => {}
        }
        if self.kind != Kind::Totp && self.period.is_some() {
            return misused(
                "--period belongs to totp: the codes of a hotp device go by a counter, not by the clock",
            );
        }
        let by_app = matches!(self.kind, Kind::Totp | Kind::Hotp);
        if !by_app
            && (self.local || self.digits != Digits::default() || self.algorithm != Algorithm::default())
        {
            return misused("--local, --digits and --algorithm belong to totp and hotp alone");
        }
        if self.kind != Kind::Fido2 && (self.pin || self.resident) {
            return misused("--pin and --resident belong to fido2 alone");
        }
        let user = context.user(&self.whose)?;
        if let Some(kind) = self.kind.of_key() {
            return self.enroll_key(context, user, kind);
        }
        if let (Kind::SshSk, Some(file)) = (self.kind, &self.address) {
            return enroll_ssh::run(context, &user, Path::new(file), self.name.as_ref(), &self.proof);
        }
        let agent = context.agent()?;
        let parameters = OtpParameters {
            algorithm: self.algorithm,
            digits: self.digits,
            period: self.period.unwrap_or_default(),
        };
        let by_clock_or_counter = |kind, proof| Request::Enroll {
            user: user.clone(),
            kind,
            name: self.name.clone(),
            parameters,
            proof,
            place: if self.local { Place::Host } else { Place::Usual },
        };
        let sent = |kind, proof| Request::EnrollAddress {
            user: user.clone(),
            kind,
            address: self.address.clone().unwrap_or_default(),
            proof,
        };
        let answer = self.proof.send(&agent, context, |proof| match self.kind {
            Kind::Totp => by_clock_or_counter(OtpKind::Totp, proof),
            Kind::Hotp => by_clock_or_counter(OtpKind::Hotp, proof),
            Kind::Email => sent(SentKind::Email, proof),
            Kind::Sms => sent(SentKind::Sms, proof),
            Kind::Offline | Kind::Fido2 | Kind::U2f | Kind::SshSk => {
                Request::EnrollOffline { user: user.clone(), name: self.name.clone(), proof }
            }
        })?;
        let enrolled = match answer {
            Response::Enrolled(enrolled) => enrolled,
            Response::CodeSent(sent) if context.form == Form::Json => return context.console.json(&sent),
            Response::CodeSent(sent) => {
                context.console.say(&format!("A code was sent to {}.", sent.to))?;
                return self.prove(context, &user, sent.device, Place::Server);
            }
            other => return Err(Failure::out_of_place(&other)),
        };
        if context.form == Form::Json {
            if let (Place::Server, Some(name)) = (enrolled.place, &self.name) {
                context.console.note(&format!(
                    "The server names a device when it is confirmed: add --name '{name}' to \"confirm\"."
                ))?;
            }
            return context.console.json(&enrolled);
        }
        provisioning::show(context, &user, &enrolled.provisioning_uri)?;
        let Enrolled { device, place, .. } = enrolled;
        self.prove(context, &user, device, place)
    }

    fn enroll_key(&self, context: &mut Context<'_, '_>, user: String, kind: KeyKind) -> Result<(), Failure> {
        let agent = context.agent()?;
        let answer = self.proof.send_talking(&agent, context, |proof| {
            Request::EnrollKey(KeyEnrollment {
                user: user.clone(),
                kind,
                name: self.name.clone(),
                resident: self.resident,
                pin: self.pin,
                proof,
            })
        })?;
        let Response::Device(view) = answer else { return Err(Failure::out_of_place(&answer)) };
        let words = format!(
            "Done: device {} ({}) of {} counts from the next login at this host on.\n\
             For the day it is lost, enrol another one, or make recovery codes:\n  {}",
            shown_id(view.device),
            view.name,
            view.user,
            context.hint("recovery-codes", &user)
        );
        context.answer(&view, &words)
    }

    fn prove(
        &self,
        context: &mut Context<'_, '_>,
        user: &str,
        device: DeviceId,
        place: Place,
    ) -> Result<(), Failure> {
        let agent = context.agent()?;
        let number = shown_id(device);
        let confirm = context.hint("confirm", user);
        let mut later = format!(
            "Device {number} waits for its first code and does not count before that:\n  {confirm} --device {number} CODE"
        );
        if place != Place::Server {
            let remove = context.hint("remove", user);
            later.push_str(&format!("\nor remove it:\n  {remove} --device {number}"));
        }
        let name = || self.name.clone().filter(|_| place == Place::Server);
        for left in (0..TRIES).rev() {
            let code =
                context.console.ask("First code from it: ").map_err(|failure| failure.with_advice(&later))?;
            match agent.ask(&Request::Confirm { user: user.to_owned(), device, code, name: name() })? {
                Response::Device(view) => {
                    context.console.say(&format!(
                        "\nDone: device {} ({}) of {} is active and counts {}.",
                        shown_id(view.device),
                        view.name,
                        view.user,
                        self.counts_when()
                    ))?;
                    if self.kind == Kind::Offline {
                        return Ok(());
                    }
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

    fn counts_when(&self) -> &'static str {
        match self.kind {
            Kind::Offline => "on this host while its server cannot be reached",
            Kind::Totp | Kind::Hotp | Kind::Email | Kind::Sms | Kind::Fido2 | Kind::U2f | Kind::SshSk => {
                "from the next login on"
            }
        }
    }

    fn is_unusual(&self) -> bool {
        let usual = OtpParameters::default();
        self.digits != usual.digits
            || self.algorithm != usual.algorithm
            || self.period.is_some_and(|period| period != usual.period)
    }
}
