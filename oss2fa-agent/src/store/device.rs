//! Devices as they are stored, and the verbs that make, change and remove them.

use oss2fa_core::factor::hotp::Hotp;
use oss2fa_core::factor::otp::{Digits, OtpParameters, Period, looks_like};
use oss2fa_core::factor::totp::{Resynced, Totp};
use oss2fa_core::factor::yubico_otp::TypedOtp;
use oss2fa_core::ids::{DeviceId, DeviceName, UserName};
use oss2fa_core::secret::SecretBytes;
use oss2fa_core::verdict::{FactorKind, Verified};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::StoreError;
use super::keys::Keys;
use crate::admin::{DeviceStatus, DeviceView};
use crate::outside::Random;

/// Number of an account in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountId(pub i64);

/// A row of `device`; the secret is still sealed.
#[derive(Clone)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Whose.
    pub account: AccountId,
    /// What the owner calls it.
    pub name: DeviceName,
    /// Its kind.
    pub kind: FactorKind,
    /// Whether it counts.
    pub status: DeviceStatus,
    /// Who stands behind it.
    pub vouched: Vouched,
    pub(super) sealed: Option<Vec<u8>>,
    /// For one-time passwords.
    pub parameters: OtpParameters,
    drift: i64,
    next_position: u64,
    created_at: u64,
    last_used_at: Option<u64>,
    /// Its number at the server, for a device that counts only while no server can be reached.
    pub offline: Option<i64>,
}

/// Whether root, or a fresh code of the owner, stands behind a new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// It may join devices that are there already.
    Yes,
    /// It may only be the first.
    No,
}

/// A device to be made.
pub struct NewDevice<'a> {
    /// TOTP or HOTP.
    pub kind: FactorKind,
    /// What the owner calls it.
    pub name: &'a DeviceName,
    /// Its secret.
    pub secret: &'a SecretBytes,
    /// Algorithm, digits, period.
    pub parameters: OtpParameters,
    /// The lowest position that may be accepted.
    pub next_position: u64,
    /// How far its clock is ahead, in steps.
    pub drift: i64,
    /// Active at once only where another system has proven it.
    pub status: DeviceStatus,
    /// Who stands behind it.
    pub vouched: Vouched,
    /// Its number at the server, for a device that counts only while no server can be reached.
    pub offline: Option<i64>,
}

/// How long a pending device waits for its first code, in seconds.
pub const PENDING_FOR: u64 = 24 * 3600;

const COLUMNS: &str = "id, account, name, kind, status, sealed, algorithm, digits, period, drift,
                       next_position, created_at, last_used_at, vouched, offline";

impl Device {
    /// Whether its codes count at any time.
    #[must_use]
    pub fn is_usable_here(&self) -> bool {
        self.status == DeviceStatus::Active && self.offline.is_none()
    }

    /// Whether its codes count while no server can be reached.
    #[must_use]
    pub fn is_usable_offline(&self) -> bool {
        self.status == DeviceStatus::Active && self.offline.is_some()
    }

    /// Whether a code could be this device's, by its look.
    #[must_use]
    pub fn fits(&self, code: &str) -> bool {
        match self.kind {
            FactorKind::Totp | FactorKind::Hotp => looks_like(code, self.parameters.digits),
            FactorKind::RecoveryCode => oss2fa_core::factor::recovery_code::canonical(code).is_some(),
            FactorKind::SentCode
            | FactorKind::Fido2
            | FactorKind::U2f
            | FactorKind::YubikeyHmac
            | FactorKind::SshSk => false,
            FactorKind::YubicoOtp => TypedOtp::read(code).is_some(),
        }
    }

    /// Checks a one-time password.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where the secret does not open.
    pub fn check(&self, keys: &Keys, code: &str, skew: u8, now: u64) -> Result<Option<Verified>, StoreError> {
        let secret = self.secret(keys)?;
        Ok(match self.kind {
            FactorKind::Totp => self.totp(&secret, skew).check(code, now),
            FactorKind::Hotp => self.hotp(&secret).check(code),
            FactorKind::RecoveryCode
            | FactorKind::SentCode
            | FactorKind::Fido2
            | FactorKind::U2f
            | FactorKind::YubicoOtp
            | FactorKind::YubikeyHmac
            | FactorKind::SshSk => None,
        })
    }

    /// Finds the device again by two consecutive codes. The drift is 0 for counters.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where the secret does not open.
    pub fn resync(
        &self,
        keys: &Keys,
        first: &str,
        second: &str,
        now: u64,
    ) -> Result<Option<(Verified, i64)>, StoreError> {
        let secret = self.secret(keys)?;
        Ok(match self.kind {
            FactorKind::Totp => self
                .totp(&secret, 0)
                .resync(first, second, now)
                .map(|Resynced { verified, drift }| (verified, drift)),
            FactorKind::Hotp => self.hotp(&secret).resync(first, second).map(|verified| (verified, 0)),
            FactorKind::RecoveryCode
            | FactorKind::SentCode
            | FactorKind::Fido2
            | FactorKind::U2f
            | FactorKind::YubicoOtp
            | FactorKind::YubikeyHmac
            | FactorKind::SshSk => None,
        })
    }

    /// Opens the secret.
    ///
    /// # Errors
    /// [`StoreError::Seal`] where it was changed or belongs to another row.
    pub fn secret(&self, keys: &Keys) -> Result<SecretBytes, StoreError> {
        let associated = associated(self.id, self.account, self.kind, self.parameters);
        self.sealed
            .as_deref()
            .and_then(|sealed| keys.open(sealed, &associated))
            .ok_or(StoreError::Seal(self.id.0))
    }

    /// The lowest position that may be accepted.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// What may be shown.
    #[must_use]
    pub fn view(&self, user: &str, codes_left: Option<u64>) -> DeviceView {
        DeviceView {
            device: self.id,
            user: user.to_owned(),
            name: self.name.clone(),
            kind: self.kind,
            status: self.status,
            parameters: self.kind.is_made_by_device().then_some(self.parameters),
            codes_left,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
            shown_as: self.offline.map(|_| format!("{}, offline", self.kind)),
        }
    }

    fn totp<'a>(&self, secret: &'a SecretBytes, skew: u8) -> Totp<'a> {
        Totp {
            device: self.id,
            secret,
            parameters: self.parameters,
            skew,
            drift: self.drift,
            next_step: self.next_position,
        }
    }

    fn hotp<'a>(&self, secret: &'a SecretBytes) -> Hotp<'a> {
        Hotp { device: self.id, secret, parameters: self.parameters, next_counter: self.next_position }
    }

    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        let parameters = OtpParameters {
            algorithm: parsed(6, row.get::<_, Option<String>>(6)?, |text: String| text.parse().ok())?,
            digits: parsed(7, row.get::<_, Option<i64>>(7)?, |number: i64| Digits::try_from(number).ok())?,
            period: parsed(8, row.get::<_, Option<i64>>(8)?, |number: i64| Period::try_from(number).ok())?,
        };
        Ok(Self {
            id: DeviceId(row.get(0)?),
            account: AccountId(row.get(1)?),
            name: required(2, DeviceName::from_store(&row.get::<_, String>(2)?).ok())?,
            kind: required(3, kind_of(&row.get::<_, String>(3)?))?,
            status: required(4, status_of(&row.get::<_, String>(4)?))?,
            vouched: if row.get(13)? { Vouched::Yes } else { Vouched::No },
            sealed: row.get(5)?,
            parameters,
            drift: row.get(9)?,
            next_position: row.get::<_, i64>(10)?.cast_unsigned(),
            created_at: row.get::<_, i64>(11)?.cast_unsigned(),
            last_used_at: row.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
            offline: row.get(14)?,
        })
    }
}

// A value that the schema cannot hold is an error, never a default.
fn required<T>(column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Text,
            "a value that this release does not know".into(),
        )
    })
}

fn parsed<S, T: Default>(column: usize, stored: Option<S>, parse: fn(S) -> Option<T>) -> rusqlite::Result<T> {
    stored.map_or_else(|| Ok(T::default()), |value| required(column, parse(value)))
}

fn kind_of(word: &str) -> Option<FactorKind> {
    use FactorKind::{Fido2, Hotp, RecoveryCode, SshSk, Totp, U2f, YubicoOtp, YubikeyHmac};
    let stored = [Totp, Hotp, RecoveryCode, Fido2, U2f, YubicoOtp, YubikeyHmac, SshSk];
    stored.into_iter().find(|kind| kind.as_str() == word)
}

fn status_of(word: &str) -> Option<DeviceStatus> {
    [DeviceStatus::Pending, DeviceStatus::Active].into_iter().find(|status| status.as_str() == word)
}

// Names the row and all that the check of a code depends on: a sealed secret opens nowhere else.
fn associated(id: DeviceId, account: AccountId, kind: FactorKind, parameters: OtpParameters) -> Vec<u8> {
    let OtpParameters { algorithm, digits, period } = parameters;
    format!(
        "device.sealed id={id} account={} kind={kind} algorithm={algorithm} digits={digits} period={period}",
        account.0
    )
    .into_bytes()
}

/// The account of a user, `None` where the store has never heard of them.
///
/// # Errors
/// Those of SQLite.
pub fn account(connection: &Connection, user: &UserName) -> Result<Option<(AccountId, bool)>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT id, enrolled_at IS NOT NULL FROM account WHERE name = ?1")?
        .query_row([user.as_str()], |row| Ok((AccountId(row.get(0)?), row.get(1)?)))
        .optional()?)
}

/// The account of a user, made where it is missing.
///
/// # Errors
/// Those of SQLite.
pub fn account_for(connection: &Connection, user: &UserName) -> Result<AccountId, StoreError> {
    connection
        .prepare_cached("INSERT INTO account (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
        .execute([user.as_str()])?;
    Ok(connection
        .prepare_cached("SELECT id FROM account WHERE name = ?1")?
        .query_row([user.as_str()], |row| row.get(0).map(AccountId))?)
}

/// The devices of an account that are not removed, in order of their numbers.
///
/// # Errors
/// Those of SQLite.
pub fn devices(connection: &Connection, account: AccountId) -> Result<Vec<Device>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM device WHERE account = ?1 AND status <> 'removed' ORDER BY id"
    ))?;
    Ok(statement.query_map([account.0], Device::of)?.collect::<Result<_, _>>()?)
}

/// One page of everybody's devices.
///
/// # Errors
/// Those of SQLite.
pub fn page(
    connection: &Connection,
    after: DeviceId,
    limit: usize,
) -> Result<Vec<(String, Device)>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, (SELECT a.name FROM account a WHERE a.id = account) FROM device
         WHERE id > ?1 AND status <> 'removed' ORDER BY id LIMIT ?2"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after.0, limit], |row| Ok((row.get(15)?, Device::of(row)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A position below which no code of this secret is accepted any more, whatever device held it.
///
/// # Errors
/// Those of SQLite.
pub fn floor_of(
    connection: &Connection,
    fingerprint: &[u8; 32],
    kind: FactorKind,
    parameters: OtpParameters,
) -> Result<u64, StoreError> {
    let floor: Option<i64> = connection
        .prepare_cached(
            "SELECT max(next_position) FROM device
             WHERE fingerprint = ?1 AND kind = ?2 AND (kind <> 'totp' OR period = ?3)",
        )?
        .query_row(params![fingerprint.as_slice(), kind.as_str(), parameters.period.value()], |row| {
            row.get(0)
        })?;
    Ok(floor.unwrap_or(0).cast_unsigned())
}

/// Whether a device of this account, of another kind or period, there or removed, has this secret: what was used of it
/// then cannot be told in this one's steps or counters.
///
/// # Errors
/// Those of SQLite.
pub fn is_used_otherwise(
    connection: &Connection,
    account: AccountId,
    fingerprint: &[u8; 32],
    kind: FactorKind,
    parameters: OtpParameters,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM device WHERE fingerprint = ?1 AND account = ?4
                            AND (kind <> ?2 OR (kind = 'totp' AND period <> ?3)))",
        )?
        .query_row(
            params![fingerprint.as_slice(), kind.as_str(), parameters.period.value(), account.0],
            |row| row.get(0),
        )?)
}

/// The device of an account that holds this secret.
///
/// # Errors
/// Those of SQLite.
pub fn holder_of(
    connection: &Connection,
    account: AccountId,
    fingerprint: &[u8; 32],
) -> Result<Option<DeviceId>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id FROM device WHERE account = ?1 AND fingerprint = ?2 AND status <> 'removed'",
        )?
        .query_row(params![account.0, fingerprint.as_slice()], |row| row.get(0).map(DeviceId))
        .optional()?)
}

/// Makes a one-time-password device. Its row is there before its secret is sealed, for the seal names
/// the row.
///
/// # Errors
/// Those of SQLite and of the random source.
pub fn add(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    account: AccountId,
    new: &NewDevice<'_>,
    now: u64,
) -> Result<DeviceId, StoreError> {
    let fingerprint = keys.fingerprint(new.parameters.algorithm, new.secret);
    let floor = floor_of(connection, &fingerprint, new.kind, new.parameters)?.max(new.next_position);
    connection
        .prepare_cached(
            "INSERT INTO device (account, name, kind, status, vouched, fingerprint, algorithm, digits,
                                 period, next_position, created_at, drift, offline)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?
        .execute(params![
            account.0,
            new.name.as_str(),
            new.kind.as_str(),
            new.status.as_str(),
            new.vouched == Vouched::Yes,
            fingerprint.as_slice(),
            new.parameters.algorithm.as_str(),
            new.parameters.digits.value(),
            new.parameters.period.value(),
            stored_position(floor)?,
            now.cast_signed(),
            new.drift,
            new.offline
        ])?;
    let id = DeviceId(connection.last_insert_rowid());
    seal(connection, keys, random, id, new.secret, &associated(id, account, new.kind, new.parameters))?;
    if new.status == DeviceStatus::Active {
        mark_enrolled(connection, account, now)?;
    }
    Ok(id)
}

/// Seals something into the row of a device, which `associated` names.
///
/// # Errors
/// Those of SQLite and of the random source.
pub(super) fn seal(
    connection: &Connection,
    keys: &Keys,
    random: &dyn Random,
    id: DeviceId,
    plain: &SecretBytes,
    associated: &[u8],
) -> Result<(), StoreError> {
    let sealed = keys.seal(plain, associated, random)?;
    connection
        .prepare_cached("UPDATE device SET sealed = ?2 WHERE id = ?1")?
        .execute(params![id.0, sealed])?;
    Ok(())
}

/// A position as the database has it.
///
/// # Errors
/// [`StoreError::Corrupt`] for one that it cannot have.
pub(super) fn stored_position(position: u64) -> Result<i64, StoreError> {
    i64::try_from(position).map_err(|_| StoreError::Corrupt("a position beyond every counter"))
}

/// Writes down that the account has been enrolled; this stays.
///
/// # Errors
/// Those of SQLite.
pub fn mark_enrolled(connection: &Connection, account: AccountId, now: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE account SET enrolled_at = ?2 WHERE id = ?1 AND enrolled_at IS NULL")?
        .execute(params![account.0, now.cast_signed()])?;
    Ok(())
}

/// Removes a device: its secret goes, its fingerprint and position stay. `false` where there is none.
///
/// # Errors
/// Those of SQLite.
pub fn remove(connection: &Connection, account: AccountId, device: DeviceId) -> Result<bool, StoreError> {
    let rows = connection
        .prepare_cached(
            "UPDATE device SET status = 'removed', sealed = NULL
             WHERE id = ?1 AND account = ?2 AND status <> 'removed'",
        )?
        .execute(params![device.0, account.0])?;
    Ok(rows == 1)
}

/// Removes a device, unless it is the last active one of the account, for which recovery codes and keys of OpenSSH, which
/// open nothing at the host itself, do not count.
///
/// # Errors
/// Those of SQLite.
pub fn remove_unless_last(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
) -> Result<bool, StoreError> {
    let rows = connection
        .prepare_cached(
            "UPDATE device SET status = 'removed', sealed = NULL
             WHERE id = ?1 AND account = ?2 AND status <> 'removed'
               AND (status = 'pending' OR EXISTS (
                    SELECT 1 FROM device other
                    WHERE other.account = ?2 AND other.id <> ?1 AND other.status = 'active'
                      AND other.kind NOT IN ('recovery_code', 'ssh_sk')))",
        )?
        .execute(params![device.0, account.0])?;
    Ok(rows == 1)
}

/// Gives a device another name. `false` where there is none.
///
/// # Errors
/// Those of SQLite.
pub fn rename(
    connection: &Connection,
    account: AccountId,
    device: DeviceId,
    name: &DeviceName,
) -> Result<bool, StoreError> {
    let rows = connection
        .prepare_cached("UPDATE device SET name = ?3 WHERE id = ?1 AND account = ?2 AND status <> 'removed'")?
        .execute(params![device.0, account.0, name.as_str()])?;
    Ok(rows == 1)
}

/// Removes pending devices that nobody proved, made before `before`.
///
/// # Errors
/// Those of SQLite.
pub fn drop_stale(connection: &Connection, account: AccountId, before: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE device SET status = 'removed', sealed = NULL
             WHERE account = ?1 AND status = 'pending' AND created_at < ?2",
        )?
        .execute(params![account.0, before.cast_signed()])?;
    Ok(())
}

/// Forgets that the account was ever enrolled, with all its devices and locks.
///
/// # Errors
/// Those of SQLite.
pub fn forget(connection: &Connection, account: AccountId) -> Result<(), StoreError> {
    for sql in [
        "UPDATE device SET status = 'removed', sealed = NULL WHERE account = ?1",
        "UPDATE account SET enrolled_at = NULL WHERE id = ?1",
        "DELETE FROM lock WHERE account = ?1",
        "DELETE FROM known_source WHERE account = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([account.0])?;
    }
    Ok(())
}
