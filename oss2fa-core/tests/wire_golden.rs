//! The login protocol: golden bytes in both directions, and what a decoder must refuse.

use std::fmt::Debug;

use oss2fa_core::secret::SecretText;
use oss2fa_core::wire::{
    AccountAnswer, AgentMessage, Conversation, Decoder, DisplayText, Echo, FrameError, Login, MAX_FRAME,
    MAX_SSH_AUTH_INFO, ModuleMessage, Outcome, SshAuthInfo, Start, VERSION, encode,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn login() -> Login {
    Login {
        user: "ferris".to_owned(),
        service: "sshd".to_owned(),
        tty: Some("ssh".to_owned()),
        rhost: Some("192.0.2.7".to_owned()),
        ruser: None,
    }
}

fn bare_login() -> Login {
    Login { user: "ü".to_owned(), service: "su".to_owned(), tty: None, rhost: None, ruser: None }
}

fn start(login: Login, conversation: Conversation, prompt: Option<&str>, echo: Echo) -> ModuleMessage {
    ModuleMessage::Start(Start { login, conversation, prompt: prompt.map(str::to_owned), echo, ssh: None })
}

fn after(ssh: &[u8]) -> ModuleMessage {
    ModuleMessage::Start(Start {
        login: login(),
        conversation: Conversation::Messages,
        prompt: None,
        echo: Echo::Off,
        ssh: SshAuthInfo::new(ssh).ok(),
    })
}

fn answer(text: &str) -> ModuleMessage {
    ModuleMessage::Answer { text: SecretText::new(text.to_owned()) }
}

/// Both ways, whole and split at every byte.
fn golden<M: Serialize + DeserializeOwned + PartialEq + Debug>(message: &M, header: [u8; 4], body: &str) {
    let mut frame = header.to_vec();
    frame.extend_from_slice(body.as_bytes());
    assert_eq!(encode(message).as_ref(), Ok(&frame), "{body}");
    for at in 0..=frame.len() {
        let (head, tail) = frame.split_at(at);
        let mut decoder = Decoder::default();
        decoder.push(head);
        if at < frame.len() {
            assert_eq!(decoder.next::<M>(), Ok(None), "{body} split at {at}");
            let missing = if at < 4 { 4 - at } else { frame.len() - at };
            assert_eq!(decoder.missing(), Ok(missing), "{body} split at {at}");
        }
        decoder.push(tail);
        assert_eq!(decoder.missing(), Ok(0));
        assert_eq!(
            decoder.next::<M>().as_ref().map(Option::as_ref),
            Ok(Some(message)),
            "{body} split at {at}"
        );
        assert_eq!(decoder.next::<M>(), Ok(None));
        assert_eq!(decoder.missing(), Ok(4));
    }
}

#[test]
fn from_the_module() {
    golden(
        &start(login(), Conversation::Messages, None, Echo::Off),
        [0, 0, 0, 149],
        r#"{"version":1,"message":{"start":{"login":{"user":"ferris","service":"sshd","tty":"ssh","rhost":"192.0.2.7"},"conversation":"messages","echo":"off"}}}"#,
    );
    golden(
        &start(bare_login(), Conversation::PromptsOnly, Some("Token: "), Echo::On),
        [0, 0, 0, 133],
        r#"{"version":1,"message":{"start":{"login":{"user":"ü","service":"su"},"conversation":"prompts_only","prompt":"Token: ","echo":"on"}}}"#,
    );
    golden(
        &after(b"publickey ssh-ed25519 AAAA\npublickey sk-ssh-ed25519@openssh.com AAAB\n"),
        [0, 0, 0, 229],
        r#"{"version":1,"message":{"start":{"login":{"user":"ferris","service":"sshd","tty":"ssh","rhost":"192.0.2.7"},"conversation":"messages","echo":"off","ssh":"publickey ssh-ed25519 AAAA\npublickey sk-ssh-ed25519@openssh.com AAAB\n"}}}"#,
    );
    golden(
        &ModuleMessage::Account(Login { ruser: Some("root".to_owned()), ..login() }),
        [0, 0, 0, 117],
        r#"{"version":1,"message":{"account":{"user":"ferris","service":"sshd","tty":"ssh","rhost":"192.0.2.7","ruser":"root"}}}"#,
    );
    golden(&answer("123 456\n"), [0, 0, 0, 55], r#"{"version":1,"message":{"answer":{"text":"123 456\n"}}}"#);
    golden(&ModuleMessage::Cancel, [0, 0, 0, 32], r#"{"version":1,"message":"cancel"}"#);
}

#[test]
fn from_the_agent() {
    golden(
        &AgentMessage::Ask { echo: Echo::Off, text: DisplayText::new("One-time code: ") },
        [0, 0, 0, 71],
        r#"{"version":1,"message":{"ask":{"echo":"off","text":"One-time code: "}}}"#,
    );
    golden(
        &AgentMessage::Tell { text: DisplayText::new("Access denied.\nTry later.") },
        [0, 0, 0, 70],
        r#"{"version":1,"message":{"tell":{"text":"Access denied.\nTry later."}}}"#,
    );
    for (outcome, header, word) in [
        (Outcome::Verified, [0, 0, 0, 55], "verified"),
        (Outcome::Refused, [0, 0, 0, 54], "refused"),
        (Outcome::Locked, [0, 0, 0, 53], "locked"),
        (Outcome::UserUnknown, [0, 0, 0, 59], "user_unknown"),
        (Outcome::NotEnrolled, [0, 0, 0, 59], "not_enrolled"),
        (Outcome::Skipped, [0, 0, 0, 54], "skipped"),
        (Outcome::Unavailable, [0, 0, 0, 58], "unavailable"),
        (Outcome::Misconfigured, [0, 0, 0, 60], "misconfigured"),
    ] {
        let body = format!(r#"{{"version":1,"message":{{"done":{{"outcome":"{word}"}}}}}}"#);
        golden(&AgentMessage::Done { outcome }, header, &body);
    }
    for (answer, header, word) in [
        (AccountAnswer::Required, [0, 0, 0, 57], "required"),
        (AccountAnswer::NotRequired, [0, 0, 0, 61], "not_required"),
    ] {
        let body = format!(r#"{{"version":1,"message":{{"account":{{"answer":"{word}"}}}}}}"#);
        golden(&AgentMessage::Account { answer }, header, &body);
    }
}

fn decoded<M: DeserializeOwned>(body: &[u8]) -> Result<Option<M>, FrameError> {
    let mut decoder = Decoder::default();
    decoder.push(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    decoder.push(body);
    decoder.next()
}

#[test]
fn the_cap_is_checked_on_the_header_alone() {
    for announced in [65_537_u32, 1 << 20, 1 << 31, u32::MAX] {
        let mut decoder = Decoder::default();
        decoder.push(&announced.to_be_bytes());
        assert_eq!(decoder.missing(), Err(FrameError::TooLong(announced)));
        assert_eq!(decoder.next::<ModuleMessage>(), Err(FrameError::TooLong(announced)));
    }
    let mut decoder = Decoder::default();
    decoder.push(&[0, 1, 0, 0]);
    assert_eq!(decoder.missing(), Ok(MAX_FRAME));
    assert_eq!(decoder.next::<ModuleMessage>(), Ok(None));
}

#[test]
fn the_longest_message_fits_and_one_more_byte_does_not() {
    let around = encode(&answer("")).unwrap().len() - 4;
    let longest = answer(&"x".repeat(MAX_FRAME - around));
    let frame = encode(&longest).unwrap();
    assert_eq!(frame.len(), 4 + MAX_FRAME);
    let mut decoder = Decoder::default();
    decoder.push(&frame);
    assert_eq!(decoder.next(), Ok(Some(longest)));
    let error = encode(&answer(&"x".repeat(MAX_FRAME - around + 1)));
    assert_eq!(error, Err(FrameError::DoesNotFit(MAX_FRAME + 1)));
}

#[test]
fn what_sshd_does_not_say_of_itself_is_not_passed_on() {
    let longest = vec![b'x'; MAX_SSH_AUTH_INFO];
    assert!(SshAuthInfo::new(&longest).is_ok() && encode(&after(&longest)).is_ok());
    for bad in [
        &b""[..],
        &[longest.as_slice(), b"x"].concat(),
        b"publickey\tx",
        b"publickey x\0",
        "ü".as_bytes(),
        b"\xff",
    ] {
        assert!(SshAuthInfo::new(bad).is_err(), "{bad:?}");
        // Nor is it believed of somebody who says it past the module.
        let ssh = serde_json::to_string(&String::from_utf8_lossy(bad)).unwrap();
        let body = format!(
            r#"{{"version":1,"message":{{"start":{{"login":{{"user":"a","service":"b"}},"conversation":"messages","echo":"on","ssh":{ssh}}}}}}}"#
        );
        assert_eq!(decoded::<ModuleMessage>(body.as_bytes()), Err(FrameError::Malformed), "{body}");
    }
}

#[test]
fn another_version_is_named_whatever_it_says() {
    for body in [
        r#"{"version":2,"message":{"answer":{"text":"1"}}}"#,
        r#"{"version":2,"message":{"something":["new"]}}"#,
        r#"{"message":null,"version":2}"#,
    ] {
        assert_eq!(decoded::<ModuleMessage>(body.as_bytes()), Err(FrameError::Version(2)), "{body}");
    }
    assert_eq!(VERSION, 1);
    assert!(FrameError::Version(2).to_string().contains("install the same release"));
}

#[test]
fn what_is_not_a_known_message_is_malformed() {
    for body in [
        "",
        "{}",
        "null",
        r#"{"version":1}"#,
        r#"{"message":"cancel"}"#,
        r#"{"version":-1,"message":"cancel"}"#,
        r#"{"version":65537,"message":"cancel"}"#,
        r#"{"version":"1","message":"cancel"}"#,
        r#"{"version":1,"version":1,"message":"cancel"}"#,
        r#"{"version":1,"message":"cancel","message":"cancel"}"#,
        r#"{"version":1,"message":"cancel","more":1}"#,
        r#"{"version":1,"message":"cancel"}x"#,
        r#"{"version":1,"message":"cancel"}{}"#,
        r#"{"version":1,"message":"Cancel"}"#,
        r#"{"version":1,"message":"verified"}"#,
        r#"{"version":1,"message":{"cancel":{}}}"#,
        r#"{"version":1,"message":{"done":{"outcome":"verified"}}}"#,
        r#"{"version":1,"message":{"answer":{}}}"#,
        r#"{"version":1,"message":{"answer":{"text":null}}}"#,
        r#"{"version":1,"message":{"answer":{"text":"1","text":"2"}}}"#,
        r#"{"version":1,"message":{"answer":{"text":"1","more":1}}}"#,
        r#"{"version":1,"message":{"answer":{"text":"1"},"cancel":null}}"#,
        r#"{"version":1,"message":{"account":{"user":"a","service":"b","uid":0}}}"#,
        r#"{"version":1,"message":{"account":{"user":"a"}}}"#,
        r#"{"version":1,"message":{"start":{"login":{"user":"a","service":"b"},"conversation":"messages","echo":"loud"}}}"#,
        r#"{"version":1,"message":{"start":{"login":{"user":"a","service":"b"},"conversation":"messages","echo":"on","x":1}}}"#,
    ] {
        assert_eq!(decoded::<ModuleMessage>(body.as_bytes()), Err(FrameError::Malformed), "{body}");
    }
    assert_eq!(decoded::<ModuleMessage>(b"{\"version\":1,\"message\":\"\xff\"}"), Err(FrameError::Malformed));
    for body in [
        r#"{"version":1,"message":"cancel"}"#,
        r#"{"version":1,"message":{"done":{"outcome":"admitted"}}}"#,
        r#"{"version":1,"message":{"done":{"outcome":"verified","user":"root"}}}"#,
        r#"{"version":1,"message":{"done":{}}}"#,
        r#"{"version":1,"message":{"account":{"answer":null}}}"#,
        r#"{"version":1,"message":{"ask":{"text":"Code: "}}}"#,
    ] {
        assert_eq!(decoded::<AgentMessage>(body.as_bytes()), Err(FrameError::Malformed), "{body}");
    }
    let deep = format!(r#"{{"version":1,"message":{}1{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(decoded::<ModuleMessage>(deep.as_bytes()), Err(FrameError::Malformed));
}

#[test]
fn an_error_says_nothing_of_what_was_received() {
    let error =
        decoded::<ModuleMessage>(br#"{"version":1,"message":{"answer":{"text":123456}}}"#).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("123456"));
}

#[test]
fn frames_that_arrive_together_are_read_one_by_one() {
    let mut bytes = encode(&answer("1")).unwrap();
    bytes.extend(encode(&ModuleMessage::Cancel).unwrap());
    bytes.extend([0, 0]);
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    assert_eq!(decoder.next(), Ok(Some(answer("1"))));
    assert_eq!(decoder.next(), Ok(Some(ModuleMessage::Cancel)));
    assert_eq!(decoder.next::<ModuleMessage>(), Ok(None));
    assert_eq!(decoder.missing(), Ok(2));
}

#[test]
fn display_text_leaves_nothing_for_a_terminal_to_obey() {
    for (hostile, clean) in [
        ("\u{1b}[2J\u{1b}[1;1Hwelcome", "\u{fffd}[2J\u{fffd}[1;1Hwelcome"),
        ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
        ("\u{1b}]52;c;cm0=\u{1b}\\", "\u{fffd}]52;c;cm0=\u{fffd}\\"),
        ("\u{9b}2J", "\u{fffd}2J"),
        ("\u{90}q\u{9c}", "\u{fffd}q\u{fffd}"),
        ("right\rwrong", "right\u{fffd}wrong"),
        ("abc\u{8}\u{8}\u{8}xyz", "abc\u{fffd}\u{fffd}\u{fffd}xyz"),
        ("a\tb\u{b}c\u{c}d\u{0}e\u{7f}f", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"),
        ("user\u{202e}toor", "user\u{fffd}toor"),
        ("\u{2066}x\u{2069}\u{200f}\u{61c}", "\u{fffd}x\u{fffd}\u{fffd}\u{fffd}"),
        ("one\u{2028}two\u{85}three", "one\u{fffd}two\u{fffd}three"),
        ("Zweite\nZeile: ünïcødé 多要素 🔑", "Zweite\nZeile: ünïcødé 多要素 🔑"),
    ] {
        assert_eq!(DisplayText::new(hostile).as_str(), clean, "{hostile:?}");
        // The module cleans again what a false agent would send.
        let raw = serde_json::to_string(hostile).unwrap();
        let body = format!(r#"{{"version":1,"message":{{"tell":{{"text":{raw}}}}}}}"#);
        let expected = AgentMessage::Tell { text: DisplayText::new(clean) };
        assert_eq!(decoded(body.as_bytes()), Ok(Some(expected)));
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_end_in_an_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..50,
    ) {
        let mut decoder = Decoder::default();
        for piece in bytes.chunks(piece) {
            decoder.push(piece);
            while let Ok(Some(_)) = decoder.next::<ModuleMessage>() {}
        }
    }

    #[test]
    fn any_login_comes_out_as_it_went_in(user in any::<String>(), rhost in any::<Option<String>>(), text in any::<String>()) {
        let account = ModuleMessage::Account(Login { user, rhost, ..login() });
        for message in [account, answer(&text)] {
            let mut decoder = Decoder::default();
            decoder.push(&encode(&message).map_err(|error| TestCaseError::fail(error.to_string()))?);
            prop_assert_eq!(decoder.next(), Ok(Some(message)));
        }
    }
}
