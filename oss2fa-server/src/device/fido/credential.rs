//! What is kept of a credential: plain JSON that any implementation of WebAuthn can read, sealed by the store.
//!
//! ```json
//! {
//!   "version": 1,
//!   "rp_id": "example.org",
//!   "credential_id": "base64url, without padding",
//!   "public_key": "a COSE_Key (RFC 9052 section 7) as the key gave it, in base64url",
//!   "sign_count": 0,
//!   "aaguid": "00000000-0000-0000-0000-000000000000",
//!   "attestation_format": "none",
//!   "attested": false,
//!   "user_verified": false,
//!   "backup_eligible": false,
//!   "backup_state": false,
//!   "transports": ["usb"]
//! }
//! ```
//!
//! `sign_count` is that of the enrollment. The one that counts is in the device's row, where it can be compared and
//! raised in one statement: `next_position` is the last counter and one, or 0 while the key has not counted.

use data_encoding::BASE64URL_NOPAD;
use oss2fa_core::factor::fido::{NotSigned, PublicKey};
use oss2fa_core::secret::SecretBytes;
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{
    AttestationFormat, AttestationMetadata, COSEKey, ParsedAttestation, ParsedAttestationData, SecurityKey,
};
use webauthn_rs_core::proto::{AuthenticatorTransport, RegisteredExtensions, UserVerificationPolicy};

use crate::store::error::StoreError;

/// The version of the form that is written.
const VERSION: u32 = 1;

/// A credential of a security key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Of this form: 1.
    pub version: u32,
    /// The domain that it was made for.
    pub rp_id: String,
    /// Its id, in base64url without padding.
    pub credential_id: String,
    /// Its public key, a `COSE_Key` in base64url without padding.
    pub public_key: String,
    /// The signature counter at enrollment.
    pub sign_count: u32,
    /// The model of the key, as it says.
    pub aaguid: String,
    /// How its maker vouched for it, if at all; `none`, `packed`, `fido-u2f`.
    pub attestation_format: String,
    /// Whether a certificate that policy trusts stands behind that.
    pub attested: bool,
    /// Whether the key verified its user at enrollment.
    pub user_verified: bool,
    /// Whether copies of it may exist, as passkeys have them.
    pub backup_eligible: bool,
    /// Whether there was one at enrollment.
    pub backup_state: bool,
    /// How browsers reach the key.
    pub transports: Vec<String>,
}

/// A credential to be.
pub(super) struct Parts {
    pub(super) rp_id: String,
    pub(super) id: Vec<u8>,
    pub(super) public_key: Vec<u8>,
}

impl Credential {
    /// With nothing said of it yet but what it is.
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            version: VERSION,
            rp_id: parts.rp_id.clone(),
            credential_id: BASE64URL_NOPAD.encode(&parts.id),
            public_key: BASE64URL_NOPAD.encode(&parts.public_key),
            sign_count: 0,
            aaguid: String::new(),
            attestation_format: String::new(),
            attested: false,
            user_verified: false,
            backup_eligible: false,
            backup_state: false,
            transports: Vec::new(),
        }
    }

    /// From the store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn read(material: &SecretBytes) -> Result<Self, StoreError> {
        serde_json::from_slice::<Self>(material.expose())
            .ok()
            .filter(|credential| credential.version == VERSION)
            .ok_or(StoreError::Corrupt("a security key without its credential"))
    }

    /// For the store.
    ///
    /// # Errors
    /// Never; [`StoreError::Corrupt`] otherwise.
    pub fn keep(&self) -> Result<SecretBytes, StoreError> {
        serde_json::to_vec(self).map(SecretBytes::new).map_err(|_| StoreError::Corrupt("a credential"))
    }

    /// What no other device of the integration may have.
    #[must_use]
    pub fn identity(&self) -> SecretBytes {
        SecretBytes::new(format!("fido\0{}\0{}", self.rp_id, self.credential_id).into_bytes())
    }

    /// Its id in bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn id(&self) -> Result<Vec<u8>, StoreError> {
        decoded(&self.credential_id)
    }

    /// Its public key.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn key(&self) -> Result<CoseKey, StoreError> {
        CoseKey::read(&decoded(&self.public_key)?)
            .ok_or(StoreError::Corrupt("a credential without its public key"))
    }

    /// As `webauthn-rs` takes it. Its counter is 0: whether the counter went back is the row count of the store's
    /// update, and is written down there.
    pub(super) fn for_login(&self, policy: UserVerificationPolicy) -> Result<SecurityKey, StoreError> {
        let transports =
            self.transports.iter().filter_map(|name| name.parse::<AuthenticatorTransport>().ok());
        Ok(SecurityKey::from(webauthn_rs::prelude::Credential {
            cred_id: self.id()?,
            cred: self.key()?.0,
            counter: 0,
            transports: Some(transports.collect()),
            user_verified: self.user_verified,
            backup_eligible: self.backup_eligible,
            backup_state: self.backup_state,
            registration_policy: policy,
            extensions: RegisteredExtensions::none(),
            attestation: ParsedAttestation {
                data: ParsedAttestationData::None,
                metadata: AttestationMetadata::None,
            },
            attestation_format: AttestationFormat::None,
        }))
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, StoreError> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| StoreError::Corrupt("a credential that is not in base64url"))
}

/// A public key that can check signatures.
pub struct CoseKey(COSEKey);

impl CoseKey {
    /// From the bytes of a `COSE_Key`; `None` for algorithms that are not checked here.
    #[must_use]
    pub fn read(cose: &[u8]) -> Option<Self> {
        let value: serde_cbor_2::Value = serde_cbor_2::from_slice(cose).ok()?;
        COSEKey::try_from(&value).ok().map(Self)
    }

    pub(super) fn key(&self) -> &COSEKey {
        &self.0
    }
}

impl PublicKey for CoseKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NotSigned> {
        match self.0.verify_signature(signature, message) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(NotSigned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WebAuthn Level 3, section 6.5.1.1, gives the members of a key in this order; this point is on the curve
    /// (RFC 6979 appendix A.2.5).
    const COSE: &str = "a5010203262001215820\
        60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6225820\
        7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

    #[test]
    fn the_form_that_is_kept_can_be_read_by_anybody() {
        let cose = data_encoding::HEXLOWER.decode(COSE.as_bytes()).unwrap();
        let parts = Parts { rp_id: "example.org".to_owned(), id: vec![0xfb, 1, 2], public_key: cose.clone() };
        let credential = Credential {
            aaguid: "00000000-0000-0000-0000-000000000000".to_owned(),
            attestation_format: "none".to_owned(),
            transports: vec!["usb".to_owned()],
            ..Credential::new(&parts)
        };
        let kept = credential.keep().unwrap();
        let written = format!(
            r#"{{"version":1,"rp_id":"example.org","credential_id":"-wEC","public_key":"{}","sign_count":0,"aaguid":"00000000-0000-0000-0000-000000000000","attestation_format":"none","attested":false,"user_verified":false,"backup_eligible":false,"backup_state":false,"transports":["usb"]}}"#,
            BASE64URL_NOPAD.encode(&cose)
        );
        assert_eq!(std::str::from_utf8(kept.expose()).unwrap(), written);
        assert_eq!(Credential::read(&kept).unwrap(), credential);
        assert!(credential.key().is_ok());
        let newer = written.replace("\"version\":1", "\"version\":2");
        assert!(Credential::read(&SecretBytes::new(newer.into_bytes())).is_err());
        for cut in [0, 1, 40, cose.len() - 1] {
            assert!(CoseKey::read(&cose[..cut]).is_none(), "{cut} bytes");
        }
        assert!(CoseKey::read(&[&cose[..], b"\0"].concat()).is_none(), "something behind it");
    }
}
