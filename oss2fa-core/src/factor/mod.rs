//! The factors: each check takes what was typed and gives evidence, or nothing.
//!
//! A check is pure. It compares with what the caller has read from its store, and it never looks at
//! a position below the lowest one that may still be accepted: what was used stays used on every
//! path. That two logins cannot spend one code is the store's part; so is the counter of a security key,
//! since one that went back is written down, which a wrong signature is not.

pub(crate) mod generator;

pub mod fido;
pub mod hotp;
pub mod modhex;
pub mod otp;
pub mod recovery_code;
pub mod sent_code;
pub mod ssh_sk;
pub mod totp;
pub mod yubico_otp;
pub mod yubico_validation;
