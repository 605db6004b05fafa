//! Sending codes, against a mail server and a gateway that are not ours.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it likes"
)]

mod certificates;
mod configured;
mod mail;
mod mail_failures;
mod peer;
mod sms;
mod sms_template;
