//! `import`: devices of other systems, from their files.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use oss2fa_core::ids::DeviceName;
use oss2fa_core::import::u2f_keys::{self, Asks, ImportedKey, MadeBy, PublicKeyBytes};
use oss2fa_core::import::{ImportError, ImportedDevice, google_authenticator, otpauth_uris, users_oath};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use super::import_file;
use super::import_report::{Outcome, ReportLine, send};
use super::import_yubikeys::YubikeyAuthfile;
use crate::admin::{ImportEntry, Imported, KeyAlgorithm, KeyKind, OtpKind};

/// Take over devices from another system (root)
///
/// The devices keep working as they are: nobody has to enrol again. There is a line of report for
/// each entry, and the exit status is 1 where one was not taken over. What is there already stays as
/// it is, so an import can be run again. Keep the other system's file until logins work, then delete it.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    GoogleAuthenticator(GoogleAuthenticator),
    UsersOath(UsersOath),
    Otpauth(Otpauth),
    U2fKeys(U2fKeys),
    YubikeyAuthfile(YubikeyAuthfile),
}

/// From libpam-google-authenticator: the file ~/.google_authenticator of one user
///
/// Secret, counter or last time step, and the scratch codes that are left.
#[derive(Debug, clap::Args)]
struct GoogleAuthenticator {
    /// The file
    file: PathBuf,
    /// Whose it is
    #[arg(long, short)]
    user: String,
    #[command(flatten)]
    output: Output,
}

/// From pam_oath: the file /etc/users.oath, all users in it
#[derive(Debug, clap::Args)]
struct UsersOath {
    /// The file
    file: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// From a list of otpauth:// URIs, one a line
///
/// The account in each URI is the user; a host or domain behind it is not cut off.
#[derive(Debug, clap::Args)]
struct Otpauth {
    /// The file
    file: PathBuf,
    /// Whose all of them are, instead of the accounts in the URIs
    #[arg(long, short)]
    user: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// From pam_u2f: its file of security keys, all users in it
///
/// The keys keep working as they are: each goes on being asked for the origin that it was enrolled for.
#[derive(Debug, clap::Args)]
struct U2fKeys {
    /// The file, such as /etc/u2f_mappings or ~/.config/Yubico/u2f_keys
    file: PathBuf,
    /// What stands behind origin= in the stack that used it [default: pam:// and the name of this host]
    #[arg(long)]
    origin: Option<String>,
    /// What stands behind appid= there [default: the origin]
    #[arg(long)]
    appid: Option<String>,
    #[command(flatten)]
    output: Output,
}

/// An entry of the file, in the file's order.
pub(crate) enum Found {
    Entry { line: usize, entry: ImportEntry },
    Bad(ImportError),
}

/// All that a file gave.
pub(crate) struct Contents {
    pub(crate) found: Vec<Found>,
    pub(crate) notes: Vec<String>,
}

impl Import {
    pub(crate) fn form(&self) -> Form {
        match &self.from {
            From::GoogleAuthenticator(from) => from.output.form(),
            From::UsersOath(from) => from.output.form(),
            From::Otpauth(from) => from.output.form(),
            From::U2fKeys(from) => from.output.form(),
            From::YubikeyAuthfile(from) => from.output.form(),
        }
    }

    pub(crate) fn run(&self, context: &mut Context<'_, '_>) -> Result<(), Failure> {
        let contents = match &self.from {
            From::GoogleAuthenticator(from) => of_google_authenticator(&from.file, &from.user)?,
            From::UsersOath(from) => {
                let text = import_file::read(&from.file)?;
                devices(users_oath::parse(&text), None, "pam_oath")
            }
            From::Otpauth(from) => {
                let text = import_file::read(&from.file)?;
                devices(otpauth_uris::parse(&text), from.user.as_deref(), "authenticator app")
            }
            From::U2fKeys(from) => from.contents()?,
            From::YubikeyAuthfile(from) => from.contents()?,
        };
        let lines = send(context, contents)?;
        let refused = lines.iter().filter(|line| !line.is_taken_over()).count();
        if refused == 0 {
            return Ok(());
        }
        let all = lines.len();
        Err(Failure::new(
            OwnCode::NotAllImported,
            format!(
                "{refused} of {all} entries were not taken over; the report says why. Mend them and run the \
                 import again: what is there already stays as it is"
            ),
        ))
    }
}

impl U2fKeys {
    fn contents(&self) -> Result<Contents, Failure> {
        let text = import_file::read(&self.file)?;
        let origin = match &self.origin {
            Some(origin) => origin.clone(),
            None => default_origin()?,
        };
        let appid = self.appid.as_ref().unwrap_or(&origin);
        let entry = |key: ImportedKey| {
            let (kind, rp_id) = match key.made_by {
                MadeBy::Fido2 => (KeyKind::Fido2, &origin),
                MadeBy::U2f => (KeyKind::U2f, appid),
            };
            let (algorithm, public_key) = match key.public_key {
                PublicKeyBytes::Es256(bytes) => (KeyAlgorithm::Es256, HEXLOWER.encode(&bytes)),
                PublicKeyBytes::EdDsa(bytes) => (KeyAlgorithm::EdDsa, HEXLOWER.encode(&bytes)),
            };
            let what = Imported::SecurityKey {
                kind,
                id: HEXLOWER.encode(&key.id),
                public_key,
                algorithm,
                rp_id: rp_id.clone(),
                pin: key.asks == Asks::User,
            };
            let bad =
                |error: &dyn std::fmt::Display| ImportError { line: key.line, reason: error.to_string() };
            let name = DeviceName::new("pam_u2f").map_err(|error| bad(&error))?;
            Ok(Found::Entry { line: key.line, entry: ImportEntry { user: key.user, name, what } })
        };
        let found =
            u2f_keys::parse(&text).into_iter().map(|key| key.and_then(entry).unwrap_or_else(Found::Bad));
        let notes = vec![format!(
            "keys of FIDO2 were taken for those of the origin {origin}, keys of U2F for those of the appid {appid}. \
             Where the stack says otherwise, remove them, and say so with --origin and --appid"
        )];
        Ok(Contents { found: found.collect(), notes })
    }
}

fn default_origin() -> Result<String, Failure> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let name = name.filter(|name| !name.is_empty());
    name.map(|name| format!("pam://{name}")).ok_or_else(|| {
        Failure::new(
            OwnCode::BadUsage,
            "this host has no name: say with --origin for whom the keys were made",
        )
    })
}

fn of_google_authenticator(file: &Path, user: &str) -> Result<Contents, Failure> {
    let text = import_file::read(file)?;
    let read = match google_authenticator::parse(&text) {
        Ok(read) => read,
        Err(error) => return Ok(Contents { found: vec![Found::Bad(error)], notes: Vec::new() }),
    };
    let line = read.device.line;
    let mut contents = devices(vec![Ok(read.device)], Some(user), "google-authenticator");
    contents.notes.extend(read.notes);
    if !read.scratch_codes.is_empty() {
        let what = Imported::ScratchCodes { codes: read.scratch_codes };
        contents.found.push(match DeviceName::new("scratch codes") {
            Ok(name) => Found::Entry { line, entry: ImportEntry { user: user.to_owned(), name, what } },
            Err(bad) => Found::Bad(ImportError { line, reason: bad.to_string() }),
        });
    }
    Ok(contents)
}

fn devices(read: Vec<Result<ImportedDevice, ImportError>>, user: Option<&str>, name: &str) -> Contents {
    let mut contents = Contents { found: Vec::with_capacity(read.len()), notes: Vec::new() };
    for device in read {
        contents.found.push(match device.and_then(|device| entry(device, user, name)) {
            Ok((line, entry)) => Found::Entry { line, entry },
            Err(error) => Found::Bad(error),
        });
    }
    contents
}

fn entry(
    device: ImportedDevice,
    user: Option<&str>,
    name: &str,
) -> Result<(usize, ImportEntry), ImportError> {
    let line = device.line;
    let bad = |reason: &str| ImportError { line, reason: reason.to_owned() };
    let kind = match device.kind {
        FactorKind::Totp => OtpKind::Totp,
        FactorKind::Hotp => OtpKind::Hotp,
        FactorKind::RecoveryCode => return Err(bad("recovery codes cannot be taken over from here")),
        FactorKind::SentCode => return Err(bad("codes that are sent have no device to take over")),
        FactorKind::Fido2 | FactorKind::U2f => {
            return Err(bad("security keys cannot be taken over from here"));
        }
        FactorKind::YubicoOtp | FactorKind::YubikeyHmac => {
            return Err(bad("YubiKeys cannot be taken over from here"));
        }
        FactorKind::SshSk => {
            return Err(bad("keys of ssh are enrolled: oss2fa-agent enroll ssh-sk FILE.pub"));
        }
    };
    let user = user.map(str::to_owned).or(device.user).ok_or_else(|| bad("it does not say whose it is"))?;
    let what = Imported::Otp {
        kind,
        secret: SecretText::new(BASE32_NOPAD.encode(device.secret.expose())),
        parameters: device.parameters,
        next_position: device.next_position,
        drift: device.drift,
    };
    let name = DeviceName::new(name).map_err(|error| bad(&error.to_string()))?;
    Ok((line, ImportEntry { user, name, what }))
}

impl Found {
    /// What is reported of an entry that is not even sent.
    pub(crate) fn line(&self) -> usize {
        match self {
            Self::Entry { line, .. } => *line,
            Self::Bad(error) => error.line,
        }
    }
}

impl std::convert::From<ImportError> for ReportLine {
    fn from(error: ImportError) -> Self {
        Self { line: error.line, user: None, what: None, outcome: Outcome::Refused { reason: error.reason } }
    }
}
