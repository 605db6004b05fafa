//! The answer to an enrolment, down to the certificates in its attestation.

use oss2fa_core::random::{NoRandomness, Random};
use oss2fa_ctap::cose::Algorithm;
use oss2fa_ctap::ctap2::get_assertion::FirstAssertion;
use oss2fa_ctap::ctap2::make_credential::{Attestation, Protection};
use oss2fa_ctap::verify::{
    Aaguids, Anchor, AttestationPolicy, Attested, Demand, Login, Registration, RegistrationPolicy, RpId,
    UserVerification,
};

struct Counting;

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for (byte, number) in bytes.iter_mut().zip(0..) {
            *byte = number;
        }
        Ok(())
    }
}

/// The first byte chooses the demand, or that the rest is an assertion of somebody who has no credential; by 4 and 8,
/// how the credential is to be protected.
///
/// # Panics
/// Where something is believed that nobody has signed.
pub fn target(data: &[u8]) {
    let [kind, bytes @ ..] = data else { return };
    let rp = RpId::new("oss2fa.test").unwrap();
    let demand = match kind % 4 {
        0 => Demand::Nothing,
        1 => Demand::Statement,
        2 => Demand::Anchored(Anchor::from_der(bytes).into_iter().collect()),
        _ => {
            let login = Login::fresh(rp, UserVerification::NotAsked, &Counting).unwrap();
            if let Ok(first) = FirstAssertion::parse(bytes, &[]) {
                assert!(login.verify(&[], &first.assertion).is_err());
            }
            return;
        }
    };
    let protection = match kind / 4 % 4 {
        0 => None,
        1 => Some(Protection::Optional),
        2 => Some(Protection::OptionalWithList),
        _ => Some(Protection::Required),
    };
    let policy = RegistrationPolicy {
        verification: UserVerification::NotAsked,
        algorithms: vec![Algorithm::Es256, Algorithm::EdDsa],
        protection,
        attestation: AttestationPolicy { demand, models: Aaguids::Any },
    };
    let Ok(answer) = Attestation::parse(bytes) else { return };
    let registration = Registration::fresh(rp, policy, &Counting).unwrap();
    if let Ok(enrolled) = registration.verify(&answer) {
        // No anchor is among the bytes of an answer.
        assert_ne!(*enrolled.attested(), Attested::ByAnchor);
        assert!(!enrolled.id().is_empty());
        let told = enrolled.protection().unwrap_or(Protection::Optional);
        assert!(protection.is_none_or(|asked| told >= asked), "{told:?} is less than was asked");
    }
}
