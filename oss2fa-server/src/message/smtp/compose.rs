//! A mail as bytes: headers that nobody's text can add to, the words as text and as HTML.

use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use oss2fa_core::random::Random;
use zeroize::Zeroizing;

use super::super::Mail;
use super::super::text::one_line;
use crate::outside::Clock;

/// RFC 3834 section 5: no vacation notice is to answer this mail.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// The whole message, RFC 5322. The error says what was missing.
pub(super) fn message(
    mail: &Mail,
    from: &Mailbox,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = [0; 32];
    random.fill(&mut bytes).map_err(|error| error.to_string())?;
    let (id, boundary) = bytes.split_at(16);
    let seconds = clock.now().seconds();
    let parts = MultiPart::alternative()
        .boundary(HEXLOWER.encode(boundary))
        .singlepart(SinglePart::plain(mail.text.expose().to_owned()))
        .singlepart(SinglePart::html(mail.html.expose().to_owned()));
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, mail.to.address().clone()))
        .subject(one_line(&mail.subject))
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{}@{}>", HEXLOWER.encode(id), from.email.domain())))
        .header(AutoSubmitted)
        .multipart(parts)
        .map(|message| Zeroizing::new(message.formatted()))
        .map_err(|error| error.to_string())
}
