//! `keys`: which security keys are plugged in.

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use super::table;
use crate::token::{Interface, Plugged, usb};

/// Show which security keys are plugged into this host
///
/// Asks the system and not the keys: nothing blinks, and nobody has to touch anything.
#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Keys {
    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let keys = usb::plugged().map_err(|error| {
            let message = format!("the keys that are plugged in cannot be listed: {error}");
            Failure::new(OwnCode::BadFile, message)
        })?;
        if context.form == Form::Json {
            return context.console.json(&keys);
        }
        for line in words(&keys) {
            context.console.say(&line)?;
        }
        Ok(())
    }
}

fn words(keys: &[Plugged]) -> Vec<String> {
    if keys.is_empty() {
        return vec!["No security key is plugged in.".to_owned()];
    }
    let rows: Vec<[String; 4]> = keys
        .iter()
        .map(|key| {
            let speaks = match key.interface {
                Interface::Fido => "FIDO2, U2F",
                Interface::YubikeyOtp => "challenge-response",
            };
            let id = format!("{:04x}:{:04x}", key.vendor, key.product);
            [key.path.display().to_string(), speaks.to_owned(), id, key.name.as_str().to_owned()]
        })
        .collect();
    table::lines(["DEVICE", "SPEAKS", "ID", "NAME"], &rows)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn each_interface_has_a_line() {
        let key = |file: &str, usage| {
            let names = ("Yubico", "YubiKey OTP+FIDO");
            Plugged::from_system(PathBuf::from(file), (0x1050, 0x0403), usage, names).unwrap()
        };
        assert_eq!(
            words(&[key("/dev/hidraw0", (1, 6)), key("/dev/hidraw1", (0xf1d0, 1))]),
            [
                "DEVICE        SPEAKS              ID         NAME",
                "/dev/hidraw0  challenge-response  1050:0403  Yubico YubiKey OTP+FIDO",
                "/dev/hidraw1  FIDO2, U2F          1050:0403  Yubico YubiKey OTP+FIDO",
            ]
        );
    }

    #[test]
    fn none_is_said_so() {
        assert_eq!(words(&[]), ["No security key is plugged in."]);
    }
}
