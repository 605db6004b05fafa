//! A provisioning URI for people: as a QR code, and for typing by hand.

use data_encoding::BASE32_NOPAD;
use oss2fa_core::otpauth;
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;
use zeroize::Zeroizing;

use super::context::Context;
use super::failure::{Failure, OwnCode};
use super::qr::{self, Paint};

/// Shows the URI of a new device of `user`.
pub(crate) fn show(context: &mut Context<'_, '_>, user: &str, uri: &SecretText) -> Result<(), Failure> {
    let device = otpauth::parse(uri.expose()).map_err(|error| {
        Failure::new(
            OwnCode::AgentUnreachable,
            format!("the agent sent a provisioning URI that cannot be used: {error}"),
        )
    })?;
    let paint = if context.has_colours() { Paint::Colours } else { Paint::Characters };
    context.console.say(&format!("A new device for {user}. Scan this with the authenticator app:\n"))?;
    if let Some(picture) = qr::picture(uri.expose(), paint) {
        let picture = Zeroizing::new(picture);
        context.console.draw(&picture)?;
    }
    let parameters = device.parameters;
    let kind = match device.kind {
        FactorKind::Hotp => {
            format!("counter-based (HOTP), {} digits, counter {}", parameters.digits, device.counter)
        }
        _ => format!("time-based (TOTP), {} digits, every {} seconds", parameters.digits, parameters.period),
    };
    context.console.say("\nOr type it in by hand:")?;
    context.console.say(&format!("  Account    {} ({})", device.account, device.issuer))?;
    context.console.say(&format!("  Secret     {}", *in_groups(device.secret.expose())))?;
    context.console.say(&format!("  Type       {kind}, {}", parameters.algorithm))?;
    context.console.say("Or pass it on as a whole:")?;
    context.console.say(&format!("  {}\n", uri.expose()))
}

// Base32 in groups of four, which people can copy.
fn in_groups(secret: &[u8]) -> Zeroizing<String> {
    let plain = Zeroizing::new(BASE32_NOPAD.encode(secret));
    let mut grouped = Zeroizing::new(String::with_capacity(plain.len() * 5 / 4 + 1));
    for (index, letter) in plain.chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(letter);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_grouped_by_four() {
        assert_eq!(*in_groups(b"12345678901234567890"), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert_eq!(*in_groups(b"123"), "GEZD G");
    }
}
