//! What a gateway answers to a text message, held against `success_status` and `success_body`.
//!
//! The first byte chooses whether the rest is the whole of an answer, or what one is made of: two bytes for its status,
//! one for how its body is framed, one for how far in the body begins, and the body. In the body a control character
//! stands for the word that is demanded.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use oss2fa_core::secret::SecretText;
use oss2fa_server::message::settings::{SmsRequest, SmsSettings, SmsTemplate, success_statuses};
use oss2fa_server::message::{Delivery, Messenger, NotSent, PhoneNumber, Sms};
use oss2fa_server::outside::System;

use crate::loopback::{Loopback, Sent};

const PHONE: &str = "+491712345612";
const CODE: &str = "48151623";
const SECRET: &str = "hunter2-hunter2";

/// What `success_body` demands.
const WANTED: &str = "queued";

/// What `success_status` allows.
const TAKEN: [u16; 2] = [200, 202];

/// How much of a body is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// A message counts as sent only where the gateway answers with one of the statuses and says the word; and no text about
/// it repeats the number, the code or the gateway's key.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    match data {
        [0, whole @ ..] => raw(whole),
        [_, high, low, framing, far, body @ ..] => {
            let status = 200 + u16::from_be_bytes([*high, *low]) % 400;
            made(status, *framing, *far, body);
        }
        _ => {}
    }
}

fn raw(answer: &[u8]) {
    if send(answer).is_err() {
        return;
    }
    let is_status = |line: &[u8]| {
        TAKEN.iter().any(|taken| {
            ["HTTP/1.0", "HTTP/1.1"]
                .iter()
                .any(|version| line.starts_with(format!("{version} {taken}").as_bytes()))
        })
    };
    assert!(answer.split(|byte| *byte == b'\n').any(is_status), "no status that was allowed");
    // Chunks may part the word: its letters come in their order all the same.
    let mut rest = answer.iter();
    assert!(WANTED.bytes().all(|letter| rest.any(|byte| *byte == letter)), "without the word");
}

/// What was made can be told: it counts as sent exactly where it is.
fn made(status: u16, framing: u8, far: u8, body: &[u8]) {
    // Mostly none at all: looking through as much as is looked at takes its time.
    let mut whole = vec![b'.'; usize::from(far.saturating_sub(191)) * 1024];
    for byte in body {
        match byte {
            1 => whole.extend_from_slice(WANTED.as_bytes()),
            other => whole.push(*other),
        }
    }
    // These have no body (RFC 9110 section 6.4.1).
    let body = if matches!(status, 204 | 304) { &[][..] } else { &whole };
    let mut answer = format!("HTTP/1.1 {status} Whatever\r\n").into_bytes();
    match framing {
        0 => answer.extend_from_slice(b"\r\n"),
        1 => answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()),
        _ => answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
    }
    match framing {
        0 | 1 => answer.extend_from_slice(body),
        length => {
            for chunk in body.chunks(usize::from(length) * 97) {
                answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                answer.extend_from_slice(chunk);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\n\r\n");
        }
    }
    let seen = &body[..body.len().min(LOOKED_AT)];
    let has_word = seen.windows(WANTED.len()).any(|part| part == WANTED.as_bytes());
    let is_taken = TAKEN.contains(&status) && has_word;
    let sent = send(&answer);
    assert_eq!(sent.is_ok(), is_taken, "{status}, {framing}: {sent:?}");
    if let Err(error) = sent {
        assert!(matches!(error, NotSent::Refused { .. }), "it was an answer: {error:?}");
    }
}

fn send(answer: &[u8]) -> Result<(), NotSent> {
    static DELIVERY: OnceLock<Delivery> = OnceLock::new();
    let delivery = DELIVERY.get_or_init(delivery);
    let sms =
        Sms { to: PhoneNumber::parse(PHONE).unwrap(), text: SecretText::new(format!("{CODE} is your code")) };
    let (sent, heard) = Loopback::here().hear(answer, Sent::WhenAsked, delivery.send_sms(sms));
    assert!(heard.starts_with(b"POST /send HTTP/1.1\r\n"));
    if let Err(error) = &sent {
        let (words, whole) = (error.to_string(), format!("{error:?}"));
        assert!(words.len() < 700 && !words.chars().any(char::is_control), "{words:?}");
        for hidden in [CODE, SECRET, &PHONE[1..]] {
            assert!(!words.contains(hidden) && !whole.contains(hidden), "{hidden} in {whole}");
        }
    }
    sent
}

/// Made once: no connection is kept, for each was ended by the other side before the next begins.
fn delivery() -> Delivery {
    let headers = BTreeMap::new();
    let request = SmsRequest::prove(&SmsTemplate {
        method: "POST",
        url: &format!("http://127.0.0.1:{}/send", Loopback::here().port),
        headers: &headers,
        body: r#"{"to": "{phone}", "text": "{text}", "key": "{secret}"}"#,
        content_type: "application/json",
    });
    let settings = SmsSettings {
        request: request.unwrap(),
        secret: Some(SecretText::new(SECRET.to_owned())),
        success_status: success_statuses(&TAKEN).unwrap(),
        success_body: WANTED.to_owned(),
        timeout: Duration::from_secs(4),
        ca_file: None,
    };
    Delivery::new(None, Some(settings), Arc::new(System), Arc::new(System)).unwrap()
}
