//! `[keys]`: security keys that are plugged into this host.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use oss2fa_ctap::auth_data::Aaguid;
use oss2fa_ctap::verify::{Aaguids, RpId};

use super::attestation::Attestation;
use super::parse::Place;
use super::{ConfigError, raw};

/// `[keys]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysConfig {
    /// For whom new credentials are made. Those that are there keep their own.
    pub rp_id: RpId,
    /// How long a login waits for a touch before it asks for a code.
    pub touch_timeout: Duration,
    /// A file that is there while somebody is to touch a key.
    pub touch_file: PathBuf,
    /// Which models may be enrolled.
    pub models: Aaguids,
    /// Whether their makers must vouch for them.
    pub attestation: Attestation,
    /// What sshd goes by: whether it insists on the touch of a key is read there.
    pub sshd_config: PathBuf,
}

pub(super) fn keys(at: &Place<'_>, section: raw::Keys) -> Result<KeysConfig, ConfigError> {
    let Ok(rp_id) = RpId::new(&section.rp_id) else {
        let allowed = "1 to 253 visible ASCII characters without quotation marks and backslashes";
        return at.refuse("[keys] rp_id", format!("{:?}", section.rp_id), allowed);
    };
    let touch_timeout = at.whole("[keys] touch_timeout", section.touch_timeout, 3, 120)?;
    let touch_file = at.absolute("[keys] touch_file", section.touch_file)?;
    let models = section.allowed_models.iter().map(|text| model(at, text)).collect::<Result<Vec<_>, _>>()?;
    let models = if models.is_empty() { Aaguids::Any } else { Aaguids::Only(models) };
    let attestation = attestation(at, &section.attestation, section.attestation_roots)?;
    let sshd_config = at.absolute("[keys] sshd_config", section.sshd_config)?;
    let touch_timeout = Duration::from_secs(touch_timeout);
    Ok(KeysConfig { rp_id, touch_timeout, touch_file, models, attestation, sshd_config })
}

fn attestation(at: &Place<'_>, wanted: &str, roots: Option<PathBuf>) -> Result<Attestation, ConfigError> {
    let key = "[keys] attestation_roots";
    match (wanted, roots) {
        ("none", _) => Ok(Attestation::None),
        ("required", Some(roots)) => at.absolute(key, roots).map(Attestation::Required),
        ("required", None) => {
            at.refuse(key, "nothing", "a file or a folder of certificates, since attestation is \"required\"")
        }
        _ => at.refuse("[keys] attestation", format!("{wanted:?}"), "\"none\" or \"required\""),
    }
}

fn model(at: &Place<'_>, text: &str) -> Result<Aaguid, ConfigError> {
    let digits = text.replace('-', "");
    let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
    match bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(bytes) => Ok(Aaguid(bytes)),
        None => at.refuse(
            "[keys] allowed_models",
            format!("{text:?}"),
            "AAGUIDs, such as \"ee882879-721c-4913-9775-3dfcce97072a\"",
        ),
    }
}
