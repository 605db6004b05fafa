//! The verbs of the store, each one transaction.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use oss2fa_core::factor::otp::{MAX_POSITION, OtpParameters};
use oss2fa_core::factor::recovery_code::{self, StoredCode};
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::{SecretBytes, SecretText};
use oss2fa_core::verdict::FactorKind;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::attempt::{Attempt, Verdict, judge};
use super::audit::{Context, Event, append};
use super::device::{self, AccountId, Device, NewDevice, Vouched};
use super::error::StoreError;
use super::joining::Joining;
use super::security_key::{self, KeyAdded};
use super::{Store, lock, recovery, yubico_otp};
use crate::admin::{DeviceStatus, ImportResult, Imported, OtpKind};
use crate::config::LockLimits;
use crate::policy::Enrolled;

/// What the store knows of a user when a login begins.
pub struct AccountView {
    /// Absent where the store has never heard of them.
    pub account: Option<AccountId>,
    /// Whether they have, or had, a device.
    pub enrolled: Enrolled,
    /// Pending and active devices.
    pub devices: Vec<Device>,
}

/// A device that was made and waits for its first code.
pub struct Enrollment {
    /// Its number.
    pub device: DeviceId,
    /// Its secret.
    pub secret: SecretBytes,
}

/// Pending devices of one account that may wait at the same time.
const MOST_PENDING: usize = 5;

/// Devices of one account.
const MOST_DEVICES: usize = 32;

impl Store {
    /// What is known of `user`.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn account_view(&self, user: &UserName) -> Result<AccountView, StoreError> {
        self.read(|connection| {
            let Some((account, ever)) = device::account(connection, user)? else {
                return Ok(AccountView { account: None, enrolled: Enrolled::Never, devices: Vec::new() });
            };
            let devices = device::devices(connection, account)?;
            let active = devices.iter().any(|device| device.status == DeviceStatus::Active);
            let enrolled = match (active, ever) {
                (true, _) => Enrolled::Yes,
                (false, true) => Enrolled::NoLonger,
                (false, false) => Enrolled::Never,
            };
            Ok(AccountView { account: Some(account), enrolled, devices })
        })
    }

    /// The unused codes of a set.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn unused_codes(&self, device: DeviceId) -> Result<Vec<StoredCode>, StoreError> {
        self.read(|connection| recovery::unused(connection, device))
    }

    /// One page of everybody's devices, with the codes that are left in sets of recovery codes.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn page(
        &self,
        after: DeviceId,
        limit: usize,
    ) -> Result<Vec<(String, Device, Option<u64>)>, StoreError> {
        self.read(|connection| {
            device::page(connection, after, limit)?
                .into_iter()
                .map(|(user, device)| {
                    let left = match device.kind {
                        FactorKind::RecoveryCode => {
                            Some(recovery::unused(connection, device.id)?.len() as u64)
                        }
                        FactorKind::Totp
                        | FactorKind::Hotp
                        | FactorKind::SentCode
                        | FactorKind::Fido2
                        | FactorKind::U2f
                        | FactorKind::YubicoOtp
                        | FactorKind::YubikeyHmac
                        | FactorKind::SshSk => None,
                    };
                    Ok((user, device, left))
                })
                .collect()
        })
    }

    /// Users that have or had a device, active devices, locks, newest audit event.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn counts(&self) -> Result<[u64; 4], StoreError> {
        let now = self.now();
        self.read(|connection| {
            let count = |sql: &str| -> Result<u64, StoreError> {
                let number: Option<i64> =
                    connection.query_row(sql, [], |row| row.get(0)).optional()?.flatten();
                Ok(number.unwrap_or(0).cast_unsigned())
            };
            Ok([
                count("SELECT count(*) FROM account WHERE enrolled_at IS NOT NULL")?,
                count("SELECT count(*) FROM device WHERE status = 'active'")?,
                lock::locked(connection, now)?,
                count("SELECT max(seq) FROM audit")?,
            ])
        })
    }

    /// Judges a try: lock, verdict and audit in one transaction, durable before the answer.
    ///
    /// # Errors
    /// A [`StoreError`]: the try has no verdict, which is a refusal.
    pub fn judge(&self, attempt: Attempt, limits: LockLimits) -> Result<Verdict, StoreError> {
        let (keys, now) = (Arc::clone(&self.keys), self.now());
        self.writer.run(move |connection, events| judge(connection, &keys, events, &limits, attempt, now))
    }

    /// Writes an event that changes nothing else.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn note(&self, context: Context, event: Event, detail: String) -> Result<(), StoreError> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection, events| append(connection, &keys, events, &context, event, &detail))
    }

    /// Makes a device that waits for its first code. `None` where the user has too many already.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn enroll(
        &self,
        context: Context,
        user: UserName,
        kind: OtpKind,
        name: DeviceName,
        parameters: OtpParameters,
        vouched: Vouched,
    ) -> Result<Option<Enrollment>, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            if !has_room(connection, account, context.now)? {
                return Ok(None);
            }
            let secret = fresh_secret(random.as_ref(), parameters)?;
            let new = NewDevice {
                kind: kind.into(),
                name: &name,
                secret: &secret,
                parameters,
                next_position: 0,
                drift: 0,
                status: DeviceStatus::Pending,
                vouched,
                offline: None,
            };
            let device = device::add(connection, &keys, random.as_ref(), account, &new, context.now)?;
            let detail = format!("{} device={device}", FactorKind::from(kind));
            append(connection, &keys, events, &context, Event::Enrolled, &detail)?;
            Ok(Some(Enrollment { device, secret }))
        })
    }

    /// Takes over a device or scratch codes of another system.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn import(
        &self,
        context: Context,
        user: UserName,
        name: DeviceName,
        what: Imported,
    ) -> Result<ImportResult, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            let joining =
                Joining { connection, keys: &keys, random: random.as_ref(), account, now: context.now };
            let result = match what {
                Imported::Otp { kind, secret, parameters, next_position, drift } => {
                    let Some(secret) = base32(&secret) else {
                        return Ok(ImportResult::Refused("the secret is not base32".to_owned()));
                    };
                    if next_position > MAX_POSITION {
                        return Ok(ImportResult::Refused("the counter is too large".to_owned()));
                    }
                    let kind = FactorKind::from(kind);
                    let fingerprint = keys.fingerprint(parameters.algorithm, &secret);
                    if let Some(there) = device::holder_of(connection, account, &fingerprint)? {
                        return Ok(ImportResult::AlreadyThere(there));
                    }
                    if device::is_used_otherwise(connection, account, &fingerprint, kind, parameters)? {
                        let why =
                            "the user has, or had, a device with its secret and of another kind or period"
                                .to_owned();
                        return Ok(ImportResult::Refused(why));
                    }
                    let new = NewDevice {
                        kind,
                        name: &name,
                        secret: &secret,
                        parameters,
                        next_position,
                        drift,
                        status: DeviceStatus::Active,
                        vouched: Vouched::Yes,
                        offline: None,
                    };
                    device::add(connection, &keys, random.as_ref(), account, &new, context.now)?
                }
                what @ Imported::SecurityKey { .. } => {
                    let Some(new) = security_key::imported(&name, &what) else {
                        return Ok(ImportResult::Refused(
                            "this is no credential of a security key".to_owned(),
                        ));
                    };
                    match security_key::add(&joining, &new)? {
                        KeyAdded::Added(device) => device,
                        KeyAdded::AlreadyThere(there) => return Ok(ImportResult::AlreadyThere(there)),
                        refused => return Ok(ImportResult::Refused(refused.words().to_owned())),
                    }
                }
                what @ Imported::YubicoOtp { .. } => {
                    let Some(new) = yubico_otp::imported(&name, &what) else {
                        return Ok(ImportResult::Refused("this is no public id of a YubiKey".to_owned()));
                    };
                    match yubico_otp::add(&joining, &new)? {
                        KeyAdded::Added(device) => device,
                        KeyAdded::AlreadyThere(there) => return Ok(ImportResult::AlreadyThere(there)),
                        refused => return Ok(ImportResult::Refused(refused.words().to_owned())),
                    }
                }
                Imported::ScratchCodes { codes } => {
                    let codes: Option<Vec<_>> =
                        codes.iter().map(|code| recovery_code::canonical(code.expose())).collect();
                    let Some(codes) = codes.filter(|codes| !codes.is_empty()) else {
                        return Ok(ImportResult::Refused("a scratch code is not 8 digits".to_owned()));
                    };
                    let (device, added) =
                        recovery::add_scratch_codes(connection, &keys, account, &codes, context.now)?;
                    if added == 0 {
                        return Ok(ImportResult::AlreadyThere(device));
                    }
                    device
                }
            };
            append(connection, &keys, events, &context, Event::Imported, &format!("device={result}"))?;
            Ok(ImportResult::Imported(result))
        })
    }

    /// Replaces the recovery codes.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn replace_recovery_codes(
        &self,
        context: Context,
        user: UserName,
    ) -> Result<Vec<SecretText>, StoreError> {
        let (keys, random) = (Arc::clone(&self.keys), Arc::clone(&self.random));
        self.writer.run(move |connection, events| {
            let account = device::account_for(connection, &user)?;
            let codes = recovery::replace(connection, &keys, random.as_ref(), account, context.now)?;
            append(connection, &keys, events, &context, Event::RecoveryCodes, "")?;
            Ok(codes)
        })
    }

    /// Removes a device. `false` where there is none.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn remove(&self, context: Context, account: AccountId, device: DeviceId) -> Result<bool, StoreError> {
        self.change(context, Event::Removed, format!("device={device}"), move |connection| {
            device::remove(connection, account, device)
        })
    }

    /// Removes a device, unless it is the last with which the user can log in. `false` where it is.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn remove_unless_last(
        &self,
        context: Context,
        account: AccountId,
        device: DeviceId,
    ) -> Result<bool, StoreError> {
        self.change(context, Event::Removed, format!("device={device}"), move |connection| {
            device::remove_unless_last(connection, account, device)
        })
    }

    /// Gives a device another name. `false` where there is none.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn rename(
        &self,
        context: Context,
        account: AccountId,
        device: DeviceId,
        name: DeviceName,
    ) -> Result<bool, StoreError> {
        self.change(context, Event::Renamed, format!("device={device}"), move |connection| {
            device::rename(connection, account, device, &name)
        })
    }

    /// Removes all devices, and that the user was ever enrolled.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn forget(&self, context: Context, account: AccountId) -> Result<bool, StoreError> {
        self.change(context, Event::Forgotten, String::new(), move |connection| {
            device::forget(connection, account).map(|()| true)
        })
    }

    /// Releases the locks of a user.
    ///
    /// # Errors
    /// A [`StoreError`].
    pub fn unlock(&self, context: Context, account: AccountId) -> Result<bool, StoreError> {
        self.change(context, Event::Unlocked, String::new(), move |connection| {
            lock::release(connection, account).map(|()| true)
        })
    }

    // A change and its audit event; no event where nothing changed.
    pub(super) fn change(
        &self,
        context: Context,
        event: Event,
        detail: String,
        verb: impl FnOnce(&Connection) -> Result<bool, StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let keys = Arc::clone(&self.keys);
        self.writer.run(move |connection, events| {
            let changed = verb(connection)?;
            if changed {
                append(connection, &keys, events, &context, event, &detail)?;
            }
            Ok(changed)
        })
    }
}

/// Whether one more device of this account may wait. Those that waited too long go.
pub(super) fn has_room(connection: &Connection, account: AccountId, now: u64) -> Result<bool, StoreError> {
    device::drop_stale(connection, account, now.saturating_sub(device::PENDING_FOR))?;
    let mut present = device::devices(connection, account)?;
    present.retain(|device| !device.is_of_server());
    let pending = present.iter().filter(|device| device.status == DeviceStatus::Pending).count();
    Ok(present.len() < MOST_DEVICES && pending < MOST_PENDING)
}

pub(super) fn fresh_secret(
    random: &dyn crate::outside::Random,
    parameters: OtpParameters,
) -> Result<SecretBytes, StoreError> {
    let mut bytes = zeroize::Zeroizing::new(vec![0; parameters.algorithm.secret_length()]);
    random.fill(&mut bytes)?;
    Ok(SecretBytes::new(std::mem::take(&mut bytes)))
}

fn base32(text: &SecretText) -> Option<SecretBytes> {
    let bytes = BASE32_NOPAD.decode(text.expose().as_bytes()).ok()?;
    (!bytes.is_empty()).then(|| SecretBytes::new(bytes))
}

pub(super) fn copy_to(
    from: &Connection,
    target: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), StoreError> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(|error| {
        StoreError::File { path: target.to_owned(), what: format!("the backup cannot be made: {error}") }
    })?;
    // The folder may be somebody else's, who puts a link in the place of what was just made.
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let to = fs::canonicalize(folder)
        .map(|folder| folder.join(target.file_name().unwrap_or_default()))
        .map_err(|error| StoreError::File { path: target.to_owned(), what: error.to_string() })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut to = Connection::open_with_flags(to, flags)?;
    let backup = Backup::new(from, &mut to)?;
    loop {
        let step = backup.step(256)?;
        let now = backup.progress();
        progress(usize::try_from(now.remaining).unwrap_or(0), usize::try_from(now.pagecount).unwrap_or(0));
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // The agent is writing: it is done in a moment.
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
