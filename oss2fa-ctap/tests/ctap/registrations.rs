//! Enrolments: attestations of each format, with nothing or with one thing wrong, by name.

use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::make_credential::{Attestation, Protection};
use oss2fa_ctap::verify::{
    Aaguids, Anchor, AttestationPolicy, Demand, Enrolled, Refusal, Registration, RegistrationPolicy, RpId,
    UserVerification,
};
use serde::Deserialize;

use crate::fixed::{Fixed, RP, hex, vectors};

#[derive(Deserialize)]
struct Case {
    name: String,
    expect: String,
    policy: String,
    offered: Vec<String>,
    demand: String,
    models: Option<Vec<String>>,
    protection: Option<u8>,
    anchors: Vec<String>,
    answer: String,
}

fn cases() -> Vec<Case> {
    vectors(include_str!("../data/registrations.json"))
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

impl Case {
    fn policy(&self) -> RegistrationPolicy {
        let anchors = self.anchors.iter().map(|der| Anchor::from_der(&hex(der)).unwrap()).collect();
        let model = |text: &String| Aaguid(hex(text).try_into().unwrap());
        RegistrationPolicy {
            verification: match self.policy.as_str() {
                "verified" => UserVerification::Required,
                _ => UserVerification::NotAsked,
            },
            algorithms: self
                .offered
                .iter()
                .map(|name| if name == "es256" { Algorithm::Es256 } else { Algorithm::EdDsa })
                .collect(),
            protection: match self.protection {
                None => None,
                Some(2) => Some(Protection::OptionalWithList),
                Some(other) => {
                    assert_eq!(other, 3);
                    Some(Protection::Required)
                }
            },
            attestation: AttestationPolicy {
                demand: match self.demand.as_str() {
                    "nothing" => Demand::Nothing,
                    "statement" => Demand::Statement,
                    other => {
                        assert_eq!(other, "anchored");
                        Demand::Anchored(anchors)
                    }
                },
                models: match &self.models {
                    None => Aaguids::Any,
                    Some(models) => Aaguids::Only(models.iter().map(model).collect()),
                },
            },
        }
    }

    fn verify(&self) -> Result<Enrolled, Refusal> {
        let rp = RpId::new(RP).unwrap();
        let registration = Registration::fresh(rp, self.policy(), &Fixed::counting()).unwrap();
        registration.verify(&Attestation::parse(&hex(&self.answer)).unwrap())
    }

    fn outcome(&self) -> String {
        match self.verify() {
            Ok(enrolled) => format!("{:?}", enrolled.attested()),
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
            let there: Vec<String> = cases().into_iter().map(|case| case.name).collect();
            assert_eq!([$(stringify!($name)),*].as_slice(), there);
        }
    };
}

each_by_its_name! {
    right_without_attestation
    right_eddsa
    right_with_the_user_verified
    right_protection
    right_model
    right_format_that_nobody_looks_at
    right_packed_by_itself
    right_packed_by_itself_eddsa
    right_packed_by_a_certificate
    right_packed_by_an_anchor
    right_packed_by_the_leaf_itself
    right_packed_by_a_chain
    right_packed_without_a_model_in_it
    right_fido_u2f
    challenge_is_of_no_matter_without_attestation
    challenge_of_another_enrolment
    challenge_of_a_login
    rp_id_of_another
    user_not_present
    user_not_verified
    credential_absent
    credential_id_empty
    credential_id_oversized
    data_truncated
    data_with_a_trailing_byte
    algorithm_not_offered
    key_of_rsa
    key_not_on_the_curve
    key_on_another_curve
    key_with_another_algorithm
    key_with_a_short_coordinate
    key_with_one_more_parameter
    key_that_anybody_signs_for
    protection_too_weak
    protection_absent
    protection_unknown
    model_not_allowed
    models_none_allowed
    attestation_absent
    attestation_of_another_format
    packed_by_itself_where_an_anchor_is_wanted
    packed_by_another_key
    packed_by_itself_by_another_key
    packed_by_itself_with_another_algorithm
    packed_with_another_algorithm
    packed_with_an_unknown_algorithm
    packed_with_an_empty_chain
    packed_with_a_long_chain
    packed_with_one_more_field
    packed_with_an_empty_signature
    certificate_for_another_model
    certificate_with_a_critical_model
    certificate_of_an_authority
    certificate_for_something_else
    certificate_without_a_country
    certificate_without_a_maker
    certificate_with_a_trailing_byte
    certificate_truncated
    certificate_oversized
    anchor_unknown
    anchors_none
    anchor_of_the_same_name
    anchor_that_is_no_authority
    chain_over_what_is_no_authority
    chain_with_a_gap
    chain_with_a_stranger_behind
    fido_u2f_by_another_key
    fido_u2f_of_another_rp_id
    fido_u2f_of_another_challenge
    fido_u2f_with_a_reserved_byte
    fido_u2f_with_a_model
    fido_u2f_with_two_certificates
    fido_u2f_eddsa
    fido_u2f_untrusted
}

#[test]
fn the_evidence_holds_what_a_store_keeps() {
    let enrolled = case("right_protection").verify().unwrap();
    assert_eq!(enrolled.id(), b"credential of ferris");
    assert_eq!(enrolled.sign_count(), 0);
    assert_eq!(enrolled.aaguid(), Aaguid(std::array::from_fn(|at| u8::try_from(at).unwrap())));
    assert_eq!(enrolled.protection(), Some(Protection::Required));
    let kept = enrolled.public_key().to_cose();
    assert_eq!(&oss2fa_ctap::cose::PublicKey::from_cose(&kept).unwrap(), enrolled.public_key());
}

#[test]
fn row_57_a_model_that_is_not_listed_is_not_enrolled() {
    let mut case = case("right_packed_by_an_anchor");
    let ours = "000102030405060708090a0b0c0d0e0f".to_owned();
    case.models = Some(vec![ours]);
    assert_eq!(case.outcome(), "ByAnchor");
    case.models = Some(vec!["ee882879721c491397753dfcce97072a".to_owned()]);
    assert_eq!(case.outcome(), "Model");
}

#[test]
fn what_is_no_certificate_is_no_anchor() {
    let leaf = hex(&case("right_packed_by_the_leaf_itself").anchors[0]);
    assert!(Anchor::from_der(&leaf).is_ok());
    assert!(Anchor::from_der(&leaf[1..]).is_err());
    assert!(Anchor::from_der(&[]).is_err());
}
