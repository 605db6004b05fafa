//! The keys of one tenant, and what they are used for.

use std::fmt;

use oss2fa_core::keys::{KeyBytes, MacKey};
use oss2fa_core::random::Random;
use oss2fa_core::secret::SecretBytes;

use crate::ids::TenantId;
use crate::store::error::StoreError;

/// What a tenant's key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Sealing secrets; rotates.
    Seal,
    /// Digests, fingerprints, the audit's links; stays.
    Mac,
}

impl Purpose {
    /// The word for it in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Mac => "mac",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for any other.
    pub fn parse(word: &str) -> Result<Self, StoreError> {
        match word {
            "seal" => Ok(Self::Seal),
            "mac" => Ok(Self::Mac),
            _ => Err(StoreError::Corrupt("a key without a purpose")),
        }
    }
}

/// A sealed value that does not open: it was changed or moved, or its key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected;

/// The keys of one tenant.
pub struct TenantKeys {
    tenant: TenantId,
    seals: Vec<(u32, KeyBytes)>,
    digest: MacKey,
    fingerprint: MacKey,
    audit: MacKey,
}

impl fmt::Debug for TenantKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantKeys").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl TenantKeys {
    /// From the unwrapped keys, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`] where one of the two is missing.
    pub fn new(tenant: TenantId, keys: Vec<(Purpose, u32, KeyBytes)>) -> Result<Self, StoreError> {
        let mut seals = Vec::new();
        let mut mac = None;
        for (purpose, version, key) in keys {
            match purpose {
                Purpose::Seal => seals.push((version, key.derive(b"oss2fa server seal 1"))),
                Purpose::Mac => mac = Some(key),
            }
        }
        let mac = mac.filter(|_| !seals.is_empty()).ok_or(StoreError::NoKeys(tenant.0))?;
        let derived = |label: &[u8]| MacKey::new(&mac.derive(label));
        Ok(Self {
            tenant,
            seals,
            digest: derived(b"oss2fa server digest 1"),
            fingerprint: derived(b"oss2fa server fingerprint 1"),
            audit: derived(b"oss2fa server audit 1"),
        })
    }

    /// The version that new values are sealed with.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.seals.last().map_or(0, |(version, _)| *version)
    }

    /// Seals a secret of row `pk`; `place` names table and column.
    ///
    /// # Errors
    /// Those of the random source.
    pub fn seal(
        &self,
        place: &'static str,
        pk: i64,
        secret: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, StoreError> {
        let (version, key) = self.seals.last().ok_or(StoreError::NoKeys(self.tenant.0))?;
        let sealed = key.seal(secret, &self.associated(place, pk), random)?;
        Ok([version.to_be_bytes().as_slice(), &sealed].concat())
    }

    /// Opens what [`TenantKeys::seal`] made for this very row.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn open(&self, place: &'static str, pk: i64, sealed: &[u8]) -> Result<SecretBytes, Rejected> {
        let (version, sealed) = sealed.split_first_chunk::<4>().ok_or(Rejected)?;
        let version = u32::from_be_bytes(*version);
        let (_, key) = self.seals.iter().find(|(known, _)| *known == version).ok_or(Rejected)?;
        key.open(sealed, &self.associated(place, pk)).ok_or(Rejected)
    }

    /// Whether the key is here that a value was sealed with.
    #[must_use]
    pub fn knows(&self, sealed: &[u8]) -> bool {
        let version = sealed.first_chunk::<4>().map(|version| u32::from_be_bytes(*version));
        self.seals.iter().any(|(known, _)| Some(*known) == version)
    }

    /// Keyed digest of a code; `purpose` says of what, so that no digest means two things.
    #[must_use]
    pub fn digest(&self, purpose: &'static str, owner: i64, code: &str) -> [u8; 32] {
        self.digest.mac(&[purpose.as_bytes(), &owner.to_be_bytes(), code.as_bytes()])
    }

    /// Keyed fingerprint of a secret that makes codes.
    #[must_use]
    pub fn fingerprint(&self, secret: &SecretBytes) -> [u8; 32] {
        self.fingerprint.mac(&[secret.expose()])
    }

    /// The next link of the audit's chain.
    #[must_use]
    pub fn audit_link(&self, fields: &[&[u8]]) -> [u8; 32] {
        self.audit.mac(fields)
    }

    fn associated(&self, place: &'static str, pk: i64) -> Vec<u8> {
        // The place has a fixed text without a NUL: no two rows have the same bytes.
        [place.as_bytes(), &[0], &self.tenant.0.to_be_bytes(), &pk.to_be_bytes()].concat()
    }
}

/// What a wrapped key is bound to.
pub(super) fn wrapped_as(tenant: TenantId, purpose: Purpose, version: u32) -> Vec<u8> {
    [
        b"oss2fa server tenant key 1 ".as_slice(),
        purpose.as_str().as_bytes(),
        &[0],
        &tenant.0.to_be_bytes(),
        &version.to_be_bytes(),
    ]
    .concat()
}
