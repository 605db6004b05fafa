//! The YubiKey's OTP interface: frames, the known answer, touches, and what is refused.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretBytes;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::replay::Replay;
use oss2fa_ctap::transport::{Feature, Meanwhile, Patience, TransportError};
use oss2fa_ctap::yubikey::{
    Challenge, Config, ExpectedAnswer, FRAME, GOOD_RESIDUAL, MAX_CHALLENGE, PAYLOAD, ResponseAssembler, Slot,
    State, TouchWait, YubiKey, crc16, request,
};
use proptest::prelude::*;

use crate::fixed::{Fixed, hex, played, watched};

/// HMAC-SHA1 of `Sample #2` under 303132..4243 (FIPS 198, second example).
const KNOWN_ANSWER: &str = "0922d3405faa3d194f82a45830737d5cc6c75d24";

/// What an idle key of firmware 5.7.1 with both slots set up says, programmed three times.
const IDLE: &str = "f< 00 050701 03 0300 00\n";

fn sample() -> Challenge {
    Challenge::from_bytes(b"Sample #2").unwrap()
}

/// The parts of the request for slot 1 with `Sample #2`: the first two, the one with the slot, as golden bytes.
fn asked() -> String {
    format!(
        "{IDLE}f> 53616d706c6520 80\n{IDLE}f> 2332 0000000000 81\n{IDLE}f> 00 30 {} 000000 89\n",
        hex_of(&crc16(&padded(b"Sample #2")).to_le_bytes())
    )
}

fn padded(challenge: &[u8]) -> [u8; PAYLOAD] {
    let mut payload = [0; PAYLOAD];
    payload[..challenge.len()].copy_from_slice(challenge);
    payload
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reply in its parts, with the one that ends it.
fn reply(data: &[u8]) -> String {
    let whole = [data, &(!crc16(data)).to_le_bytes()].concat();
    let mut script = String::new();
    for (sequence, part) in (0x40..).zip(whole.chunks(7)) {
        let mut part = part.to_vec();
        part.resize(7, 0);
        script += &format!("f< {} {sequence:02x}\n", hex_of(&part));
    }
    script + "f< 00000000000000 40\n"
}

const RESET: &str = "f> 00000000000000 8f\n";

fn answer(
    slot: Slot,
    touch: TouchWait,
) -> impl FnOnce(Replay, &mut Patience<'_>) -> Result<Vec<u8>, KeyError> {
    move |replay, patience| {
        let answer = YubiKey::new(replay).answer(slot, &sample(), touch, patience)?;
        Ok(answer.expose().to_vec())
    }
}

#[test]
fn the_known_answer_comes_back() {
    let script = [asked(), reply(&hex(KNOWN_ANSWER)), RESET.to_owned()].concat();
    assert_eq!(played(&script, answer(Slot::One, TouchWait::GiveUp)), Ok(hex(KNOWN_ANSWER)));
}

#[test]
fn the_second_slot_has_its_own_number() {
    let script = [asked().replace("00 30", "00 38"), reply(&hex(KNOWN_ANSWER)), RESET.to_owned()].concat();
    assert_eq!(played(&script, answer(Slot::Two, TouchWait::GiveUp)), Ok(hex(KNOWN_ANSWER)));
}

#[test]
fn a_key_that_is_slow_to_take_a_part_is_waited_for() {
    let slow = asked().replacen(IDLE, &format!("f< 00 050701 03 0300 80\npause\n{IDLE}"), 2);
    let script =
        [slow, IDLE.to_owned(), "pause\n".to_owned(), reply(&hex(KNOWN_ANSWER)), RESET.to_owned()].concat();
    assert_eq!(played(&script, answer(Slot::One, TouchWait::GiveUp)), Ok(hex(KNOWN_ANSWER)));
}

#[test]
fn a_touch_is_waited_for_and_told() {
    let awaited = "f< 00 050701 03 0300 20\npause\n".repeat(3);
    let script = [asked(), awaited, reply(&hex(KNOWN_ANSWER)), RESET.to_owned()].concat();
    let (given, seen) = watched(&script, None, answer(Slot::One, TouchWait::Wait));
    assert_eq!(given, Ok(hex(KNOWN_ANSWER)));
    let touch = Meanwhile::TouchNeeded;
    assert_eq!(seen, [Meanwhile::Processing, touch, touch, touch]);
}

#[test]
fn a_touch_that_is_not_to_be_waited_for_is_given_up_at_once() {
    let script = [&asked(), "f< 00 050701 03 0300 20\n", RESET].concat();
    assert_eq!(played(&script, answer(Slot::One, TouchWait::GiveUp)), Err(KeyError::Cancelled));
}

#[test]
fn a_wait_for_a_touch_ends_at_the_deadline_or_when_nobody_wants_it() {
    let awaited = "f< 00 050701 03 0300 20\n";
    let script = [&asked(), awaited, "timeup\n", RESET].concat();
    assert_eq!(played(&script, answer(Slot::One, TouchWait::Wait)), Err(KeyError::TimedOut));
    let script = [&asked(), awaited, "pause\n", RESET].concat();
    let (cancelled, _) = watched(&script, Some(Meanwhile::TouchNeeded), answer(Slot::One, TouchWait::Wait));
    assert_eq!(cancelled, Err(KeyError::Cancelled));
}

#[test]
fn a_key_that_gives_up_waiting_for_its_touch_is_no_key_without_a_slot() {
    let idle = [format!("{IDLE}pause\n").repeat(149), IDLE.to_owned(), RESET.to_owned()].concat();
    let script = [&asked(), "f< 00 050701 03 0300 20\npause\n", &idle].concat();
    assert_eq!(played(&script, answer(Slot::One, TouchWait::Wait)), Err(KeyError::TimedOut));
}

#[test]
fn a_slot_that_is_not_set_up_does_not_answer() {
    let script = [asked(), format!("{IDLE}pause\n").repeat(149), IDLE.to_owned(), RESET.to_owned()].concat();
    let refused = played(&script, answer(Slot::One, TouchWait::Wait));
    assert!(matches!(refused, Err(KeyError::Unsupported(_))), "{refused:?}");
}

#[test]
fn a_reply_with_one_thing_wrong_is_refused() {
    let right = reply(&hex(KNOWN_ANSWER));
    let lines: Vec<&str> = right.lines().collect();
    let (first, second, third) = (lines[0], lines[1], lines[2]);
    let wrong_checksum = {
        let mut other = hex(KNOWN_ANSWER);
        other[0] ^= 1;
        right.replace("0922d340", &format!("{:02x}22d340", other[0]))
    };
    for (what, parts) in [
        ("a wrong checksum", wrong_checksum),
        ("parts out of order", format!("{first}\n{third}\n")),
        ("a part twice", format!("{first}\n{second}\n{second}\n")),
        ("a beginning in the middle", format!("{second}\n")),
        ("an end before there is enough", format!("{first}\nf< 00000000000000 40\n")),
        ("nothing more in the middle", format!("{first}\n{IDLE}")),
        ("a touch in the middle", format!("{first}\nf< 00 050701 03 0300 20\n")),
    ] {
        let script = [&asked(), &parts, RESET].concat();
        let refused = played(&script, answer(Slot::One, TouchWait::Wait));
        assert!(matches!(refused, Err(KeyError::Malformed(_))), "{what}: {refused:?}");
    }
}

#[test]
fn a_key_that_is_pulled_out_ends_it() {
    let script = [&asked(), "gone\ngone\n"].concat();
    let refused = played(&script, answer(Slot::One, TouchWait::Wait));
    assert_eq!(refused, Err(KeyError::Transport(TransportError::Gone)));
}

#[test]
fn the_serial_number_is_big_endian() {
    let asked = format!(
        "{IDLE}f> 00000000000000 80\n{IDLE}f> 00 10 {} 000000 89\n",
        hex_of(&crc16(&[0; PAYLOAD]).to_le_bytes())
    );
    let script = [asked, reply(&hex("00a1b2c3")), RESET.to_owned()].concat();
    let serial = played(&script, |replay, patience| YubiKey::new(replay).serial(patience));
    assert_eq!(serial, Ok(0x00a1_b2c3));
}

#[test]
fn an_idle_key_says_which_slots_are_set_up() {
    for (level, one, two) in [
        ("00", Config::Empty, Config::Empty),
        ("01", Config::Valid, Config::Empty),
        ("02", Config::Empty, Config::Valid),
        ("07", Config::Valid, Config::Valid),
    ] {
        let state =
            played(&format!("f< 00 050701 03 {level}00 00"), |replay, _| YubiKey::new(replay).state());
        assert_eq!(state, Ok(State { version: [5, 7, 1], one, two }));
    }
    for busy in [0x80, 0x40, 0x20] {
        assert!(State::parse(&[0, 5, 7, 1, 3, 3, 0, busy]).is_err());
    }
}

#[test]
fn a_frame_has_seventy_bytes_in_ten_parts() {
    let mut payload = [1; PAYLOAD];
    payload[7..21].fill(0);
    let parts = request(0x30, &payload);
    let numbers: Vec<u8> = parts.iter().map(|part| part[7]).collect();
    assert_eq!(numbers, [0x80, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89], "parts of zeroes are left out");
    assert_eq!(FRAME, 70);
    let ends: Vec<u8> = request(0x10, &[0; PAYLOAD]).iter().map(|part| part[7]).collect();
    assert_eq!(ends, [0x80, 0x89], "but never the ends");
}

#[test]
fn a_longer_reply_than_there_is_is_refused() {
    let mut assembler = ResponseAssembler::default();
    let mut taken = 0;
    for sequence in 0..=0x1f {
        let part: Feature = [1, 1, 1, 1, 1, 1, 1, 0x40 | sequence];
        match assembler.push(&part) {
            Ok(None) => taken += 1,
            Ok(Some(_)) => panic!("it has not ended"),
            Err(_) => break,
        }
    }
    assert_eq!(taken, 10);
}

#[test]
fn the_expected_answer_is_the_only_one() {
    let expected =
        |answer: &[u8]| ExpectedAnswer { device: DeviceId(4), answer: SecretBytes::new(answer.to_vec()) };
    let right = hex(KNOWN_ANSWER);
    let given = SecretBytes::new(right.clone());
    assert_eq!(expected(&right).check(&given).unwrap().device(), DeviceId(4));
    let mut other = right.clone();
    other[19] ^= 1;
    assert_eq!(expected(&other).check(&given), None);
    assert_eq!(expected(&right).check(&SecretBytes::new(right[..19].to_vec())), None);
    assert_eq!(expected(&[]).check(&SecretBytes::new(Vec::new())), None, "no answer is no answer");
}

#[test]
fn a_challenge_is_random_and_never_ends_in_padding() {
    let fresh = Challenge::fresh(&Fixed::bytes(&[(0..62).collect::<Vec<u8>>(), vec![0]].concat())).unwrap();
    assert_eq!(fresh.as_bytes().len(), MAX_CHALLENGE);
    assert_eq!(fresh.as_bytes()[62], 1);
    assert!(Challenge::fresh(&Fixed::bytes(&[0; 63])).is_err());
    assert!(Challenge::fresh(&Fixed::bytes(&[1; 62])).is_err());
    assert!(Challenge::from_bytes(&[]).is_none() && Challenge::from_bytes(&[1; 64]).is_none());
}

/// A request for slot 2 with 63 bytes that count up from `first`: none of its parts is left out.
fn asked_for_counting(first: u8) -> String {
    let mut payload = [0; PAYLOAD];
    for (byte, number) in payload.iter_mut().zip(first..).take(MAX_CHALLENGE) {
        *byte = number;
    }
    let mut script = String::new();
    for part in request(0x38, &payload) {
        script += &format!("{IDLE}f> {}\n", hex_of(part.as_slice()));
    }
    script
}

// From 1 to 63 and from 65 to 127: both end in an odd number, as fresh ones do.
fn two_challenges() -> Fixed {
    Fixed::bytes(&(1..=63).chain(65..=127).collect::<Vec<u8>>())
}

#[test]
fn a_slot_is_enrolled_by_two_answers() {
    let (one, other) = ([1; 20], [2; 20]);
    let script = [
        asked_for_counting(1),
        reply(&one),
        RESET.into(),
        asked_for_counting(65),
        reply(&other),
        RESET.into(),
    ];
    let kept = played(&script.concat(), |replay, patience| {
        YubiKey::new(replay).enrol(Slot::Two, &two_challenges(), patience)
    });
    let (challenge, answer) = kept.unwrap();
    assert_eq!((challenge.as_bytes()[0], answer.expose()), (65, other.as_slice()));
}

/// A login with a key that answers the challenge of 1 to 63 by `first`, and another by `second`: whether it was proved.
fn proved(first: [u8; 20], second: Option<[u8; 20]>, expected: [u8; 20]) -> Result<Option<bool>, KeyError> {
    let mut script = [asked_for_counting(1), reply(&first), RESET.into()].concat();
    if let Some(second) = second {
        script += &[asked_for_counting(65), reply(&second), RESET.into()].concat();
    }
    let kept = Challenge::from_bytes(&(1..=63).collect::<Vec<u8>>()).unwrap();
    let expected = ExpectedAnswer { device: DeviceId(4), answer: SecretBytes::new(expected.to_vec()) };
    let random = Fixed::bytes(&(65..=127).collect::<Vec<u8>>());
    let proven = played(&script, |replay, patience| {
        YubiKey::new(replay).prove(Slot::Two, &kept, &expected, &random, patience)
    })?;
    Ok(proven.map(|proven| {
        let (challenge, answer) = proven.next();
        assert_eq!(proven.answered().device(), DeviceId(4));
        challenge.as_bytes()[0] == 65 && second.is_some_and(|second| answer.expose() == second)
    }))
}

#[test]
fn a_login_brings_the_next_challenge_with_its_answer() {
    assert_eq!(proved([1; 20], Some([2; 20]), [1; 20]), Ok(Some(true)));
}

#[test]
fn a_wrong_answer_proves_nothing_and_nothing_more_is_asked() {
    assert_eq!(proved([1; 20], None, [3; 20]), Ok(None));
}

#[test]
fn row_10_a_key_that_answers_every_challenge_alike_proves_nothing() {
    assert_eq!(proved([1; 20], Some([1; 20]), [1; 20]), Err(KeyError::SameAnswer));
}

#[test]
fn nothing_is_asked_for_somebody_who_has_left() {
    let (cancelled, _) = watched("", Some(Meanwhile::Processing), answer(Slot::One, TouchWait::Wait));
    assert_eq!(cancelled, Err(KeyError::Cancelled));
}

#[test]
fn row_10_a_key_that_answers_every_challenge_alike_is_not_enrolled() {
    let same = [7; 20];
    let script = [
        asked_for_counting(1),
        reply(&same),
        RESET.into(),
        asked_for_counting(65),
        reply(&same),
        RESET.into(),
    ];
    let refused = played(&script.concat(), |replay, patience| {
        YubiKey::new(replay).enrol(Slot::Two, &two_challenges(), patience).map(drop)
    });
    assert_eq!(refused, Err(KeyError::SameAnswer));
    let random = Fixed::bytes(&(1..=63).chain(1..=63).collect::<Vec<u8>>());
    let refused =
        played("", |replay, patience| YubiKey::new(replay).enrol(Slot::Two, &random, patience).map(drop));
    assert_eq!(refused, Err(KeyError::NoRandomness));
}

proptest! {
    #[test]
    fn data_with_its_checksum_has_the_good_residual(data in proptest::collection::vec(any::<u8>(), 0..70)) {
        let checksum = (!crc16(&data)).to_le_bytes();
        prop_assert_eq!(crc16(&[data.as_slice(), &checksum].concat()), GOOD_RESIDUAL);
    }

    #[test]
    fn the_parts_of_a_request_are_its_frame(slot in any::<u8>(), payload in proptest::collection::vec(any::<u8>(), PAYLOAD)) {
        let payload: [u8; PAYLOAD] = payload.try_into().unwrap();
        let mut frame = [0; FRAME];
        for part in request(slot, &payload) {
            let at = usize::from(part[7] & 0x1f) * 7;
            frame[at..at + 7].copy_from_slice(&part[..7]);
        }
        prop_assert_eq!(&frame[..PAYLOAD], &payload);
        prop_assert_eq!(frame[PAYLOAD], slot);
        prop_assert_eq!(&frame[65..67], &crc16(&payload).to_le_bytes());
        prop_assert_eq!(&frame[67..], &[0; 3]);
    }
}
