//! Drives the security keys that are plugged in, for the tests with a real kernel:
//! `key_probe [--wait] [--seconds N] [--give-up] COMMAND`.
//!
//! `info`; `register HOW FILE ANCHOR`, which demands an attestation by the certificate ANCHOR and writes the
//! credential to FILE; `login HOW FILE...`, which tries the credentials on each key, and writes the counter back;
//! `serial`; `hmac SLOT CHALLENGE`. HOW is `u2f`, `touch` or `pin=PIN`.
//!
//! With `--wait` it begins when there is a key; with `--give-up` nobody waits any more once a touch is asked for.
//! It says on one line what came of it: status 0 for what was verified, 3 for what the key or its absence made
//! impossible, 4 for an answer that was refused.
#![expect(clippy::print_stdout, reason = "a program whose output a test reads")]

use std::fs;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use data_encoding::HEXLOWER;
use oss2fa_agent::outside::System;
use oss2fa_agent::token::usb::{UsbKey, plugged};
use oss2fa_agent::token::{Interface, Plugged};
use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::cose::{Algorithm, PublicKey};
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::ctap2::make_credential::Residence;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Owner, Proof, attestation_of};
use oss2fa_ctap::transport::{Go, Meanwhile, Patience};
use oss2fa_ctap::u2f;
use oss2fa_ctap::verify::{
    Aaguids, Anchor, AttestationPolicy, Credential, Demand, Login, Refusal, Registration, RegistrationPolicy,
    RpId, UserVerification,
};
use oss2fa_ctap::yubikey::{Challenge, Slot, TouchWait, YubiKey};
use serde::{Deserialize, Serialize};

const RP: &str = "oss2fa-test";

/// A credential, between two runs.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    public_key: String,
    counter: u32,
}

enum How {
    U2f,
    Touch,
    Pin(SecretText),
}

impl How {
    fn parse(word: &str) -> anyhow::Result<Self> {
        match word.split_once('=') {
            None if word == "u2f" => Ok(Self::U2f),
            None if word == "touch" => Ok(Self::Touch),
            Some(("pin", pin)) => Ok(Self::Pin(SecretText::new(pin.to_owned()))),
            _ => bail!("{word}: u2f, touch or pin=PIN"),
        }
    }

    fn proof(&self) -> Proof<'_> {
        match self {
            Self::U2f | Self::Touch => Proof::Touch,
            Self::Pin(pin) => Proof::Pin(pin),
        }
    }

    fn verification(&self) -> UserVerification {
        match self {
            Self::U2f | Self::Touch => UserVerification::NotAsked,
            Self::Pin(_) => UserVerification::Required,
        }
    }
}

/// What the command line said besides the command.
struct Options {
    wait: bool,
    give_up: bool,
    seconds: u64,
}

fn main() -> ExitCode {
    let begun = Instant::now();
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = options(&mut words).and_then(|options| run(&options, &words, begun));
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let (what, status) = if let Some(error) = error.downcast_ref::<KeyError>() {
                (format!("{error:?}"), 3)
            } else if let Some(refusal) = error.downcast_ref::<Refusal>() {
                (format!("refused: {refusal:?}"), 4)
            } else {
                (format!("{error:#}"), 2)
            };
            println!("{what} after {:.1} s", begun.elapsed().as_secs_f64());
            ExitCode::from(status)
        }
    }
}

fn options(words: &mut Vec<String>) -> anyhow::Result<Options> {
    let mut options = Options { wait: false, give_up: false, seconds: 20 };
    while words.first().is_some_and(|word| word.starts_with("--")) {
        match words.remove(0).as_str() {
            "--wait" => options.wait = true,
            "--give-up" => options.give_up = true,
            "--seconds" => options.seconds = words.remove(0).parse()?,
            other => bail!("{other} is no option"),
        }
    }
    Ok(options)
}

fn run(options: &Options, words: &[String], begun: Instant) -> anyhow::Result<String> {
    let mut asked = false;
    let mut watch = |what: Meanwhile| {
        if what == Meanwhile::TouchNeeded {
            if !asked {
                println!("touch it");
                let _shown = std::io::stdout().flush();
            }
            asked = true;
        }
        if asked && options.give_up { Go::Cancel } else { Go::On }
    };
    let deadline = begun + Duration::from_secs(options.seconds);
    let patience = &mut Patience::until(deadline, &mut watch);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["info"] => {
            let key = Key::open(UsbKey::open(&one(Interface::Fido, options, deadline)?)?, &System, patience)?;
            let info = key.info().ok_or(KeyError::Unsupported("CTAP2"))?;
            let model = HEXLOWER.encode(&info.aaguid.0);
            Ok(format!("{:?} {:?} model {model} PIN {:?}", info.versions, info.extensions, info.pin()))
        }
        ["register", how, file, anchor] => {
            let key = UsbKey::open(&one(Interface::Fido, options, deadline)?)?;
            register(key, &How::parse(how)?, file, anchor, patience)
        }
        ["login", how, files @ ..] => {
            let first = one(Interface::Fido, options, deadline)?;
            let keys: Vec<Plugged> =
                plugged()?.into_iter().filter(|key| key.interface == first.interface).collect();
            login(&keys, &How::parse(how)?, files, patience)
        }
        ["serial"] => {
            let mut key = YubiKey::new(UsbKey::open(&one(Interface::YubikeyOtp, options, deadline)?)?);
            Ok(key.serial(patience)?.to_string())
        }
        ["hmac", slot, challenge] => {
            let slot = if *slot == "1" { Slot::One } else { Slot::Two };
            let challenge = Challenge::from_bytes(challenge.as_bytes()).context("a challenge")?;
            let mut key = YubiKey::new(UsbKey::open(&one(Interface::YubikeyOtp, options, deadline)?)?);
            let answer = key.answer(slot, &challenge, TouchWait::Wait, patience)?;
            Ok(HEXLOWER.encode(answer.expose()))
        }
        _ => bail!("see the head of its source for how it is called"),
    }
}

/// The first key that is plugged in.
fn one(interface: Interface, options: &Options, deadline: Instant) -> anyhow::Result<Plugged> {
    let mut told = false;
    loop {
        if let Some(key) = plugged()?.into_iter().find(|key| key.interface == interface) {
            return Ok(key);
        }
        if !options.wait || Instant::now() > deadline {
            bail!("no key");
        }
        if !told {
            println!("plug it in");
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn register(
    key: UsbKey,
    how: &How,
    file: &str,
    anchor: &str,
    patience: &mut Patience<'_>,
) -> anyhow::Result<String> {
    let anchor = Anchor::from_der(&fs::read(anchor)?).map_err(|error| anyhow!("{error}"))?;
    let rp = RpId::new(RP).map_err(|error| anyhow!("{error}"))?;
    let policy = RegistrationPolicy {
        verification: how.verification(),
        algorithms: vec![Algorithm::Es256],
        protection: None,
        attestation: AttestationPolicy { demand: Demand::Anchored(vec![anchor]), models: Aaguids::Any },
    };
    let registration = Registration::fresh(rp.clone(), policy, &System).map_err(KeyError::from)?;
    let mut key = Key::open(key, &System, patience)?;
    let answer = if let How::U2f = how {
        let challenge = *registration.client_data().hash();
        attestation_of(u2f::register(key.channel(), &challenge, &rp.hash(), patience)?, &rp)
    } else {
        let owner = Owner { id: b"ferris", name: "ferris" };
        key.register(&registration, owner, &[], Residence::ById, how.proof(), &System, patience)?
    };
    let enrolled = registration.verify(&answer)?;
    let kept = Kept {
        id: HEXLOWER.encode(enrolled.id()),
        public_key: HEXLOWER.encode(&enrolled.public_key().to_cose()),
        counter: enrolled.sign_count(),
    };
    fs::write(file, serde_json::to_string(&kept)?)?;
    let model = if enrolled.aaguid() == Aaguid::NONE { "unknown" } else { "known" };
    let (format, attested, user) = (answer.format, enrolled.attested(), enrolled.user());
    Ok(format!("registered {format} {attested:?} user {user:?} model {model}"))
}

fn login(keys: &[Plugged], how: &How, files: &[&str], patience: &mut Patience<'_>) -> anyhow::Result<String> {
    let rp = RpId::new(RP).map_err(|error| anyhow!("{error}"))?;
    let mut credentials = Vec::new();
    for (number, file) in (1..).zip(files) {
        let kept: Kept = serde_json::from_slice(&fs::read(file)?)?;
        credentials.push(Credential {
            device: DeviceId(number),
            id: bytes(&kept.id)?,
            public_key: PublicKey::from_cose(&bytes(&kept.public_key)?)
                .map_err(|error| anyhow!("{error}"))?,
            sign_count: kept.counter,
            user_id: None,
        });
    }
    let ids: Vec<Vec<u8>> = credentials.iter().map(|credential| credential.id.clone()).collect();
    let login = Login::fresh(rp, how.verification(), &System).map_err(KeyError::from)?;
    for plugged in keys {
        let mut key = Key::open(UsbKey::open(plugged)?, &System, patience)?;
        let answer = match how {
            How::U2f => by_u2f(&mut key, &login, &ids, patience),
            How::Touch | How::Pin(_) => key.assert(&login, &ids, how.proof(), &System, patience),
        };
        let answer = match answer {
            Err(KeyError::NoCredential) => continue,
            other => other?,
        };
        let asserted = login.verify(&credentials, &answer)?;
        let number = usize::try_from(asserted.device().0 - 1)?;
        let file = files.get(number).context("one of the files")?;
        let mut kept: Kept = serde_json::from_slice(&fs::read(file)?)?;
        let rose = asserted.sign_count() > kept.counter;
        kept.counter = asserted.sign_count();
        fs::write(file, serde_json::to_string(&kept)?)?;
        return Ok(format!("logged in user {:?} counter rose: {rose} by {file}", asserted.user()));
    }
    Err(KeyError::NoCredential.into())
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    HEXLOWER.decode(hex.as_bytes()).map_err(|error| anyhow!("{error}"))
}

/// What a key does that speaks U2F alone.
fn by_u2f(
    key: &mut Key<UsbKey>,
    login: &Login,
    ids: &[Vec<u8>],
    patience: &mut Patience<'_>,
) -> Result<Assertion, KeyError> {
    let application = login.rp().hash();
    for id in ids {
        if u2f::check_only(key.channel(), &application, id, patience)? == u2f::Handle::Known {
            let challenge = login.client_data().hash();
            let signed = u2f::authenticate(key.channel(), challenge, &application, id, patience)?;
            let auth_data = signed.auth_data(&application);
            let signature = signed.signature;
            return Ok(Assertion { credential_id: id.clone(), auth_data, signature, user_id: None });
        }
    }
    Err(KeyError::NoCredential)
}
