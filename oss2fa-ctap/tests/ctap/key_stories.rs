//! Whole exchanges with a key, from its channel to the evidence. The scripts were made with python-fido2.

use oss2fa_core::ids::DeviceId;
use oss2fa_core::secret::SecretText;
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::client_pin::{TRIES_KEPT, pin_retries, verification_retries};
use oss2fa_ctap::ctap2::make_credential::{Protection, Residence};
use oss2fa_ctap::ctap2::status::Status;
use oss2fa_ctap::error::KeyError;
use oss2fa_ctap::key::{Key, Method, Owner, Proof};
use oss2fa_ctap::replay::Replay;
use oss2fa_ctap::transport::{Meanwhile, Patience};
use oss2fa_ctap::verify::{
    Aaguids, Anchor, AttestationPolicy, Attested, Demand, Enrolled, Login, Registration, RegistrationPolicy,
    RpId, User, UserVerification,
};

use crate::fixed::{Fixed, RP, ferris, hex, played, vectors, watched};

const OWNER: Owner<'_> = Owner { id: b"ferris", name: "ferris" };

const OPEN: &str = "
    >> ffffffff 06 0001020304050607
    << ffffffff 06 0001020304050607 01020304 02 050701 05
";
/// FIDO_2_1 with a PIN, tokens and its own verification; protocol 2.
const INFO_2_1: &str = "
    >> 01020304 10 04
    << 01020304 10 00 a4 01 81 68 4649444f5f325f31 03 50 00000000000000000000000000000000 \
                      04 a3 62 7576 f5 69 636c69656e7450696e f5 6e 70696e557641757468546f6b656e f5 06 81 02
";
/// FIDO_2_0 with a PIN and without tokens; protocol 1.
const INFO_2_0: &str = "
    >> 01020304 10 04
    << 01020304 10 00 a4 01 81 68 4649444f5f325f30 03 50 00000000000000000000000000000000 \
                      04 a2 62 7576 f5 69 636c69656e7450696e f5 06 81 01
";

fn nonce() -> Fixed {
    Fixed::counting()
}

fn rp() -> RpId {
    RpId::new(RP).unwrap()
}

fn login() -> Login {
    Login::fresh(rp(), UserVerification::NotAsked, &Fixed::counting()).unwrap()
}

fn root() -> Anchor {
    #[derive(serde::Deserialize)]
    struct Anchors {
        anchors: Vec<String>,
    }
    let all: Vec<Anchors> = vectors(include_str!("../data/registrations.json"));
    Anchor::from_der(&hex(&all[0].anchors[0])).unwrap()
}

fn registration(verification: UserVerification, protection: Option<Protection>) -> Registration {
    let policy = RegistrationPolicy {
        verification,
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        protection,
        attestation: AttestationPolicy { demand: Demand::Anchored(vec![root()]), models: Aaguids::Any },
    };
    Registration::fresh(rp(), policy, &Fixed::counting()).unwrap()
}

fn enrolled_by_pin(script: &str, initial: &[u8]) -> (Enrolled, Vec<Meanwhile>) {
    let secret = hex("0000000000000000000000000000000000000000000000000123456789abcdef");
    let random = Fixed::bytes(&[&[0, 1, 2, 3, 4, 5, 6, 7], secret.as_slice(), initial].concat());
    // That it stays on the key is reason enough to ask for its protection.
    let registration = registration(UserVerification::Required, None);
    let pin = SecretText::new("1234 Größe".to_owned());
    let (answer, seen) = watched(script, None, |replay, patience| {
        let mut key = Key::open(replay, &random, patience)?;
        assert_eq!(key.methods(), [Method::Pin]);
        let proof = Proof::Pin(&pin);
        key.register(&registration, OWNER, &[], Residence::Resident, proof, &random, patience)
    });
    (registration.verify(&answer.unwrap()).unwrap(), seen)
}

#[test]
fn a_key_is_enrolled_by_its_pin_with_protocol_1() {
    let (enrolled, _) = enrolled_by_pin(include_str!("../data/stories/enrolment_by_pin_protocol_1"), &[]);
    assert_eq!((enrolled.user(), *enrolled.attested()), (User::Verified, Attested::ByAnchor));
}

#[test]
fn a_key_is_enrolled_by_its_pin_with_protocol_2() {
    let initial: Vec<u8> = (0x40..0x50).collect();
    let script = include_str!("../data/stories/enrolment_by_pin_protocol_2");
    let (enrolled, seen) = enrolled_by_pin(script, &initial);
    assert_eq!((enrolled.user(), *enrolled.attested()), (User::Verified, Attested::ByAnchor));
    assert_eq!(enrolled.protection(), Some(Protection::OptionalWithList));
    use Meanwhile::{Processing, TouchNeeded};
    assert_eq!(seen, [Processing, TouchNeeded, TouchNeeded, Processing]);
}

#[test]
fn a_key_of_ctap2_logs_its_user_in_with_one_touch() {
    let login = login();
    let ids = [b"credential of corro".to_vec(), b"credential of ferris".to_vec()];
    let script = include_str!("../data/stories/login_with_ctap2");
    let (answer, seen) = watched(script, None, |replay, patience| {
        Key::open(replay, &nonce(), patience)?.assert(&login, &ids, Proof::Touch, &nonce(), patience)
    });
    let asserted = login.verify(&[ferris()], &answer.unwrap()).unwrap();
    assert_eq!((asserted.device(), asserted.sign_count()), (DeviceId(1), 8));
    assert_eq!(seen, [Meanwhile::TouchNeeded]);
}

#[test]
fn a_key_of_u2f_logs_its_user_in_with_one_touch() {
    let login = login();
    let ids = [b"credential of corro".to_vec(), b"credential of ferris".to_vec()];
    let script = include_str!("../data/stories/login_with_u2f");
    let (answer, seen) = watched(script, None, |replay, patience| {
        let mut key = Key::open(replay, &nonce(), patience)?;
        assert!(key.info().is_none() && key.methods().is_empty());
        key.assert(&login, &ids, Proof::Touch, &nonce(), patience)
    });
    let asserted = login.verify(&[ferris()], &answer.unwrap()).unwrap();
    assert_eq!((asserted.sign_count(), asserted.user()), (8, User::Present));
    assert_eq!(seen.iter().filter(|what| **what == Meanwhile::TouchNeeded).count(), 2);
}

#[test]
fn a_key_of_u2f_is_enrolled() {
    let registration = registration(UserVerification::NotAsked, None);
    let answer = played(include_str!("../data/stories/enrolment_with_u2f"), |replay, patience| {
        let mut key = Key::open(replay, &nonce(), patience)?;
        key.register(&registration, OWNER, &[], Residence::ById, Proof::Touch, &nonce(), patience)
    });
    let enrolled = registration.verify(&answer.unwrap()).unwrap();
    assert_eq!(enrolled.id(), b"credential of ferris");
    assert_eq!(*enrolled.attested(), Attested::ByAnchor);
}

#[test]
fn a_key_of_u2f_verifies_nobody_and_keeps_nothing() {
    let open = "
        >> ffffffff 06 0001020304050607
        << ffffffff 06 0001020304050607 01020304 02 050701 00
        >> 01020304 03 00030000000000
        << 01020304 03 6700                      # it knows the older spelling alone
        >> 01020304 03 000300000000000000
        << 01020304 03 5532465f5632 9000";
    let built_in = played(open, |replay, patience| {
        Key::open(replay, &nonce(), patience)?
            .assert(&login(), &[vec![1]], Proof::BuiltIn, &nonce(), patience)
            .map(drop)
    });
    assert!(matches!(built_in, Err(KeyError::Unsupported(_))), "{built_in:?}");
    let resident = played(open, |replay, patience| {
        let mut key = Key::open(replay, &nonce(), patience)?;
        key.assert_resident(&login(), Proof::Touch, &nonce(), patience).map(drop)
    });
    assert!(matches!(resident, Err(KeyError::Unsupported(_))), "{resident:?}");
}

fn with_key<A>(
    script: &str,
    play: impl FnOnce(&mut Key<Replay>, &mut Patience<'_>) -> Result<A, KeyError>,
) -> Result<A, KeyError> {
    played(&format!("{OPEN}{script}"), |replay, patience| {
        play(&mut Key::open(replay, &nonce(), patience)?, patience)
    })
}

#[test]
fn a_foreign_key_is_known_without_a_touch() {
    let script = format!(
        "{INFO_2_0}
         >> 01020304 10 02 a4 01 6b 6f73733266612e74657374 02 5820 {:064x} 03 81 a2 62 6964 41 01 64 74797065 \
            6a 7075626c69632d6b6579 05 a1 62 7570 f4
         << 01020304 10 2e",
        0
    );
    let refused = with_key(&script, |key, patience| {
        key.assert(&login(), &[vec![1]], Proof::Touch, &nonce(), patience).map(drop)
    });
    assert_eq!(refused, Err(KeyError::NoCredential));
}

#[test]
fn several_resident_credentials_are_all_asked_for() {
    let owner = |n: u8| {
        format!(
            "01 a2 62 6964 41 0{n} 64 74797065 6a 7075626c69632d6b6579 02 41 0{n} 03 41 0{n} 04 a1 62 6964 41 0{n}"
        )
    };
    let hash = hex(&crate::ctap2_messages::golden("get_assertion")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>());
    let request: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let script = format!(
        "{INFO_2_0}
         >> 01020304 10 {request}
         << 01020304 10 00 a5 {} 05 03
         >> 01020304 10 08
         << 01020304 10 00 a4 {}
         >> 01020304 10 08
         << 01020304 10 00 a4 {}",
        owner(1),
        owner(2),
        owner(3)
    );
    let all =
        with_key(&script, |key, patience| key.assert_resident(&login(), Proof::Touch, &nonce(), patience));
    let owners: Vec<_> = all.unwrap().into_iter().map(|assertion| assertion.user_id).collect();
    assert_eq!(owners, [Some(vec![1]), Some(vec![2]), Some(vec![3])]);
}

#[test]
fn with_few_tries_left_no_pin_is_tried() {
    let pin = SecretText::new("123456".to_owned());
    for left in 1..=TRIES_KEPT {
        let script = format!("{INFO_2_1}>> 01020304 10 06a10201\n<< 01020304 10 00 a1 03 0{left}");
        let refused = with_key(&script, |key, patience| {
            key.assert(&login(), &[vec![1]], Proof::Pin(&pin), &nonce(), patience).map(drop)
        });
        assert_eq!(refused, Err(KeyError::FewPinTries { left }));
    }
    for (answer, why) in [("a1 03 00", KeyError::PinBlocked), ("a2 03 05 04 f5", KeyError::PlugInAgain)] {
        let script = format!("{INFO_2_1}>> 01020304 10 06a10201\n<< 01020304 10 00 {answer}");
        let refused = with_key(&script, |key, patience| key.pin_tries(patience).map(drop));
        assert_eq!(refused, Err(why));
    }
    let script = format!("{INFO_2_1}>> 01020304 10 06a10201\n<< 01020304 10 00 a1 03 04");
    assert_eq!(with_key(&script, |key, patience| key.pin_tries(patience)).unwrap().left, 4);
}

#[test]
fn a_pin_that_cannot_be_one_is_not_tried() {
    for bad in ["", "123", &"1".repeat(64)] {
        let pin = SecretText::new((*bad).to_owned());
        let refused = with_key(INFO_2_1, |key, patience| {
            key.assert(&login(), &[vec![1]], Proof::Pin(&pin), &nonce(), patience).map(drop)
        });
        assert_eq!(refused, Err(KeyError::PinLength), "{bad}");
    }
}

#[test]
fn a_wrong_pin_says_how_many_tries_are_left() {
    let story = include_str!("../data/stories/enrolment_by_pin_protocol_2");
    let until_token: Vec<&str> =
        story.lines().take_while(|line| !line.starts_with("<< 01020304 10 00a1025830")).collect();
    let script = format!(
        "{}\n<< 01020304 10 31\n>> 01020304 10 06a10201\n<< 01020304 10 00 a1 03 07",
        until_token.join("\n")
    );
    let secret = hex("0000000000000000000000000000000000000000000000000123456789abcdef");
    let initial: Vec<u8> = (0x40..0x50).collect();
    let random = Fixed::bytes(&[&[0, 1, 2, 3, 4, 5, 6, 7], secret.as_slice(), &initial].concat());
    let registration = registration(UserVerification::Required, None);
    let pin = SecretText::new("1234 Größe".to_owned());
    let refused = played(&script, |replay, patience| {
        let mut key = Key::open(replay, &random, patience)?;
        let proof = Proof::Pin(&pin);
        key.register(&registration, OWNER, &[], Residence::Resident, proof, &random, patience).map(drop)
    });
    assert_eq!(refused, Err(KeyError::WrongPin { left: 7 }));
}

#[test]
fn a_key_without_a_pin_is_not_asked_for_one() {
    let info = "
        >> 01020304 10 04
        << 01020304 10 00 a3 01 81 68 4649444f5f325f30 03 50 00000000000000000000000000000000 \
                          04 a1 69 636c69656e7450696e f4";
    let pin = SecretText::new("123456".to_owned());
    let refused = with_key(info, |key, patience| {
        assert!(key.methods().is_empty());
        key.assert(&login(), &[vec![1]], Proof::Pin(&pin), &nonce(), patience).map(drop)
    });
    assert_eq!(refused, Err(KeyError::NoPin));
    assert_eq!(with_key(info, |key, patience| key.pin_tries(patience)), Err(KeyError::NoPin));
}

#[test]
fn a_key_with_a_pin_enrols_by_it_unless_it_waives_that() {
    let info = |options: &str| {
        format!(
            "{OPEN}>> 01020304 10 04
             << 01020304 10 00 a3 01 81 68 4649444f5f325f31 03 50 00000000000000000000000000000000 04 {options}"
        )
    };
    for (options, by_id, resident) in [
        ("a0", false, false),
        ("a1 69 636c69656e7450696e f4", false, false),
        ("a1 69 636c69656e7450696e f5", true, true),
        ("a2 69 636c69656e7450696e f5 70 6d616b654372656455764e6f74527164 f5", false, true),
        ("a1 68 616c776179735576 f5", true, true),
    ] {
        let must = played(&info(options), |replay, patience| {
            let key = Key::open(replay, &nonce(), patience)?;
            Ok((
                key.must_verify_to_register(Residence::ById),
                key.must_verify_to_register(Residence::Resident),
            ))
        });
        assert_eq!(must, Ok((by_id, resident)), "{options}");
    }
}

#[test]
fn a_key_says_how_often_it_may_still_be_asked() {
    let script = format!(
        "{INFO_2_1}
         >> 01020304 10 06a10201\n<< 01020304 10 00 a1 03 08
         >> 01020304 10 06a10207\n<< 01020304 10 00 a1 05 03
         >> 01020304 10 06a10201\n<< 01020304 10 00 a0"
    );
    let none = with_key(&script, |key, patience| {
        assert_eq!(pin_retries(key.channel(), patience)?.left, 8);
        assert_eq!(verification_retries(key.channel(), patience)?, 3);
        pin_retries(key.channel(), patience).map(drop)
    });
    assert!(matches!(none, Err(KeyError::Malformed(_))), "{none:?}");
}

#[test]
fn the_key_in_hand_is_selected_by_the_command_of_ctap_2_1() {
    let script = format!("{INFO_2_1}>> 01020304 10 0b\n<< 01020304 3b 02\n<< 01020304 10 00");
    assert_eq!(with_key(&script, |key, patience| key.wait_for_touch(patience)), Ok(()));
    let script = format!("{INFO_2_1}>> 01020304 10 0b\n<< 01020304 10 27");
    let refused = with_key(&script, |key, patience| key.wait_for_touch(patience));
    assert_eq!(refused, Err(KeyError::Status(Status::OPERATION_DENIED)));
}

#[test]
fn the_key_in_hand_is_selected_by_a_dummy_with_ctap_2_0() {
    let dummy = format!(
        "01 a6 01 5820 {:064x} 02 a1 62 6964 78 18 73656c656374696f6e2e6f73733266612e696e76616c6964 \
         03 a2 62 6964 41 00 64 6e616d65 66 6e6f626f6479 04 81 a2 63 616c67 26 64 74797065 6a 7075626c69632d6b6579 \
         08 40 09 01",
        0
    );
    for (answer, result) in [
        ("31", Ok(())),
        ("33", Ok(())),
        ("35", Ok(())),
        ("00 a3 01 64 6e6f6e65 02 41 01 03 a0", Ok(())),
        ("27", Err(KeyError::Status(Status::OPERATION_DENIED))),
        ("2f", Err(KeyError::TimedOut)),
    ] {
        let script = format!("{INFO_2_0}>> 01020304 10 {dummy}\n<< 01020304 3b 02\n<< 01020304 10 {answer}");
        assert_eq!(with_key(&script, |key, patience| key.wait_for_touch(patience)), result, "{answer}");
    }
}

#[test]
fn statuses_have_their_meaning() {
    for (status, error) in [
        ("19", KeyError::AlreadyEnrolled),
        ("2d", KeyError::Cancelled),
        ("2e", KeyError::NoCredential),
        ("2f", KeyError::TimedOut),
        ("32", KeyError::PinBlocked),
        ("34", KeyError::PlugInAgain),
        ("35", KeyError::NoPin),
        ("3c", KeyError::RecognitionBlocked),
        ("3f", KeyError::NotRecognised { left: None }),
        ("7f", KeyError::Status(Status(0x7f))),
    ] {
        let script = format!("{INFO_2_1}>> 01020304 10 0b\n<< 01020304 10 {status}");
        assert_eq!(with_key(&script, |key, patience| key.wait_for_touch(patience)), Err(error));
    }
    let script = format!("{INFO_2_1}>> 01020304 10 0b\n<< 01020304 10");
    let empty = with_key(&script, |key, patience| key.wait_for_touch(patience));
    assert!(matches!(empty, Err(KeyError::Malformed(_))), "{empty:?}");
}
