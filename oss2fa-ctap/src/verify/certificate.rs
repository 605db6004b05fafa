//! Certificates of attestations (WebAuthn section 8.2.1), and those that a policy trusts.
//!
//! Dates are not looked at: a key outlives its certificate, and there is no clock here. Certificates signed
//! with RSA cannot be followed; such a maker's attestation certificates or intermediates on P-256 can be
//! anchors themselves.

use std::fmt;

use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Tagged};
use x509_cert::ext::pkix::BasicConstraints;

use super::Refusal;
use crate::auth_data::Aaguid;
use crate::cose::PublicKey;
use crate::error::Malformed;

/// Longest certificate that is looked at, in bytes.
const MAX_CERTIFICATE: usize = 4096;

/// ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (RFC 5480 section 2.1.1.1).
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// id-Ed25519 (RFC 8410 section 3).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// id-fido-gen-ce-aaguid (WebAuthn section 8.2.1).
const AAGUID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.45724.1.1.4");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const COUNTRY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.6");
const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

pub(super) struct AttestationCertificate {
    pub(super) public_key: PublicKey,
    whole: Vec<u8>,
    certificate: Certificate,
}

/// A certificate that a policy trusts: that of an attestation itself, or of whoever signs them.
#[derive(Clone)]
pub struct Anchor {
    whole: Vec<u8>,
    certificate: Certificate,
    public_key: Option<PublicKey>,
}

impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Anchor")
    }
}

impl Anchor {
    /// Takes a certificate in DER.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let certificate = read(der).ok_or(Malformed("certificate"))?;
        let public_key = public_key(&certificate);
        Ok(Self { whole: der.to_vec(), certificate, public_key })
    }

    /// It is this very certificate, or has signed it.
    pub(super) fn vouches_for(&self, certificate: &AttestationCertificate) -> bool {
        self.whole == certificate.whole
            || self.public_key.as_ref().is_some_and(|key| signed_by(&self.certificate, key, certificate))
    }
}

impl AttestationCertificate {
    pub(super) fn parse(der: &[u8]) -> Result<Self, Refusal> {
        let certificate = read(der).ok_or(Refusal::Malformed("certificate"))?;
        let public_key = public_key(&certificate)
            .ok_or(Refusal::Attestation("the key of its certificate is of another kind"))?;
        Ok(Self { public_key, whole: der.to_vec(), certificate })
    }

    pub(super) fn has_signed(&self, other: &Self) -> bool {
        signed_by(&self.certificate, &self.public_key, other)
    }

    /// WebAuthn section 8.2.1: version 3, who made it, no authority, and the model where it is named.
    pub(super) fn meets_packed_requirements(&self, aaguid: Aaguid) -> Result<(), Refusal> {
        let wrong = |what| Err(Refusal::Attestation(what));
        let certificate = self.certificate.tbs_certificate();
        if certificate.version() != x509_cert::certificate::Version::V3 {
            return wrong("its certificate is not of version 3");
        }
        let named = |kind| self.subject(kind).is_some_and(|text| !text.is_empty());
        if !named(COUNTRY) || !named(ORGANISATION) || !named(COMMON_NAME) {
            return wrong("its certificate does not say who made the key");
        }
        if self.subject(UNIT) != Some(b"Authenticator Attestation") {
            return wrong("its certificate is not one for attestations");
        }
        if is_authority(&self.certificate) != Some(false) {
            return wrong("its certificate is that of an authority");
        }
        match extension(&self.certificate, AAGUID) {
            None => Ok(()),
            Some((true, _)) => wrong("its certificate marks the model as critical"),
            // An octet string in an octet string.
            Some((false, [0x04, 0x10, model @ ..])) if model == aaguid.0 => Ok(()),
            Some((false, _)) => wrong("its certificate is for another model"),
        }
    }

    fn subject(&self, kind: ObjectIdentifier) -> Option<&[u8]> {
        let mut parts = self.certificate.tbs_certificate().subject().iter();
        parts.find(|part| part.oid == kind).map(|part| part.value.value())
    }
}

fn read(der: &[u8]) -> Option<Certificate> {
    if der.len() > MAX_CERTIFICATE { None } else { Certificate::from_der(der).ok() }
}

fn public_key(certificate: &Certificate) -> Option<PublicKey> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let bits = info.subject_public_key.as_bytes()?;
    let parameters = info.algorithm.parameters.as_ref();
    if info.algorithm.oid == EC_PUBLIC_KEY {
        let curve = parameters?;
        let named =
            curve.tag() == x509_cert::der::Tag::ObjectIdentifier && curve.value() == SECP256R1.as_bytes();
        return if named { PublicKey::from_point(bits).ok() } else { None };
    }
    if info.algorithm.oid == ED25519 && parameters.is_none() {
        return PublicKey::from_ed25519(bits).ok();
    }
    None
}

// DER has one spelling, so what is written again is what was signed.
fn signed_by(issuer: &Certificate, key: &PublicKey, certificate: &AttestationCertificate) -> bool {
    let inner = certificate.certificate.tbs_certificate();
    let algorithm = certificate.certificate.signature_algorithm();
    let fits = match key {
        PublicKey::P256(_) => algorithm.oid == ECDSA_WITH_SHA256,
        PublicKey::Ed25519(_) => algorithm.oid == ED25519,
    };
    let (Ok(signed), Some(signature)) = (inner.to_der(), certificate.certificate.signature().as_bytes())
    else {
        return false;
    };
    fits && inner.signature() == algorithm
        && inner.issuer() == issuer.tbs_certificate().subject()
        && is_authority(issuer) == Some(true)
        && key.verify(&signed, signature).is_ok()
}

// `None` where that cannot be read. Absent means no (RFC 5280 section 4.2.1.9).
fn is_authority(certificate: &Certificate) -> Option<bool> {
    match extension(certificate, BASIC_CONSTRAINTS) {
        None => Some(false),
        Some((_, value)) => BasicConstraints::from_der(value).ok().map(|constraints| constraints.ca),
    }
}

fn extension(certificate: &Certificate, kind: ObjectIdentifier) -> Option<(bool, &[u8])> {
    let mut all = certificate.tbs_certificate().extensions()?.iter();
    all.find(|extension| extension.extn_id == kind)
        .map(|extension| (extension.critical, extension.extn_value.as_bytes()))
}
