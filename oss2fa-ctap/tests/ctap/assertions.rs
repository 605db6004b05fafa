//! Assertions with one thing wrong each, by name, and some with nothing wrong. They are signed as a key would sign
//! them: nothing but the one thing is to blame.

use oss2fa_core::ids::DeviceId;
use oss2fa_ctap::cose::PublicKey;
use oss2fa_ctap::ctap2::get_assertion::Assertion;
use oss2fa_ctap::verify::{Credential, Login, Refusal, RpId, User, UserVerification};
use serde::Deserialize;

use crate::fixed::{Fixed, RP, hex, vectors};

#[derive(Deserialize)]
struct Case {
    name: String,
    expect: String,
    policy: String,
    stored: u32,
    credential: Stored,
    id: String,
    auth_data: String,
    signature: String,
    owner: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    key: String,
    owner: String,
}

fn cases() -> Vec<Case> {
    vectors(include_str!("../data/assertions.json"))
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

impl Case {
    fn login(&self, random: &Fixed) -> Login {
        let verification = match self.policy.as_str() {
            "verified" => UserVerification::Required,
            other => {
                assert_eq!(other, "touch");
                UserVerification::NotAsked
            }
        };
        Login::fresh(RpId::new(RP).unwrap(), verification, random).unwrap()
    }

    fn credential(&self, stored: u32) -> Credential {
        Credential {
            device: DeviceId(3),
            id: hex(&self.credential.id),
            public_key: PublicKey::from_cose(&hex(&self.credential.key)).unwrap(),
            sign_count: stored,
            user_id: Some(hex(&self.credential.owner)),
        }
    }

    fn assertion(&self) -> Assertion {
        Assertion {
            credential_id: hex(&self.id),
            auth_data: hex(&self.auth_data),
            signature: hex(&self.signature),
            user_id: self.owner.as_deref().map(hex),
        }
    }

    fn outcome(&self) -> String {
        let login = self.login(&Fixed::counting());
        match login.verify(&[self.credential(self.stored)], &self.assertion()) {
            Ok(asserted) => {
                assert_eq!(asserted.device(), DeviceId(3));
                "ok".to_owned()
            }
            Err(refusal) => {
                assert!(!refusal.to_string().is_empty());
                format!("{refusal:?}")
            }
        }
    }
}

macro_rules! each_by_its_name {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let case = case(stringify!($name));
            assert_eq!(case.outcome(), case.expect);
        })*

        #[test]
        fn none_of_the_file_is_left_out() {
            let tested = [$(stringify!($name)),*];
            let there: Vec<String> = cases().into_iter().map(|case| case.name).collect();
            assert_eq!(tested.as_slice(), there);
            assert!(there.iter().filter(|name| !name.starts_with("right")).count() >= 25);
        }
    };
}

each_by_its_name! {
    right_es256
    right_eddsa
    right_with_the_user_verified
    right_from_a_key_that_does_not_count
    right_with_the_first_count
    right_with_the_highest_count
    right_with_extensions
    right_with_backup_flags
    right_without_an_owner
    challenge_of_another_login
    challenge_of_an_enrolment
    challenge_under_another_origin
    challenge_not_signed
    challenge_signed_without_its_hash
    rp_id_of_another
    rp_id_with_a_dot_behind
    rp_id_hash_of_zeroes
    user_not_present
    user_verified_and_not_present
    user_not_verified
    user_verified_by_a_flag_changed_later
    counter_equal
    counter_back
    counter_back_to_zero
    counter_wrapped
    counter_changed_later
    signature_with_one_bit_changed
    signature_of_another_key
    signature_empty
    signature_truncated
    signature_with_a_trailing_byte
    signature_oversized
    signature_not_in_der
    signature_of_zeroes
    signature_of_ones
    signature_eddsa_malleable
    signature_eddsa_with_a_trailing_byte
    algorithm_eddsa_for_a_credential_of_es256
    algorithm_es256_for_a_credential_of_eddsa
    credential_of_another_user
    credential_id_empty
    credential_id_truncated
    credential_id_with_a_trailing_byte
    owner_of_another_user
    owner_empty
    data_empty
    data_truncated
    data_with_a_trailing_byte
    data_oversized
    data_with_a_new_credential
    extensions_announced_and_absent
    extensions_not_announced
    extensions_that_are_no_map
    extensions_with_a_key_twice
    extensions_truncated
}

#[test]
fn an_assertion_that_is_repeated_at_the_next_login_is_refused() {
    let case = case("right_es256");
    let login = case.login(&Fixed::counting());
    let asserted = login.verify(&[case.credential(7)], &case.assertion()).unwrap();
    assert_eq!(asserted.sign_count(), 8);
    let next = case.login(&Fixed::bytes(&[[7; 31].as_slice(), &[8]].concat()));
    assert_eq!(next.verify(&[case.credential(8)], &case.assertion()), Err(Refusal::Signature));
}

#[test]
fn an_assertion_that_is_repeated_under_the_same_challenge_looks_cloned() {
    let case = case("right_es256");
    let login = case.login(&Fixed::counting());
    let asserted = login.verify(&[case.credential(7)], &case.assertion()).unwrap();
    let again = case.login(&Fixed::counting());
    let refused = again.verify(&[case.credential(asserted.sign_count())], &case.assertion());
    assert_eq!(refused, Err(Refusal::Cloned { stored: 8, seen: 8 }));
}

#[test]
fn row_02_and_43_a_login_that_must_verify_its_user_takes_no_touch_for_it() {
    let mut case = case("right_es256");
    assert_eq!(case.outcome(), "ok");
    case.policy = "verified".to_owned();
    assert_eq!(case.outcome(), "NotVerified");
}

#[test]
fn who_has_no_credential_is_refused() {
    let case = case("right_es256");
    let refused = case.login(&Fixed::counting()).verify(&[], &case.assertion());
    assert_eq!(refused, Err(Refusal::UnknownCredential));
}

#[test]
fn the_credential_is_found_among_several() {
    let (case, other) = (case("right_es256"), case("right_eddsa"));
    let mut first = other.credential(0);
    first.id = b"another".to_vec();
    first.device = DeviceId(2);
    let asserted =
        case.login(&Fixed::counting()).verify(&[first, case.credential(7)], &case.assertion()).unwrap();
    assert_eq!((asserted.device(), asserted.user()), (DeviceId(3), User::Present));
}

#[test]
fn the_evidence_says_that_the_user_was_verified() {
    let case = case("right_with_the_user_verified");
    let login = case.login(&Fixed::counting());
    let asserted = login.verify(&[case.credential(7)], &case.assertion()).unwrap();
    assert_eq!(asserted.user(), User::Verified);
}

#[test]
fn a_login_without_randomness_does_not_begin() {
    for bytes in [vec![], vec![0; 32], vec![0xff; 32]] {
        let rp = RpId::new(RP).unwrap();
        assert!(Login::fresh(rp, UserVerification::NotAsked, &Fixed::bytes(&bytes)).is_err(), "{bytes:?}");
    }
}

#[test]
fn each_challenge_is_in_its_client_data() {
    let case = case("right_es256");
    let login = case.login(&Fixed::counting());
    assert_eq!(
        login.client_data().json(),
        r#"{"type":"webauthn.get","challenge":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","origin":"oss2fa.test","crossOrigin":false}"#
    );
}

#[test]
fn an_rp_id_cannot_break_out_of_the_client_data() {
    for bad in ["", "a\"b", "a\\b", "a b", "a\nb", "é", &"a".repeat(254)] {
        assert!(RpId::new(bad).is_err(), "{bad:?}");
    }
    assert!(RpId::new("pam://host.example").is_ok());
}
