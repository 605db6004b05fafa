//! CTAP2: requests as python-fido2 spells them, answers that are read and those that are not.

use oss2fa_ctap::auth_data::{Aaguid, AuthenticatorData, MAX_AUTH_DATA};
use oss2fa_ctap::cbor::Value;
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::client_pin;
use oss2fa_ctap::ctap2::get_assertion::{FirstAssertion, GetAssertion, Presence};
use oss2fa_ctap::ctap2::info::{Ability, Info};
use oss2fa_ctap::ctap2::make_credential::{Attestation, MakeCredential, Protection, Residence, Verification};
use oss2fa_ctap::ctap2::pin_protocol::PinProtocol;
use oss2fa_ctap::ctap2::selection;
use oss2fa_ctap::verify::{
    Aaguids, AttestationPolicy, Demand, Login, Registration, RegistrationPolicy, RpId, UserVerification,
};
use serde::Deserialize;

use crate::fixed::{Fixed, RP, hex, vectors};

#[derive(Deserialize)]
struct Golden {
    name: String,
    request: String,
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let all: Vec<Golden> = vectors(include_str!("../data/requests.json"));
    hex(&all.into_iter().find(|golden| golden.name == name).unwrap().request)
}

fn made() -> [u8; 32] {
    let policy = RegistrationPolicy {
        verification: UserVerification::NotAsked,
        algorithms: vec![Algorithm::Es256],
        protection: None,
        attestation: AttestationPolicy { demand: Demand::Nothing, models: Aaguids::Any },
    };
    let registration = Registration::fresh(RpId::new(RP).unwrap(), policy, &Fixed::counting()).unwrap();
    *registration.client_data().hash()
}

fn challenge() -> [u8; 32] {
    let rp = RpId::new(RP).unwrap();
    *Login::fresh(rp, UserVerification::NotAsked, &Fixed::counting()).unwrap().client_data().hash()
}

fn make_credential(client_data_hash: &[u8; 32]) -> MakeCredential<'_> {
    MakeCredential {
        client_data_hash,
        rp_id: RP,
        user_id: b"ferris",
        user_name: "ferris",
        algorithms: &[Algorithm::Es256, Algorithm::EdDsa],
        exclude: &[],
        residence: Residence::ById,
        protection: None,
        verification: Verification::None,
    }
}

fn get_assertion(client_data_hash: &[u8; 32]) -> GetAssertion<'_> {
    GetAssertion {
        rp_id: RP,
        client_data_hash,
        allow: &[],
        presence: Presence::Touch,
        verification: Verification::None,
    }
}

#[test]
fn make_credential_is_spelled_as_the_peer_spells_it() {
    let hash = made();
    assert_eq!(*make_credential(&hash).to_bytes(), golden("make_credential"));
    let built_in = MakeCredential { verification: Verification::BuiltIn, ..make_credential(&hash) };
    assert_eq!(*built_in.to_bytes(), golden("make_credential_built_in"));
}

#[test]
fn get_assertion_is_spelled_as_the_peer_spells_it() {
    let hash = challenge();
    assert_eq!(*get_assertion(&hash).to_bytes(), golden("get_assertion"));
    let allow = [b"credential of ferris".to_vec(), b"credential of corro".to_vec()];
    let silent = GetAssertion { allow: &allow, presence: Presence::Silent, ..get_assertion(&hash) };
    assert_eq!(*silent.to_bytes(), golden("get_assertion_silent"));
}

#[test]
fn requests_about_the_pin_are_spelled_as_the_peer_spells_them() {
    let coordinate = |counting: bool| Value::Bytes((0..32).map(|at| if counting { at } else { 0 }).collect());
    let public = Value::Map(vec![
        (Value::number(1), Value::number(2)),
        (Value::number(3), Value::number(-25)),
        (Value::number(-1), Value::number(1)),
        (Value::number(-2), coordinate(false)),
        (Value::number(-3), coordinate(true)),
    ]);
    let (one, two) = (Some(PinProtocol::One), Some(PinProtocol::Two));
    for (name, protocol, subcommand, more) in [
        ("pin_retries", None, 1, vec![]),
        ("key_agreement", two, 2, vec![]),
        ("pin_token", one, 5, vec![(3, public.clone()), (6, Value::Bytes(vec![0; 16]))]),
        (
            "pin_token_with_permissions",
            two,
            9,
            vec![
                (3, public.clone()),
                (6, Value::Bytes(vec![0; 32])),
                (9, Value::number(2)),
                (10, Value::text(RP)),
            ],
        ),
        ("verification_token", two, 6, vec![(3, public), (9, Value::number(1)), (10, Value::text(RP))]),
        ("verification_retries", None, 7, vec![]),
    ] {
        assert_eq!(*client_pin::request(protocol, subcommand, more), golden(name), "{name}");
    }
}

#[test]
fn what_has_no_parameters_is_one_byte() {
    assert_eq!(Info::REQUEST.as_slice(), golden("get_info"));
    assert_eq!(selection::REQUEST.as_slice(), golden("selection"));
}

#[test]
fn a_key_is_what_it_says() {
    // The example of CTAP 2.1 section 6.4 in our own words: two versions, an extension, options, one protocol.
    let info = Info::parse(&hex(
        "a6 01 82 66 5532465f5632 68 4649444f5f325f30 02 82 63 757666 6b 686d61632d736563726574 \
         03 50 f8a011f38c0a4d15800617111f9edc7d 04 a5 62 726b f5 62 7570 f5 62 7576 f5 64 706c6174 f4 \
         69 636c69656e7450696e f4 05 19 04b0 06 81 01",
    ))
    .unwrap();
    assert!(info.speaks("U2F_V2") && info.speaks("FIDO_2_0") && !info.speaks("FIDO_2_1"));
    assert_eq!(info.aaguid, Aaguid(hex("f8a011f38c0a4d15800617111f9edc7d").try_into().unwrap()));
    assert_eq!((info.max_message, info.max_credentials, info.max_credential_id), (1200, 1, None));
    assert_eq!((info.pin(), info.built_in_verification()), (Ability::NotSetUp, Ability::Ready));
    assert_eq!(info.ability("alwaysUv"), Ability::Absent);
    assert!(info.keeps_resident_credentials() && !info.gives_tokens_with_permissions());
    assert!(!info.always_verifies() && !info.makes_credentials_unverified());
}

#[test]
fn a_description_with_one_thing_wrong_is_refused() {
    let right = "a2 01 81 66 5532465f5632 03 50 00000000000000000000000000000000";
    assert!(Info::parse(&hex(right)).is_ok());
    for (what, bytes) in [
        ("nothing", ""),
        ("no map", "80"),
        ("no versions", "a1 03 50 00000000000000000000000000000000"),
        ("no model", "a1 01 81 66 5532465f5632"),
        ("a model that is too short", "a2 01 81 66 5532465f5632 03 41 00"),
        ("versions that are no text", "a2 01 81 01 03 50 00000000000000000000000000000000"),
        ("an option that is no flag", "a3 01 80 03 50 00000000000000000000000000000000 04 a1 62 726b 01"),
        ("a negative size", "a3 01 80 03 50 00000000000000000000000000000000 05 20"),
        ("a byte behind", "a2 01 81 66 5532465f5632 03 50 00000000000000000000000000000000 00"),
    ] {
        assert!(Info::parse(&hex(bytes)).is_err(), "{what}");
    }
}

#[test]
fn an_assertion_without_a_credential_is_of_the_only_one_that_was_asked_for() {
    let bytes = hex("a2 02 41 01 03 41 02");
    let only = [b"only".to_vec()];
    assert_eq!(FirstAssertion::parse(&bytes, &only).unwrap().assertion.credential_id, b"only");
    assert!(FirstAssertion::parse(&bytes, &[]).is_err());
    assert!(FirstAssertion::parse(&bytes, &[b"one".to_vec(), b"two".to_vec()]).is_err());
}

#[test]
fn an_assertion_with_one_thing_wrong_is_refused() {
    let descriptor = "01 a2 62 6964 41 01 64 74797065 6a 7075626c69632d6b6579";
    let right = format!("a3 {descriptor} 02 41 01 03 41 02");
    assert_eq!(FirstAssertion::parse(&hex(&right), &[]).unwrap().count, 1);
    for (what, bytes) in [
        ("no data", format!("a2 {descriptor} 03 41 02")),
        ("no signature", format!("a2 {descriptor} 02 41 01")),
        ("a signature that is text", format!("a3 {descriptor} 02 41 01 03 61 61")),
        ("another type", "a3 01 a2 62 6964 41 01 64 74797065 61 61 02 41 01 03 41 02".to_owned()),
        ("no id", "a3 01 a1 64 74797065 6a 7075626c69632d6b6579 02 41 01 03 41 02".to_owned()),
        ("an owner without an id", format!("a4 {descriptor} 02 41 01 03 41 02 04 a0")),
        ("no assertions at all", format!("a4 {descriptor} 02 41 01 03 41 02 05 00")),
        ("a thousand assertions", format!("a4 {descriptor} 02 41 01 03 41 02 05 19 03e8")),
        ("a negative count", format!("a4 {descriptor} 02 41 01 03 41 02 05 20")),
    ] {
        assert!(FirstAssertion::parse(&hex(&bytes), &[]).is_err(), "{what}");
    }
}

#[test]
fn an_attestation_with_one_thing_wrong_is_refused() {
    assert!(Attestation::parse(&hex("a3 01 64 6e6f6e65 02 41 01 03 a0")).is_ok());
    for (what, bytes) in [
        ("no format", "a2 02 41 01 03 a0"),
        ("a format that is no text", "a3 01 01 02 41 01 03 a0"),
        ("no data", "a2 01 64 6e6f6e65 03 a0"),
        ("no statement", "a2 01 64 6e6f6e65 02 41 01"),
        ("a statement that is no map", "a3 01 64 6e6f6e65 02 41 01 03 80"),
    ] {
        assert!(Attestation::parse(&hex(bytes)).is_err(), "{what}");
    }
}

#[test]
fn an_answer_about_the_pin_with_one_thing_wrong_is_refused() {
    assert!(client_pin::Answer::parse(&hex("a1 03 08")).is_ok());
    for (what, bytes) in [
        ("more tries than a byte has", "a1 03 19 0100"),
        ("a negative number of tries", "a1 03 20"),
        ("a state that is no flag", "a2 03 08 04 01"),
        ("a token that is text", "a1 02 61 61"),
    ] {
        assert!(client_pin::Answer::parse(&hex(bytes)).is_err(), "{what}");
    }
}

#[test]
fn longer_authenticator_data_than_any_key_sends_is_not_looked_at() {
    assert!(AuthenticatorData::parse(&vec![0; MAX_AUTH_DATA + 1]).is_err());
}

#[test]
fn protections_have_an_order() {
    assert!(Protection::Optional < Protection::OptionalWithList);
    assert!(Protection::OptionalWithList < Protection::Required);
}
