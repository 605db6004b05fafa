//! Security keys that are plugged into this host.

mod alarm;
mod awaited;
pub mod bus;
#[cfg(test)]
mod bus_tests;
mod changes;
pub mod ports;
#[cfg(test)]
pub(crate) mod soft;
mod turns;
pub mod usb;
pub mod wanted;

use std::path::PathBuf;

use oss2fa_core::wire::DisplayText;
use serde::{Serialize, Serializer};

/// Longest name that a key may give itself here, in characters.
const MAX_NAME: usize = 64;

/// What an interface of a key is for. A YubiKey has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interface {
    /// U2F and FIDO2.
    Fido,
    /// The YubiKey's challenge-response.
    YubikeyOtp,
}

/// An interface of a key that is plugged in, as the system tells it without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plugged {
    /// The device's file.
    pub path: PathBuf,
    /// What it is for.
    pub interface: Interface,
    /// The maker's number.
    #[serde(serialize_with = "hexadecimal")]
    pub vendor: u16,
    /// The maker's number for it.
    #[serde(serialize_with = "hexadecimal")]
    pub product: u16,
    /// What it calls itself, made harmless: whoever builds a device writes there what they like.
    pub name: DisplayText,
}

impl Plugged {
    /// `None` for an interface that is none of a security key's. `usage` is the page and the number by which
    /// the report descriptor begins.
    #[must_use]
    pub fn from_system(
        path: PathBuf,
        (vendor, product): (u16, u16),
        usage: (u16, u16),
        (maker, name): (&str, &str),
    ) -> Option<Self> {
        let interface = match (usage, vendor) {
            // CTAP 2.1 section 11.2.8.1.
            ((0xf1d0, 0x01), _) => Interface::Fido,
            // A keyboard, whose feature reports carry the challenge-response.
            ((0x01, 0x06), 0x1050) => Interface::YubikeyOtp,
            _ => return None,
        };
        let named: String = match name.starts_with(maker) {
            true => name.to_owned(),
            false => format!("{maker} {name}"),
        };
        let named: String = named.replace('\n', " ").trim().chars().take(MAX_NAME).collect();
        Some(Self { path, interface, vendor, product, name: DisplayText::new(&named) })
    }
}

fn hexadecimal<S: Serializer>(number: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{number:04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugged(vendor: u16, usage: (u16, u16), maker: &str, name: &str) -> Option<Plugged> {
        Plugged::from_system(PathBuf::from("/dev/hidraw0"), (vendor, 0x0407), usage, (maker, name))
    }

    #[test]
    fn a_key_is_known_by_its_usage_page() {
        let key = plugged(0x20a0, (0xf1d0, 1), "Nitrokey", "Nitrokey 3").unwrap();
        assert_eq!((key.interface, key.name.as_str()), (Interface::Fido, "Nitrokey 3"));
        assert_eq!(plugged(0x20a0, (0x01, 0x06), "Nitrokey", "a keyboard"), None);
        assert_eq!(plugged(0x1050, (0x01, 0x02), "Yubico", "a mouse"), None);
    }

    #[test]
    fn a_yubikey_has_two_interfaces() {
        let otp = plugged(0x1050, (0x01, 0x06), "Yubico", "YubiKey OTP+FIDO").unwrap();
        assert_eq!((otp.interface, otp.name.as_str()), (Interface::YubikeyOtp, "Yubico YubiKey OTP+FIDO"));
        assert_eq!(plugged(0x1050, (0xf1d0, 1), "Yubico", "").unwrap().interface, Interface::Fido);
    }

    #[test]
    fn row_21_a_name_cannot_drive_the_terminal() {
        let name = format!("\u{1b}[2J$(reboot)\n\u{202e}{}", "x".repeat(500));
        let key = plugged(1, (0xf1d0, 1), "", &name).unwrap();
        assert!(!key.name.as_str().contains(['\u{1b}', '\n', '\u{202e}']), "{:?}", key.name);
        assert_eq!(key.name.as_str().chars().count(), MAX_NAME);
    }
}
