//! Keys that must be vouched for by their makers.

use std::os::unix::fs::PermissionsExt;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
};

use super::*;

/// A maker of keys: what vouches for its root.
struct Maker(CertifiedIssuer<'static, KeyPair>);

impl Maker {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Maker");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A key whose attestation certificate says what WebAuthn section 8.2.1 wants.
    fn key(&self, number: u8) -> SoftKey {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::ExplicitNoCa;
        for (kind, word) in [
            (DnType::CountryName, "CH"),
            (DnType::OrganizationName, "Maker"),
            (DnType::OrganizationalUnitName, "Authenticator Attestation"),
            (DnType::CommonName, "Key"),
        ] {
            params.distinguished_name.push(kind, word);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        SoftKey::new(Protocol::Ctap2, number).made_by(key, certificate.der().to_vec())
    }
}

fn required(roots: &Path) -> Host {
    host(&format!(
        "[keys]\nattestation = \"required\"\nattestation_roots = {:?}\n",
        roots.display().to_string()
    ))
}

/// What came of enrolling this key.
fn enrolling(host: &Host, key: &SoftKey) -> Result<DeviceView, String> {
    host.hub.plug_in("key", key);
    key.touch();
    let (_, ended) = host.enroll_as(Caller::Root, key_of("ferris", KeyKind::Fido2), &[]);
    host.hub.pull_out("key");
    match ended {
        Response::Device(view) => Ok(view),
        Response::Refused(refused) => Err(refused.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_key_of_a_trusted_maker_is_enrolled() {
    let (trusted, other) = (Maker::new(), Maker::new());
    let folder = TempDir::new().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, trusted.0.pem()).unwrap();
    let host = required(&roots);
    let nobody = enrolling(&host, &SoftKey::new(Protocol::Ctap2, 1)).unwrap_err();
    assert!(nobody.contains("asks for an attestation"), "{nobody}");
    let stranger = enrolling(&host, &other.key(2)).unwrap_err();
    assert!(stranger.contains("by nobody that the policy trusts"), "{stranger}");
    let key = trusted.key(3);
    let view = enrolling(&host, &key).unwrap();
    assert_eq!(view.kind, FactorKind::Fido2);
}

#[test]
fn a_folder_has_the_certificates_of_several_makers() {
    let (one, two) = (Maker::new(), Maker::new());
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("one.pem"), one.0.pem()).unwrap();
    std::fs::write(folder.path().join("two.crt"), two.0.pem()).unwrap();
    std::fs::write(folder.path().join("README"), "no certificate").unwrap();
    let host = required(folder.path());
    for (maker, number) in [(&one, 4), (&two, 5)] {
        enrolling(&host, &maker.key(number)).unwrap();
    }
}

#[test]
fn without_certificates_that_are_roots_alone_no_key_is_enrolled() {
    let maker = Maker::new();
    let folder = TempDir::new().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    };
    let empty = folder.path().join("folder");
    std::fs::create_dir(&empty).unwrap();
    let cut = maker.0.pem().replace("MII", "");
    for (roots, why) in [
        (folder.path().join("absent.pem"), "No such file"),
        (file("empty.pem", "", 0o644), "there is no certificate"),
        (empty, "there is no certificate"),
        (file("cut.pem", &cut, 0o644), "cannot be"),
        (file("open.pem", &maker.0.pem(), 0o666), "0666"),
    ] {
        let host = required(&roots);
        let error = host.live.in_force().config.keys.attestation.demand().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        let refused = enrolling(&host, &maker.key(5)).unwrap_err();
        assert!(!refused.contains("roots"), "the reason is for the log: {refused}");
    }
}
