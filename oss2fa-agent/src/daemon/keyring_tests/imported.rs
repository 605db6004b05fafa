//! Keys that pam_u2f has enrolled: by their id, or, where that stays on the key, by their public key alone.

use super::*;

impl Host {
    fn import(&self, user: &str, key: &SoftKey, id: impl FnOnce(String) -> String) {
        let (made, public_key) = key.inside().made_for("pam://tower");
        let what = Imported::SecurityKey {
            kind: KeyKind::Fido2,
            id: id(made),
            public_key,
            algorithm: KeyAlgorithm::Es256,
            rp_id: "pam://tower".to_owned(),
            pin: false,
        };
        let entry = ImportEntry { user: user.to_owned(), name: DeviceName::new("pam_u2f").unwrap(), what };
        let response = admin::answer(&self.live, Caller::Root, Request::Import { entries: vec![entry] });
        match response {
            Response::Imported { report } => {
                assert!(matches!(report[0].result, ImportResult::Imported(_)), "{report:?}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.newest().event, "imported");
    }
}

#[test]
fn a_key_of_pam_u2f_goes_on_working_for_its_own_origin() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1);
    host.hub.plug_in("one", &key);
    host.import("ferris", &key, |id| id);
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    // Beside one of our own.
    let own = host.with_key("ferris", Protocol::U2f, KeyKind::U2f);
    own.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
}

#[test]
fn a_credential_that_stays_on_its_key_is_found_there_by_its_public_key() {
    let host = host("");
    let [others, key] = [1, 2].map(|number| SoftKey::new(Protocol::Ctap2, number));
    host.import("corro", &others, |_| String::new());
    host.import("ferris", &key, |_| String::new());
    // It has one for the same origin, which is not ferris's.
    host.hub.plug_in("others", &others);
    others.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    assert_eq!(others.inside().blinking, 0, "a foreign key is left alone");
    host.hub.plug_in("one", &key);
    for _ in 0..2 {
        key.touch();
        assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
    }
    assert!(host.newest().detail.starts_with("fido2 device="), "{}", host.newest().detail);
    // A counter that goes back is seen here as well.
    key.inside().count = 0;
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    assert_eq!(host.newest().event, "cloned_key");
}

#[test]
fn a_key_that_does_not_tell_what_stays_on_it_counts_by_its_other_credential() {
    let host = host("");
    let key = SoftKey::new(Protocol::Ctap2, 1);
    host.import("ferris", &key, |_| String::new());
    key.inside().tells_nothing = true;
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Refused));
    host.hub.plug_in("one", &key);
    // Root stands behind it.
    host.enrolled(key_of("ferris", KeyKind::Fido2), &[]);
    key.touch();
    assert_eq!(host.login(&[]).outcome, Some(Outcome::Verified));
}
