//! Talks to security keys, and verifies what they say.
//!
//! Pure by rule: no I/O, no clock, no random source. A key is reached through [`transport::HidTransport`],
//! which the agent implements; deadlines and randomness come in as parameters. Who gets in is not decided
//! here: [`verify`] gives evidence ([`verify::Asserted`], [`verify::Enrolled`], [`yubikey::Answered`]), and the
//! caller's policy and store take it from there.
//!
//! What a key sends is hostile: every length is checked before anything is kept, CBOR is read in its one
//! canonical spelling, and no answer is believed before its signature was verified.
//!
//! Sections are those of "Client to Authenticator Protocol (CTAP)" 2.1 of June 15, 2021, of "FIDO U2F Raw
//! Message Formats" 1.2, and of "Web Authentication" Level 2.
#![forbid(unsafe_code)]

pub mod auth_data;
pub mod cbor;
pub mod cose;
pub mod ctap2;
pub mod error;
pub mod hid;
pub mod key;
#[cfg(feature = "replay")]
pub mod replay;
pub mod transport;
pub mod u2f;
pub mod verify;
pub mod yubikey;
