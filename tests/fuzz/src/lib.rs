//! What each fuzz target does with its bytes. A property that does not hold is a panic.
//!
//! The targets are plain functions, so that an input that was found can be tried from anywhere; the
//! programs in `fuzz_targets` only hand them to libFuzzer. `smoke.sh` builds and runs them all.
#![forbid(unsafe_code)]

pub mod bus_call;
pub mod config;
pub mod ctap_attestation;
pub mod ctap_device;
pub mod ctap_messages;
pub mod display_text;
pub mod import;
mod loopback;
pub mod mail_answers;
pub mod otpauth;
pub mod server_config;
pub mod server_keys;
pub mod server_request;
pub mod server_values;
pub mod sms_answers;
pub mod ssh_sk;
pub mod u2f_keys;
pub mod wire;
pub mod yubico_answers;
pub mod yubikey;
