//! A channel: what it does about keys that are slow, busy, chatty, wrong or gone.

use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::hid::{Capabilities, Channel, Command, FramingError, HidErrorCode};
use oss2fa_ctap::replay::Replay;
use oss2fa_ctap::transport::{Meanwhile, Patience, TransportError};

use crate::fixed::{Fixed, played, watched};

const OPEN: &str = "
    > ffffffff 86 0008 0001020304050607
    < ffffffff 86 0011 0001020304050607 01020304 02 050701 05
";

fn open(replay: Replay, patience: &mut Patience<'_>) -> Result<Channel<Replay>, KeyError> {
    Channel::open(replay, &Fixed::counting(), patience)
}

fn capabilities(script: &str) -> Result<Capabilities, KeyError> {
    played(script, |replay, patience| Ok(open(replay, patience)?.capabilities()))
}

/// Opens a channel, plays the script, and pings "hi" so many times; gives the last result.
fn pings(
    times: usize,
    script: &str,
    cancel_at: Option<Meanwhile>,
) -> (Result<Vec<u8>, KeyError>, Vec<Meanwhile>) {
    watched(&format!("{OPEN}{script}"), cancel_at, |replay, patience| {
        let mut channel = open(replay, patience)?;
        for _ in 1..times {
            assert!(channel.transact(Command::PING, b"hi", patience).is_err());
        }
        channel.transact(Command::PING, b"hi", patience).map(|data| data.to_vec())
    })
}

fn ping(script: &str) -> Result<Vec<u8>, KeyError> {
    pings(1, script, None).0
}

#[test]
fn a_channel_is_asked_for_with_a_nonce() {
    let found = capabilities(OPEN).unwrap();
    assert_eq!(found.version, [5, 7, 1]);
    assert!(found.winks() && found.speaks_ctap2() && found.speaks_u2f());
}

#[test]
fn answers_to_other_programs_are_passed_over() {
    let found = capabilities(
        "> ffffffff 86 0008 0001020304050607
         < 01010101 90 0001 00                                              # of another channel
         < ffffffff 86 0011 ffffffffffffffff 09090909 02 050701 05          # to another nonce
         < ffffffff 86 0011 00                                              # to one of zeroes
         < ffffffff 86 0003 000102                                          # too short for a nonce
         < ffffffff bf 0001 0b                                              # somebody's error
         < ffffffff 00 00                                                   # the rest of something
         quiet
         < ffffffff 86 0011 0001020304050607 01020304 02 050701 08",
    );
    assert!(!found.unwrap().speaks_u2f());
}

#[test]
fn a_channel_that_nobody_may_have_is_refused() {
    for id in ["00000000", "ffffffff"] {
        let refused = capabilities(&format!(
            "> ffffffff 86 0008 0001020304050607
             < ffffffff 86 0011 0001020304050607 {id} 02 050701 05"
        ));
        assert_eq!(refused, Err(KeyError::Framing(FramingError::Init)));
    }
}

#[test]
fn an_answer_that_is_too_short_or_of_another_version_is_refused() {
    let answer =
        |rest: &str| capabilities(&format!("> ffffffff 86 0008 0001020304050607\n< ffffffff 86 {rest}"));
    assert_eq!(
        answer("0010 0001020304050607 01020304 02 050701"),
        Err(KeyError::Framing(FramingError::Init))
    );
    assert_eq!(answer("000a 0001020304050607 0102"), Err(KeyError::Framing(FramingError::Init)));
    let old = answer("0011 0001020304050607 01020304 01 050701 05");
    assert!(matches!(old, Err(KeyError::Unsupported(_))), "{old:?}");
}

#[test]
fn a_busy_key_is_asked_for_a_channel_again() {
    let found = capabilities(
        "> ffffffff 86 0008 0001020304050607
         < ffffffff bf 0001 06
         pause
         > ffffffff 86 0008 0001020304050607
         < ffffffff 86 0011 0001020304050607 01020304 02 050701 05",
    );
    assert!(found.is_ok());
}

#[test]
fn opening_ends_at_the_deadline_or_when_nobody_waits() {
    let opening = "> ffffffff 86 0008 0001020304050607\n";
    assert_eq!(capabilities(&format!("{opening}quiet\ntimeup")), Err(KeyError::TimedOut));
    let (cancelled, _) = watched(&format!("{opening}quiet"), Some(Meanwhile::Quiet), open);
    assert_eq!(cancelled.map(drop), Err(KeyError::Cancelled));
    assert_eq!(capabilities("gone"), Err(KeyError::Transport(TransportError::Gone)));
    let without =
        played("", |replay, patience| Channel::open(replay, &Fixed::bytes(&[]), patience).map(drop));
    assert_eq!(without, Err(KeyError::NoRandomness));
}

#[test]
fn a_request_gets_its_answer() {
    assert_eq!(ping("> 01020304 81 0002 6869\n< 01020304 81 0002 6869"), Ok(b"hi".to_vec()));
}

#[test]
fn replies_of_other_channels_are_passed_over() {
    let script = "
        > 01020304 81 0002 6869
        < 09090909 81 0002 ffff
        < ffffffff 86 0011 0001020304050607 09090909 02 050701 05
        < 09090909 00 01
        < 01020304 81 0002 6869";
    assert_eq!(ping(script), Ok(b"hi".to_vec()));
}

#[test]
fn what_the_key_is_about_is_told() {
    let script = "
        > 01020304 81 0002 6869
        < 01020304 bb 0001 01
        quiet
        < 01020304 bb 0001 02
        < 01020304 bb 0001 63
        < 01020304 bb 0000
        < 01020304 81 0002 6869";
    let (answer, seen) = pings(1, script, None);
    assert_eq!(answer, Ok(b"hi".to_vec()));
    use Meanwhile::{Processing, Quiet, TouchNeeded};
    assert_eq!(seen, [Processing, Quiet, TouchNeeded, Processing, Processing]);
}

#[test]
fn a_busy_key_is_asked_again() {
    let script = "
        > 01020304 81 0002 6869
        < 01020304 bf 0001 06
        pause
        > 01020304 81 0002 6869
        < 01020304 81 0002 6869";
    assert_eq!(ping(script), Ok(b"hi".to_vec()));
}

#[test]
fn a_key_that_stays_busy_is_left_at_the_deadline() {
    assert_eq!(ping("> 01020304 81 0002 6869\n< 01020304 bf 0001 06\ntimeup"), Err(KeyError::TimedOut));
}

#[test]
fn errors_of_the_key_end_the_request_and_not_the_channel() {
    for code in ["01", "02", "03", "04", "05", "0a", "0b", "7f", "63"] {
        let script = format!(
            "> 01020304 81 0002 6869
             < 01020304 bf 0001 {code}
             > 01020304 81 0002 6869
             < 01020304 81 0002 6869"
        );
        assert_eq!(pings(2, &script, None).0, Ok(b"hi".to_vec()), "{code}");
    }
    let refused = ping("> 01020304 81 0002 6869\n< 01020304 bf 0001 01");
    assert_eq!(refused, Err(KeyError::Hid(HidErrorCode::INVALID_COMMAND)));
    assert!(ping("> 01020304 81 0002 6869\n< 01020304 bf 0000").is_err());
}

#[test]
fn a_wait_that_nobody_wants_any_more_is_cancelled_and_its_answer_thrown_away() {
    let script = format!(
        "{OPEN}
         > 01020304 81 0002 6869
         < 01020304 bb 0001 02
         > 01020304 91 0000
         < 01020304 bb 0001 02
         < 01020304 81 0001 2d
         > 01020304 81 0002 6869
         < 01020304 bb 0001 01
         < 01020304 81 0002 6869"
    );
    let (answer, seen) = watched(&script, Some(Meanwhile::TouchNeeded), |replay, patience| {
        let mut channel = open(replay, patience)?;
        let cancelled = channel.transact(Command::PING, b"hi", patience);
        assert_eq!(cancelled, Err(KeyError::Cancelled));
        channel.transact(Command::PING, b"hi", patience).map(|data| data.to_vec())
    });
    assert_eq!(answer, Ok(b"hi".to_vec()));
    assert_eq!(seen, [Meanwhile::TouchNeeded, Meanwhile::Processing]);
}

#[test]
fn a_deadline_cancels_too() {
    let script = "
        > 01020304 81 0002 6869
        timeup
        > 01020304 91 0000
        < 01020304 81 0001 2d";
    assert_eq!(ping(script), Err(KeyError::TimedOut));
}

#[test]
fn a_key_that_does_not_answer_a_cancel_is_of_no_further_use() {
    let quiet = "quiet\n".repeat(8);
    for silence in ["timeup\n", &quiet] {
        let script = format!("> 01020304 81 0002 6869\ntimeup\n> 01020304 91 0000\n{silence}");
        assert_eq!(pings(2, &script, None).0, Err(KeyError::OutOfStep));
    }
}

#[test]
fn an_answer_to_something_else_is_refused_and_the_channel_with_it() {
    let refused = ping("> 01020304 81 0002 6869\n< 01020304 90 0001 00");
    assert_eq!(refused, Err(KeyError::Framing(FramingError::Unexpected)));
    let after = pings(2, "> 01020304 81 0002 6869\n< 01020304 90 0001 00", None).0;
    assert_eq!(after, Err(KeyError::OutOfStep));
}

#[test]
fn parts_out_of_order_end_the_request() {
    let late = "> 01020304 81 0002 6869\n< 01020304 81 0100 00\n< 01020304 01 00";
    assert_eq!(ping(late), Err(KeyError::Framing(FramingError::Sequence)));
    let headless = "> 01020304 81 0002 6869\n< 01020304 00 00";
    assert_eq!(ping(headless), Err(KeyError::Framing(FramingError::NoFirst)));
    let broken = "> 01020304 81 0002 6869\n< 01020304 81 0100 00\n< 01020304 bb 0001 01";
    assert_eq!(ping(broken), Err(KeyError::Framing(FramingError::Interrupted)));
    let oversize = "> 01020304 81 0002 6869\n< 01020304 81 ffff 00";
    assert_eq!(ping(oversize), Err(KeyError::Framing(FramingError::TooLong(65535))));
}

#[test]
fn a_key_that_is_pulled_out_ends_the_request() {
    for script in ["gone", "> 01020304 81 0002 6869\ngone"] {
        assert_eq!(ping(script), Err(KeyError::Transport(TransportError::Gone)));
    }
}

#[test]
fn what_is_too_long_is_not_sent() {
    let refused = played(OPEN, |replay, patience| {
        open(replay, patience)?.transact(Command::PING, &[0; 7610], patience).map(drop)
    });
    assert_eq!(refused, Err(KeyError::Framing(FramingError::TooLong(7610))));
}

#[test]
#[should_panic(expected = "steps did not happen")]
fn a_script_that_is_not_played_to_its_end_fails_its_test() {
    drop(Replay::script(OPEN));
}

#[test]
#[should_panic(expected = "the script has something else")]
fn a_host_that_writes_something_else_fails_its_test() {
    let _ = ping("> 01020304 81 0002 6870");
}
