//! Public keys of credentials: ES256 and EdDSA (WebAuthn section 5.8.5, RFC 8152 sections 7, 8 and 13).

use std::fmt;

use p256::ecdsa::signature::Verifier;

use crate::cbor::{self, Value};
use crate::error::Malformed;

const WHAT: Malformed = Malformed("public key of a kind that is accepted here (ES256 or EdDSA)");

/// How a credential signs (the COSE algorithm identifiers that WebAuthn section 5.8.5 names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with SHA-256 on P-256: what every key can.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Its COSE identifier.
    #[must_use]
    pub fn id(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::EdDsa => -8,
        }
    }

    /// The one of this COSE identifier, where it is known here.
    #[must_use]
    pub fn from_id(id: i64) -> Option<Self> {
        match id {
            -7 => Some(Self::Es256),
            -8 => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// The public key of a credential: a point on its curve, which was checked.
#[derive(Clone, PartialEq)]
pub enum PublicKey {
    /// For ES256.
    P256(p256::ecdsa::VerifyingKey),
    /// For EdDSA.
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A signature that is not one of this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadSignature;

impl PublicKey {
    /// Reads the COSE_Key map, which must have the parameters of its kind and no other.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_cose(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::from_value(cbor::parse(bytes)?)
    }

    /// Takes an uncompressed point of P-256, 65 bytes that begin with 4: how U2F and pam_u2f spell a key.
    ///
    /// # Errors
    /// [`Malformed`], also for a point that is not on the curve.
    pub fn from_point(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() != 65 || bytes.first() != Some(&4) {
            return Err(WHAT);
        }
        p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).map(Self::P256).map_err(|_| WHAT)
    }

    /// Takes the 32 bytes of an Ed25519 key; one that accepts a signature of anybody is refused.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn from_ed25519(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = bytes.try_into().map_err(|_| WHAT)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| WHAT)?;
        if key.is_weak() { Err(WHAT) } else { Ok(Self::Ed25519(key)) }
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, Malformed> {
        let mut fields = value.into_fields("public key")?;
        let mut number = |key| fields.demand(key)?.into_number("public key");
        let kind = (number(1)?, number(3)?, number(-1)?);
        let mut coordinate = |key| fields.demand(key)?.into_bytes("public key");
        let key = match kind {
            (2, -7, 1) => Self::from_coordinates(&coordinate(-2)?, &coordinate(-3)?)?,
            (1, -8, 6) => Self::from_ed25519(&coordinate(-2)?)?,
            _ => return Err(WHAT),
        };
        if fields.rest().is_empty() { Ok(key) } else { Err(WHAT) }
    }

    fn from_coordinates(x: &[u8], y: &[u8]) -> Result<Self, Malformed> {
        if x.len() != 32 || y.len() != 32 {
            return Err(WHAT);
        }
        Self::from_point(&[&[4], x, y].concat())
    }

    /// The COSE_Key map, as a store keeps it.
    #[must_use]
    pub fn to_cose(&self) -> Vec<u8> {
        let number = |key, value| (Value::number(key), Value::number(value));
        cbor::encode(&Value::Map(match self {
            Self::P256(key) => {
                let point = key.to_sec1_point(false);
                let (x, y) = (point.x(), point.y());
                let coordinate = |of: Option<&_>| {
                    Value::Bytes(of.map_or_else(Vec::new, |of: &p256::FieldBytes| of.to_vec()))
                };
                vec![
                    number(1, 2),
                    number(3, -7),
                    number(-1, 1),
                    (Value::number(-2), coordinate(x)),
                    (Value::number(-3), coordinate(y)),
                ]
            }
            Self::Ed25519(key) => {
                vec![
                    number(1, 1),
                    number(3, -8),
                    number(-1, 6),
                    (Value::number(-2), Value::bytes(key.as_bytes())),
                ]
            }
        }))
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The uncompressed point, where it is one of P-256.
    pub(crate) fn to_point(&self) -> Option<Vec<u8>> {
        match self {
            Self::P256(key) => Some(key.to_sec1_point(false).as_bytes().to_vec()),
            Self::Ed25519(_) => None,
        }
    }

    /// Signatures are DER for ES256 and 64 bytes for EdDSA (WebAuthn section 6.5.6), with nothing after them.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match self {
            Self::P256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature).map_err(|_| BadSignature)?;
                key.verify(message, &signature).map_err(|_| BadSignature)
            }
            Self::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
                key.verify_strict(message, &signature).map_err(|_| BadSignature)
            }
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.algorithm()).finish()
    }
}
