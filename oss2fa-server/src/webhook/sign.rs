//! The signature of a delivery: `t=UNIX,v1=HEX(HMAC-SHA256(secret, "t.body"))`.
//!
//! The key is the secret's text as it was shown. The time is within what is signed, so that a receiver can
//! refuse what is old.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::outside::Timestamp;

/// Signs a body. `None` never happens: HMAC takes keys of any length.
#[must_use]
pub fn signature(secret: &[u8], at: Timestamp, body: &[u8]) -> Option<String> {
    let time = at.seconds();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret).ok()?;
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    Some(format!("t={time},v1={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())))
}
