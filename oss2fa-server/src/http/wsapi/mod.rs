//! The validation protocol 2.0 of Yubico, for clients that speak nothing else: pam_yubico, ykclient and their like.
//!
//! It has a contract of its own: every answer is 200 and lines of text, what counts is `status`, and who asks is
//! shown by the signature. So it is not in the documentation of the API.

pub mod verify;
