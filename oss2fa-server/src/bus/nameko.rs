//! The convention of nameko's RPC over AMQP 0-9-1, without any I/O: what a message asks for, and what the
//! answer to it looks like.
//!
//! A request is published with the routing key `SERVICE.METHOD` and the body
//! `{"args": [..], "kwargs": {..}}`; its `reply_to` is the routing key of the answer, and not a queue. A
//! correlation id is echoed. Whatever a message holds, reading it ends in one of the three [`Read`]s.

use oss2fa_core::secret::SecretText;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::outside::Timestamp;
use crate::service::apps::AppClaim;

/// Type of all bodies.
pub const CONTENT_TYPE: &str = "application/json";

/// Encoding of all bodies.
pub const CONTENT_ENCODING: &str = "utf-8";

/// The one method there is.
pub const METHOD: &str = "verify";

/// Its parameters, in their order.
pub const PARAMETERS: [&str; 4] = ["appuuid", "token", "appuuidtoverify", "tokentoverify"];

/// Longest body, in bytes. A call has some 200.
pub const LONGEST_BODY: usize = 65_536;

/// How much of a stranger's word is said back, in characters.
const LONGEST_WORD: usize = 64;

/// What a message says outside its body. `None` is what it does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// `SERVICE.METHOD`, or whatever else led it into the queue.
    pub routing_key: &'a str,
    /// Type of the body.
    pub content_type: Option<&'a str>,
    /// Encoding of the body.
    pub content_encoding: Option<&'a str>,
    /// What the caller knows its answer by.
    pub correlation_id: Option<&'a str>,
    /// Routing key of the answer.
    pub reply_to: Option<&'a str>,
    /// When it was sent, in seconds since 1970, by the sender's clock.
    pub timestamp: Option<u64>,
}

/// Which messages are taken.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The service that is called.
    pub service: &'a str,
    /// What was sent before this is not honoured: the tokens in it are over.
    pub oldest: Timestamp,
}

/// What came of reading a message.
#[derive(Debug)]
pub enum Read {
    /// It asks about an app.
    Call(Box<Verify>, Return),
    /// It gets this answer at once.
    Answer(Reply, Return),
    /// There is nobody to answer.
    Drop,
}

/// The arguments of `verify`.
#[derive(Debug)]
pub struct Verify {
    /// Who asks.
    pub requester: AppClaim,
    /// Who is asked about.
    pub about: AppClaim,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Its routing key.
    pub reply_to: String,
    /// What the caller knows it by.
    pub correlation_id: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `{"status": "OK"}`
    Ok,
    /// `{"status": "FAIL"}`
    Fail,
    /// As [`Reply::Fail`], for a message that is too old to be looked at.
    Stale,
    /// Raised at the caller as nameko's `MethodNotFound`.
    MethodNotFound(String),
    /// Raised at the caller as nameko's `IncorrectSignature`.
    IncorrectSignature(String),
    /// Raised at the caller as nameko's `MalformedRequest`.
    MalformedRequest(&'static str),
    /// Raised at the caller as nameko's `RemoteError`: nobody knows whether the tokens are right.
    Unavailable,
}

#[derive(Deserialize)]
struct Body {
    args: Vec<Value>,
    kwargs: Map<String, Value>,
}

#[derive(Serialize)]
struct Answer<'a> {
    result: Option<Status>,
    error: Option<Error<'a>>,
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

#[derive(Serialize)]
struct Error<'a> {
    exc_type: &'a str,
    exc_path: &'a str,
    exc_args: [&'a str; 1],
    value: &'a str,
}

/// Reads a message.
#[must_use]
pub fn read(rules: &Rules<'_>, envelope: &Envelope<'_>, body: &[u8]) -> Read {
    let Some(back) = Return::of(envelope) else { return Read::Drop };
    let method = envelope.routing_key.strip_prefix(rules.service).and_then(|rest| rest.strip_prefix('.'));
    let method = method.unwrap_or(envelope.routing_key);
    if method != METHOD {
        return Read::Answer(Reply::MethodNotFound(word(method)), back);
    }
    let read = parse(envelope, body).and_then(|body| bind(body).map_err(Reply::IncorrectSignature));
    let arguments = match read {
        Ok(arguments) => arguments,
        Err(reply) => return Read::Answer(reply, back),
    };
    let sent =
        envelope.timestamp.map(|seconds| Timestamp(0).after(u32::try_from(seconds).unwrap_or(u32::MAX)));
    if sent.is_some_and(|sent| sent < rules.oldest) {
        return Read::Answer(Reply::Stale, back);
    }
    match arguments.map(text) {
        [Some(appuuid), Some(token), Some(appuuidtoverify), Some(tokentoverify)] => {
            let requester = AppClaim { appuuid, token: SecretText::new(token) };
            let about = AppClaim { appuuid: appuuidtoverify, token: SecretText::new(tokentoverify) };
            Read::Call(Box::new(Verify { requester, about }), back)
        }
        // What is no text is nobody's name and nobody's token.
        _ => Read::Answer(Reply::Fail, back),
    }
}

impl Return {
    /// Not a routing key of the form `SERVICE.METHOD`: the answer would be a message to that service, by
    /// this server's permissions and not by the sender's.
    fn of(envelope: &Envelope<'_>) -> Option<Self> {
        let reply_to = envelope.reply_to.filter(|key| !key.is_empty() && !key.contains('.'))?;
        Some(Self {
            reply_to: reply_to.to_owned(),
            correlation_id: envelope.correlation_id.map(ToOwned::to_owned),
        })
    }
}

impl Reply {
    /// One word for it, for figures and the log.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Stale => "stale",
            Self::MethodNotFound(_) => "method_not_found",
            Self::IncorrectSignature(_) => "incorrect_signature",
            Self::MalformedRequest(_) => "malformed_request",
            Self::Unavailable => "unavailable",
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let (exc_type, exc_path, value): (_, _, &str) = match self {
            Self::Ok => return status("OK"),
            Self::Fail | Self::Stale => return status("FAIL"),
            Self::MethodNotFound(name) => ("MethodNotFound", "nameko.exceptions.MethodNotFound", name),
            Self::IncorrectSignature(why) => {
                ("IncorrectSignature", "nameko.exceptions.IncorrectSignature", why)
            }
            Self::MalformedRequest(why) => ("MalformedRequest", "nameko.exceptions.MalformedRequest", why),
            Self::Unavailable => {
                ("Unavailable", "oss2fa.Unavailable", "the tokens cannot be checked now: try again later")
            }
        };
        json(&Answer { result: None, error: Some(Error { exc_type, exc_path, exc_args: [value], value }) })
    }
}

fn status(status: &'static str) -> Vec<u8> {
    json(&Answer { result: Some(Status { status }), error: None })
}

fn json(answer: &Answer<'_>) -> Vec<u8> {
    // Nothing in it can fail to be written; if it did, callers would know it for no answer of nameko's.
    serde_json::to_vec(answer).unwrap_or_default()
}

fn parse(envelope: &Envelope<'_>, body: &[u8]) -> Result<Body, Reply> {
    let refused = |why| Err(Reply::MalformedRequest(why));
    let is = |said: Option<&str>, wanted: &str| said.is_some_and(|said| said.eq_ignore_ascii_case(wanted));
    if !is(envelope.content_type, CONTENT_TYPE) {
        return refused("The content type must be application/json");
    }
    if envelope.content_encoding.is_some() && !is(envelope.content_encoding, CONTENT_ENCODING) {
        return refused("The content encoding must be utf-8");
    }
    if body.len() > LONGEST_BODY {
        return refused("The body must have at most 65536 bytes");
    }
    // All of it: what is skipped is not looked at by whoever reads JSON.
    let Ok(body) = std::str::from_utf8(body) else { return refused("The body must be JSON in UTF-8") };
    match serde_json::from_str(body) {
        // What is derived takes the values of a list for those of the fields, in their order.
        Ok(_) if !body.trim_ascii_start().starts_with('{') => refused("Message missing `args` or `kwargs`"),
        Ok(body) => Ok(body),
        Err(error) if error.is_data() => refused("Message missing `args` or `kwargs`"),
        Err(_) => refused("The body must be JSON in UTF-8"),
    }
}

/// Which argument is which, as Python has it.
fn bind(body: Body) -> Result<[Value; 4], String> {
    let given = body.args.len();
    if given > PARAMETERS.len() {
        let most = PARAMETERS.len();
        return Err(format!("{METHOD}() takes {most} positional arguments but {given} were given"));
    }
    let mut bound = [None, None, None, None];
    for (place, value) in bound.iter_mut().zip(body.args) {
        *place = Some(value);
    }
    for (name, value) in body.kwargs {
        let parameter = PARAMETERS.iter().zip(&mut bound).find(|(parameter, _)| **parameter == name);
        match parameter {
            None => {
                return Err(format!("{METHOD}() got an unexpected keyword argument '{}'", word(&name)));
            }
            Some((_, Some(_))) => {
                return Err(format!("{METHOD}() got multiple values for argument '{name}'"));
            }
            Some((_, place)) => *place = Some(value),
        }
    }
    match bound {
        [Some(appuuid), Some(token), Some(appuuidtoverify), Some(tokentoverify)] => {
            Ok([appuuid, token, appuuidtoverify, tokentoverify])
        }
        bound => {
            let missing: Vec<_> = PARAMETERS
                .iter()
                .zip(&bound)
                .filter(|(_, place)| place.is_none())
                .map(|(name, _)| format!("'{name}'"))
                .collect();
            Err(format!("{METHOD}() missing {} required arguments: {}", missing.len(), missing.join(", ")))
        }
    }
}

fn text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A stranger's word, short and on one line.
fn word(written: &str) -> String {
    written.chars().take(LONGEST_WORD).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000_000_000;

    fn rules() -> Rules<'static> {
        Rules { service: "ungleichotp", oldest: Timestamp(NOW).before(60) }
    }

    fn envelope() -> Envelope<'static> {
        Envelope {
            routing_key: "ungleichotp.verify",
            content_type: Some("application/json"),
            content_encoding: Some("utf-8"),
            correlation_id: Some("c"),
            reply_to: Some("r"),
            timestamp: None,
        }
    }

    fn answered(envelope: &Envelope<'_>, body: &str) -> Reply {
        match read(&rules(), envelope, body.as_bytes()) {
            Read::Answer(reply, back) => {
                assert_eq!(back, Return { reply_to: "r".to_owned(), correlation_id: Some("c".to_owned()) });
                reply
            }
            other => panic!("{body}: {other:?}"),
        }
    }

    fn called(body: &str) -> [String; 4] {
        match read(&rules(), &envelope(), body.as_bytes()) {
            Read::Call(verify, _) => [
                verify.requester.appuuid,
                verify.requester.token.expose().to_owned(),
                verify.about.appuuid,
                verify.about.token.expose().to_owned(),
            ],
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn arguments_come_by_their_place_and_by_their_name() {
        let wanted = ["a", "1", "b", "2"].map(ToOwned::to_owned);
        for body in [
            r#"{"args": ["a", "1", "b", "2"], "kwargs": {}}"#,
            r#"{"args": [], "kwargs": {"tokentoverify": "2", "appuuidtoverify": "b", "token": "1", "appuuid": "a"}}"#,
            r#"{"args": ["a", "1"], "kwargs": {"appuuidtoverify": "b", "tokentoverify": "2"}, "more": null}"#,
        ] {
            assert_eq!(called(body), wanted, "{body}");
        }
    }

    #[test]
    fn arguments_that_do_not_fit_are_refused_as_python_would() {
        let refused = |body: &str| match answered(&envelope(), body) {
            Reply::IncorrectSignature(why) => why,
            other => panic!("{body}: {other:?}"),
        };
        let cases = [
            (r#"{"args": [], "kwargs": {}}"#, "missing 4 required arguments: 'appuuid', 'token', "),
            (r#"{"args": ["a", "1", "b"], "kwargs": {}}"#, "missing 1 required arguments: 'tokentoverify'"),
            (r#"{"args": [1, 2, 3, 4, 5], "kwargs": {}}"#, "takes 4 positional arguments but 5 were given"),
            (r#"{"args": ["a"], "kwargs": {"appuuid": "a"}}"#, "multiple values for argument 'appuuid'"),
            (r#"{"args": [], "kwargs": {"app\nuuid": "a"}}"#, "unexpected keyword argument 'app?uuid'"),
        ];
        for (body, why) in cases {
            assert!(refused(body).contains(why), "{body}: {}", refused(body));
        }
    }

    #[test]
    fn what_is_no_call_is_malformed() {
        for body in [
            "",
            "{",
            "[]",
            r#"[["a", "1", "b", "2"], {}]"#,
            "null",
            "7",
            "{}",
            "\u{feff}{}",
            r#"{"args": []}"#,
            r#"{"kwargs": {}}"#,
            r#"{"args": null, "kwargs": {}}"#,
            r#"{"args": [], "kwargs": null}"#,
            r#"{"args": {}, "kwargs": []}"#,
            r#"{"args": [], "args": [], "kwargs": {}}"#,
            r#"{"args": [], "kwargs": {}} x"#,
        ] {
            assert!(matches!(answered(&envelope(), body), Reply::MalformedRequest(_)), "{body}");
        }
        let good = r#"{"args": ["a", "1", "b", "2"], "kwargs": {}}"#;
        let no_text = b"{\"args\": [\"a\", \"1\", \"b\", \"2\"], \"kwargs\": {}, \"more\": \"\xff\"}";
        let taken = read(&rules(), &envelope(), no_text);
        assert!(matches!(taken, Read::Answer(Reply::MalformedRequest(_), _)), "{taken:?}");
        let long = format!("{good}{}", " ".repeat(LONGEST_BODY));
        assert!(matches!(answered(&envelope(), &long), Reply::MalformedRequest(_)));
        for content_type in [None, Some("text/plain"), Some("application/x-python-serialize")] {
            let envelope = Envelope { content_type, ..envelope() };
            assert!(matches!(answered(&envelope, good), Reply::MalformedRequest(_)), "{content_type:?}");
        }
        let binary = Envelope { content_encoding: Some("binary"), ..envelope() };
        assert!(matches!(answered(&binary, good), Reply::MalformedRequest(_)));
        let unsaid = Envelope { content_encoding: None, ..envelope() };
        assert!(matches!(read(&rules(), &unsaid, good.as_bytes()), Read::Call(..)));
    }

    #[test]
    fn what_is_no_text_is_nobody() {
        for value in ["1", "null", "[]", "{}", "true", "1e400", "[[[\"x\"]]]"] {
            let body = format!(r#"{{"args": ["a", "1", "b", {value}], "kwargs": {{}}}}"#);
            match answered(&envelope(), &body) {
                Reply::Fail | Reply::MalformedRequest(_) => {}
                other => panic!("{value}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_a_caller_that_is_no_service_is_answered() {
        for reply_to in [None, Some(""), Some("other.method"), Some("ungleichotp.verify")] {
            let envelope = Envelope { reply_to, ..envelope() };
            assert!(matches!(read(&rules(), &envelope, b"{}"), Read::Drop), "{reply_to:?}");
        }
        let nameless = Envelope { correlation_id: None, ..envelope() };
        match read(&rules(), &nameless, b"{}") {
            Read::Answer(_, back) => assert_eq!(back.correlation_id, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_is_one_method() {
        for (key, name) in [
            ("ungleichotp.register", "register"),
            ("ungleichotp.", ""),
            ("ungleichotp", "ungleichotp"),
            ("rpc-ungleichotp", "rpc-ungleichotp"),
            ("ungleichotp.verify.verify", "verify.verify"),
            ("ungleichotp.__init__", "__init__"),
        ] {
            let envelope = Envelope { routing_key: key, ..envelope() };
            assert_eq!(answered(&envelope, "{}"), Reply::MethodNotFound(name.to_owned()), "{key}");
        }
    }

    #[test]
    fn a_message_is_honoured_until_its_tokens_are_over() {
        let body = r#"{"args": ["a", "1", "b", "2"], "kwargs": {}}"#;
        let now = 1_700_000_000;
        for timestamp in [0, now - 3600, now - 61] {
            let envelope = Envelope { timestamp: Some(timestamp), ..envelope() };
            assert_eq!(answered(&envelope, body), Reply::Stale, "{timestamp}");
            assert_eq!(Reply::Stale.body(), Reply::Fail.body());
        }
        for timestamp in [now - 60, now, now + 60, u64::MAX] {
            let envelope = Envelope { timestamp: Some(timestamp), ..envelope() };
            assert!(matches!(read(&rules(), &envelope, body.as_bytes()), Read::Call(..)), "{timestamp}");
        }
    }

    #[test]
    fn answers_are_those_of_nameko() {
        let text = |reply: Reply| String::from_utf8(reply.body()).unwrap();
        assert_eq!(text(Reply::Ok), r#"{"result":{"status":"OK"},"error":null}"#);
        assert_eq!(text(Reply::Fail), r#"{"result":{"status":"FAIL"},"error":null}"#);
        let missing = Reply::MethodNotFound("x\"".to_owned());
        let wanted = concat!(
            r#"{"result":null,"error":{"exc_type":"MethodNotFound","#,
            r#""exc_path":"nameko.exceptions.MethodNotFound","exc_args":["x\""],"value":"x\""}}"#
        );
        assert_eq!(text(missing), wanted);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read(
            key in ".{0,40}", body in prop::collection::vec(any::<u8>(), 0..200), timestamp: Option<u64>,
            reply_to in prop::option::of(".{0,10}"), content_type in prop::option::of(".{0,10}"),
        ) {
            let envelope = Envelope {
                routing_key: &key, content_type: content_type.as_deref(), reply_to: reply_to.as_deref(), timestamp,
                ..Envelope::default()
            };
            if let Read::Answer(reply, _) = read(&rules(), &envelope, &body) {
                prop_assert!(!reply.body().is_empty());
                prop_assert_ne!(reply, Reply::Ok);
            }
            let envelope = Envelope { timestamp, ..super::tests::envelope() };
            if let Read::Answer(reply, _) = read(&rules(), &envelope, &body) {
                prop_assert_ne!(reply, Reply::Ok);
            }
        }
    }
}
