//! The crate by its public face: vectors of an independent peer, and keys that play a script.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure is a panic in tests, in their helpers too"
)]

mod assertions;
mod canonical_cbor;
mod ctap2_messages;
mod fingers;
mod fixed;
mod framing;
mod hid_channel;
mod key_stories;
mod pin_protocols;
mod registrations;
mod u2f_messages;
mod yubikey;
