//! `import`: devices of other systems, from their files.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use data_encoding::BASE32_NOPAD;
use oss2fa_core::ids::DeviceName;
use oss2fa_core::import::{ImportError, ImportedDevice, google_authenticator, otpauth_uris, users_oath};
use oss2fa_core::secret::SecretText;
use oss2fa_core::verdict::FactorKind;

use super::context::{Context, Form, Output};
use super::failure::{Failure, OwnCode};
use super::import_file;
use super::import_report::{Outcome, ReportLine, send};
use crate::admin::{ImportEntry, Imported, OtpKind};

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
        FactorKind::Fido2 | FactorKind::U2f => return Err(bad("security keys are not taken over from here")),
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
