//! `import yubikey-authfile`: the YubiKeys that pam_yubico knows by their public ids.

use std::path::PathBuf;

use oss2fa_core::ids::DeviceName;
use oss2fa_core::import::ImportError;
use oss2fa_core::import::yubikey_authfile::{self, AuthorizedYubikey};

use super::context::Output;
use super::failure::Failure;
use super::import::{Contents, Found};
use super::import_file;
use crate::admin::{ImportEntry, Imported};

/// From pam_yubico: its file of YubiKeys by their public ids, all users in it
///
/// The passwords that they type are judged by the validation servers of [yubico] in the agent's configuration, which
/// has to name them first. What pam_yubico keeps of challenge-response cannot be taken over.
#[derive(Debug, clap::Args)]
pub(crate) struct YubikeyAuthfile {
    /// The file, such as /etc/yubikey_mappings or ~/.yubico/authorized_yubikeys
    file: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl YubikeyAuthfile {
    pub(crate) fn contents(&self) -> Result<Contents, Failure> {
        let text = import_file::read(&self.file)?;
        let entry = |AuthorizedYubikey { line, user, public_id }| match DeviceName::new("pam_yubico") {
            Ok(name) => {
                let what = Imported::YubicoOtp { public_id: public_id.as_str().to_owned() };
                Ok(Found::Entry { line, entry: ImportEntry { user, name, what } })
            }
            Err(bad) => Err(ImportError { line, reason: bad.to_string() }),
        };
        let found = yubikey_authfile::parse(&text)
            .into_iter()
            .map(|key| key.and_then(entry).unwrap_or_else(Found::Bad))
            .collect();
        let notes = vec![
            "the passwords of these YubiKeys are judged by the validation servers of [yubico]: one that they do not \
             know lets nobody in"
                .to_owned(),
        ];
        Ok(Contents { found, notes })
    }
}
