//! Messages of the bus: what is asked about an app, who is answered, and with what.
//!
//! The first byte says whether the rest is a body alone or has what stands outside of one in front: routing key, content
//! type, encoding, correlation id and `reply_to`, each with its length in a byte, of which the last value is "unsaid", and
//! eight bytes for the time. In the body control characters stand for the UUIDs of two apps and their tokens.

mod apps;

use oss2fa_server::bus::nameko::{
    Envelope, LONGEST_BODY, METHOD, PARAMETERS, Read, Reply, Rules, Verify, read,
};
use serde_json::Value;

use apps::{NOW, OTHER, OTHERS_TOKEN, TRUSTED, TRUSTEDS_TOKEN, WINDOW, decide, is_right};

const SERVICE: &str = "ungleichotp";

/// As nameko's own callers have it.
const ORDINARY: Envelope<'static> = Envelope {
    routing_key: "ungleichotp.verify",
    content_type: Some("application/json"),
    content_encoding: Some("utf-8"),
    correlation_id: Some("b7f5"),
    reply_to: Some("1c4e"),
    timestamp: None,
};

/// What cannot be answered is dropped; what is no call is answered by an error; a call is decided as it was written; and
/// nothing but two right tokens is answered by OK.
///
/// # Panics
/// Where a property does not hold.
pub fn target(data: &[u8]) {
    let [how, rest @ ..] = data else { return };
    if how % 2 == 0 {
        return message(&ORDINARY, rest);
    }
    let mut rest = rest;
    let mut said = [const { None }; 5];
    for one in &mut said {
        let Some((text, behind)) = counted(rest) else { return };
        (*one, rest) = (text, behind);
    }
    let Some((time, body)) = rest.split_first_chunk::<8>() else { return };
    let [routing_key, content_type, content_encoding, correlation_id, reply_to] = &said;
    let seconds = u64::from_be_bytes(*time);
    let envelope = Envelope {
        routing_key: routing_key.as_deref().unwrap_or_default(),
        content_type: content_type.as_deref(),
        content_encoding: content_encoding.as_deref(),
        correlation_id: correlation_id.as_deref(),
        reply_to: reply_to.as_deref(),
        timestamp: (seconds != 0).then_some(seconds),
    };
    message(&envelope, body);
}

/// A text of AMQP has its length in a byte, too.
fn counted(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    if *length == u8::MAX {
        return Some((None, rest));
    }
    let (text, rest) = rest.split_at(usize::from(*length).min(rest.len()));
    Some((Some(String::from_utf8_lossy(text).into_owned()), rest))
}

fn message(envelope: &Envelope<'_>, body: &[u8]) {
    let body = replaced(body);
    let oldest = NOW.before((u32::from(WINDOW) + 1) * 30);
    let (reply, back) = match read(&Rules { service: SERVICE, oldest }, envelope, &body) {
        Read::Drop => {
            let is_key = |key: &str| !key.is_empty() && !key.contains('.');
            return assert!(!envelope.reply_to.is_some_and(is_key), "nobody is answered");
        }
        Read::Answer(reply, back) => {
            assert_ne!(reply, Reply::Ok, "nobody has checked a token");
            let is_method = [METHOD, "ungleichotp.verify"].contains(&envelope.routing_key);
            assert_eq!(matches!(reply, Reply::MethodNotFound(_)), !is_method);
            let is_ordinary = is_method
                && envelope.content_type == ORDINARY.content_type
                && envelope.content_encoding == ORDINARY.content_encoding;
            if is_ordinary && reply != Reply::Stale && names_stand_once(&body) {
                assert!(asked(&body).is_none(), "a call that was not taken: {reply:?}");
            }
            (reply, back)
        }
        Read::Call(verify, back) => {
            let Verify { requester, about } = *verify;
            let taken = [&*requester.appuuid, requester.token.expose(), &about.appuuid, about.token.expose()];
            let written = asked(&body).expect("no call was written");
            assert_eq!(written.each_ref().map(String::as_str), taken);
            assert!(envelope.timestamp.is_none_or(|at| at >= oldest.seconds()), "its tokens are over");
            let is_ok = decide(&requester, &about);
            let is_trusted = requester.appuuid.eq_ignore_ascii_case(TRUSTED);
            assert_eq!(is_ok, is_trusted && is_right(&requester) && is_right(&about), "{written:?}");
            (if is_ok { Reply::Ok } else { Reply::Fail }, back)
        }
    };
    assert_eq!(Some(&*back.reply_to), envelope.reply_to);
    assert_eq!(back.correlation_id.as_deref(), envelope.correlation_id);
    look_at(&reply);
}

/// A caller of nameko's raises what has an `error`, and takes `result` for the answer where it has none.
fn look_at(reply: &Reply) {
    let answer: Value = serde_json::from_slice(&reply.body()).expect("JSON");
    let (result, error) = (&answer["result"], &answer["error"]);
    match reply {
        Reply::Ok => assert_eq!((&result["status"], error), (&"OK".into(), &Value::Null)),
        Reply::Fail | Reply::Stale => assert_eq!((&result["status"], error), (&"FAIL".into(), &Value::Null)),
        Reply::MethodNotFound(_)
        | Reply::IncorrectSignature(_)
        | Reply::MalformedRequest(_)
        | Reply::Unavailable => {
            assert_eq!((result, &error["exc_args"][0]), (&Value::Null, &error["value"]));
            let words = error["value"].as_str().unwrap();
            assert!(words.chars().count() < 200 && !words.chars().any(char::is_control), "{words:?}");
            let path = error["exc_path"].as_str().unwrap();
            assert!(path.ends_with(error["exc_type"].as_str().unwrap()));
        }
    }
}

/// Of two fields of one name Python takes the last; here they are refused.
fn names_stand_once(body: &[u8]) -> bool {
    !body.contains(&b'\\') && body.windows(5).filter(|part| part == b"args\"").count() == 2
}

/// The arguments, as Python finds them.
fn asked(body: &[u8]) -> Option<[String; 4]> {
    if body.len() > LONGEST_BODY {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let (args, kwargs) = (body.get("args")?.as_array()?, body.get("kwargs")?.as_object()?);
    let by_name = PARAMETERS.iter().skip(args.len()).map(|name| kwargs.get(*name));
    let all: Option<Vec<_>> = args.iter().map(Some).chain(by_name).collect();
    let all = all.filter(|all| all.len() == args.len() + kwargs.len())?;
    let texts: Option<Vec<String>> = all.into_iter().map(|one| one.as_str().map(str::to_owned)).collect();
    texts?.try_into().ok()
}

fn replaced(body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(body.len());
    for byte in body {
        match byte {
            1 => whole.extend_from_slice(TRUSTED.as_bytes()),
            2 => whole.extend_from_slice(TRUSTEDS_TOKEN.as_bytes()),
            3 => whole.extend_from_slice(OTHER.as_bytes()),
            4 => whole.extend_from_slice(OTHERS_TOKEN.as_bytes()),
            other => whole.push(*other),
        }
    }
    whole
}
