//! Attestation: who vouches for a key (WebAuthn section 6.5.4 and the formats of section 8).

use super::certificate::{Anchor, AttestationCertificate};
use super::{Refusal, RpId};
use crate::auth_data::{Aaguid, AttestedCredential};
use crate::cose::Algorithm;
use crate::ctap2::make_credential::Attestation;

/// Most certificates in one statement.
const MAX_CHAIN: usize = 4;

/// Which models of key may be enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aaguids {
    /// All.
    Any,
    /// These. Where nothing is demanded of the attestation, a key may claim to be one of them.
    Only(Vec<Aaguid>),
}

/// What is demanded of an attestation.
#[derive(Debug, Clone)]
pub enum Demand {
    /// Nothing: it is not looked at.
    Nothing,
    /// One that is right in itself, by whomever: also of the key for itself.
    Statement,
    /// One by a certificate that is one of these, or is signed by one of them.
    Anchored(Vec<Anchor>),
}

/// What a policy wants to know about the key.
#[derive(Debug, Clone)]
pub struct AttestationPolicy {
    /// What is demanded of the statement.
    pub demand: Demand,
    /// Which models may be enrolled.
    pub models: Aaguids,
}

/// Who vouches for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attested {
    /// Nobody was asked.
    Unchecked,
    /// The key, for itself.
    ByItself,
    /// A certificate, of which the policy knows nothing.
    ByCertificate,
    /// A certificate that the policy trusts.
    ByAnchor,
}

pub(super) fn check(
    policy: &AttestationPolicy,
    answer: &Attestation,
    credential: &AttestedCredential,
    client_data_hash: &[u8; 32],
    rp: &RpId,
) -> Result<Attested, Refusal> {
    match &policy.models {
        Aaguids::Any => {}
        Aaguids::Only(allowed) if allowed.contains(&credential.aaguid) => {}
        Aaguids::Only(_) => return Err(Refusal::Model),
    }
    if matches!(policy.demand, Demand::Nothing) {
        return Ok(Attested::Unchecked);
    }
    let chain = match answer.format.as_str() {
        "packed" => packed(answer, credential, client_data_hash)?,
        "fido-u2f" => Some(fido_u2f(answer, credential, client_data_hash, rp)?),
        "none" => return Err(Refusal::NotAttested),
        _ => return Err(Refusal::AttestationFormat),
    };
    match (&policy.demand, chain) {
        (Demand::Nothing, _) => Ok(Attested::Unchecked),
        (Demand::Statement, None) => Ok(Attested::ByItself),
        (Demand::Statement, Some(_)) => Ok(Attested::ByCertificate),
        (Demand::Anchored(anchors), Some(chain)) if is_anchored(anchors, &chain) => Ok(Attested::ByAnchor),
        (Demand::Anchored(_), _) => Err(Refusal::Untrusted),
    }
}

// Each certificate must be signed by the one after it, up to an anchor.
fn is_anchored(anchors: &[Anchor], chain: &[AttestationCertificate]) -> bool {
    let mut next = chain.iter().skip(1);
    for certificate in chain {
        if anchors.iter().any(|anchor| anchor.vouches_for(certificate)) {
            return true;
        }
        match next.next() {
            Some(issuer) if issuer.has_signed(certificate) => {}
            Some(_) | None => return false,
        }
    }
    false
}

// WebAuthn section 8.2, verification procedure. No chain where the key attests itself.
fn packed(
    answer: &Attestation,
    credential: &AttestedCredential,
    client_data_hash: &[u8; 32],
) -> Result<Option<Vec<AttestationCertificate>>, Refusal> {
    const WHAT: &str = "packed attestation";
    let mut fields = answer.statement.clone().into_fields(WHAT)?;
    let algorithm = fields.demand_named("alg")?.into_number(WHAT)?;
    let algorithm =
        Algorithm::from_id(algorithm).ok_or(Refusal::Attestation("its algorithm is not known here"))?;
    let signature = fields.demand_named("sig")?.into_bytes(WHAT)?;
    let signed = [answer.auth_data.as_slice(), client_data_hash].concat();
    let wrong = |_| Refusal::Attestation("its signature is wrong");
    let chain = match fields.take_named("x5c") {
        Some(x5c) => {
            let chain = read_chain(x5c.into_array(WHAT)?, WHAT)?;
            let leaf = chain.first().ok_or(Refusal::Malformed(WHAT))?;
            leaf.meets_packed_requirements(credential.aaguid)?;
            if leaf.public_key.algorithm() != algorithm {
                return Err(Refusal::Attestation("its certificate has another algorithm"));
            }
            leaf.public_key.verify(&signed, &signature).map_err(wrong)?;
            Some(chain)
        }
        None => {
            if credential.public_key.algorithm() != algorithm {
                return Err(Refusal::Attestation("its algorithm is not the credential's"));
            }
            credential.public_key.verify(&signed, &signature).map_err(wrong)?;
            None
        }
    };
    if fields.rest().is_empty() { Ok(chain) } else { Err(Refusal::Malformed(WHAT)) }
}

// WebAuthn section 8.6, verification procedure; what is signed: U2F Raw Message Formats section 4.3.
fn fido_u2f(
    answer: &Attestation,
    credential: &AttestedCredential,
    client_data_hash: &[u8; 32],
    rp: &RpId,
) -> Result<Vec<AttestationCertificate>, Refusal> {
    const WHAT: &str = "fido-u2f attestation";
    let mut fields = answer.statement.clone().into_fields(WHAT)?;
    let signature = fields.demand_named("sig")?.into_bytes(WHAT)?;
    let x5c = fields.demand_named("x5c")?.into_array(WHAT)?;
    if x5c.len() != 1 || !fields.rest().is_empty() {
        return Err(Refusal::Malformed(WHAT));
    }
    if credential.aaguid != Aaguid::NONE {
        return Err(Refusal::Attestation("keys of U2F tell no model"));
    }
    let chain = read_chain(x5c, WHAT)?;
    let leaf = chain.first().ok_or(Refusal::Malformed(WHAT))?;
    let point = credential.public_key.to_point().ok_or(Refusal::Algorithm)?;
    let signed =
        [&[0], rp.hash().as_slice(), client_data_hash, credential.id.as_slice(), point.as_slice()].concat();
    if leaf.public_key.algorithm() != Algorithm::Es256 {
        return Err(Refusal::Attestation("its certificate has another algorithm"));
    }
    leaf.public_key
        .verify(&signed, &signature)
        .map_err(|_| Refusal::Attestation("its signature is wrong"))?;
    Ok(chain)
}

fn read_chain(
    x5c: Vec<crate::cbor::Value>,
    what: &'static str,
) -> Result<Vec<AttestationCertificate>, Refusal> {
    if x5c.is_empty() || x5c.len() > MAX_CHAIN {
        return Err(Refusal::Malformed(what));
    }
    x5c.into_iter().map(|der| AttestationCertificate::parse(&der.into_bytes(what)?)).collect()
}
