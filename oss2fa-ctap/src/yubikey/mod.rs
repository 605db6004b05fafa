//! The YubiKey's OTP interface: its serial number and HMAC-SHA1 challenge-response (Yubico, "YubiKey Personalization
//! Tool: OTP over HID", and the layout of frames in the public headers of its C library).

mod answer;
mod crc;
mod device;
mod frame;
mod prove;

pub use answer::{Answered, Challenge, ExpectedAnswer, MAX_CHALLENGE};
pub use crc::{GOOD_RESIDUAL, crc16};
pub use device::{Config, Slot, State, TouchWait, YubiKey};
pub use frame::{FRAME, PAYLOAD, ResponseAssembler, request};
pub use prove::Proven;
