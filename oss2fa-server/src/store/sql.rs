//! The common dialect: what a verb may say to either database.
//!
//! Parameters are `?1`, `?2`, ...; columns are whole numbers of 64 bits, text and bytes; `RETURNING` and
//! `ON CONFLICT` are in both. `FOR UPDATE` (or `FOR UPDATE OF c`) at the very end locks rows on PostgreSQL and is left out for
//! SQLite, where the one writer has the whole file. A parameter in arithmetic is written
//! `CAST(?1 AS BIGINT)`: PostgreSQL would take it for 32 bits.

use std::future::Future;

use oss2fa_core::ids::DeviceId;

use super::error::StoreError;
use crate::ids::{
    AdministratorId, AppUuid, ChallengeId, ClientId, CredentialId, EnrollmentId, HostName, IntegrationId,
    TenantId, Username, WebhookId, YubicoClientId,
};
use crate::outside::Timestamp;

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// BIGINT.
    Int(i64),
    /// TEXT.
    Text(&'a str),
    /// BLOB, BYTEA.
    Bytes(&'a [u8]),
}

/// A connection within a transaction, or one for reading.
pub trait Sql: Send {
    /// The rows of a query, or of `RETURNING`.
    fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// How many rows a statement changed.
    fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// One statement with many sets of parameters, in that order.
    fn execute_each(
        &mut self,
        sql: &'static str,
        sets: &[Vec<Value<'_>>],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The first row, where there is one.
    fn row(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        async move { Ok(self.rows(sql, values).await?.into_iter().next()) }
    }
}

const NO_TEXT: StoreError = StoreError::Corrupt("no text where some belongs");
const NO_BYTES: StoreError = StoreError::Corrupt("no bytes where some belong");

/// A row as it came back.
#[derive(Debug)]
pub struct Row(pub Vec<Cell>);

/// One value of a row.
#[derive(Debug, Clone)]
pub enum Cell {
    /// NULL.
    Null,
    /// BIGINT.
    Int(i64),
    /// TEXT.
    Text(String),
    /// BLOB, BYTEA.
    Bytes(Vec<u8>),
}

impl Row {
    /// The value in column `n`, counted from 0.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is of another type.
    pub fn take<T: Column>(&self, n: usize) -> Result<T, StoreError> {
        T::from_cell(self.0.get(n).unwrap_or(&Cell::Null))
    }

    /// The text in column `n`, where it stands.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where there is none.
    pub fn text(&self, n: usize) -> Result<&str, StoreError> {
        match self.0.get(n) {
            Some(Cell::Text(text)) => Ok(text),
            _ => Err(NO_TEXT),
        }
    }

    /// The bytes in column `n`, where they stand.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where there are none.
    pub fn bytes(&self, n: usize) -> Result<&[u8], StoreError> {
        match self.0.get(n) {
            Some(Cell::Bytes(bytes)) => Ok(bytes),
            _ => Err(NO_BYTES),
        }
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it is of another type.
    fn from_cell(cell: &Cell) -> Result<Self, StoreError>;
}

impl Column for i64 {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        match cell {
            Cell::Int(number) => Ok(*number),
            _ => Err(StoreError::Corrupt("no number where one belongs")),
        }
    }
}

impl Column for String {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        match cell {
            Cell::Text(text) => Ok(text.clone()),
            _ => Err(NO_TEXT),
        }
    }
}

impl Column for Vec<u8> {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        match cell {
            Cell::Bytes(bytes) => Ok(bytes.clone()),
            _ => Err(NO_BYTES),
        }
    }
}

impl Column for u32 {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        Self::try_from(i64::from_cell(cell)?).map_err(|_| StoreError::Corrupt("a number out of range"))
    }
}

impl Column for Username {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        Self::parse(&String::from_cell(cell)?).map_err(|_| StoreError::Corrupt("a name that none can have"))
    }
}

impl Column for AppUuid {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        Self::parse(&String::from_cell(cell)?).map_err(|_| StoreError::Corrupt("an app without a UUID"))
    }
}

impl<T: Column> Column for Option<T> {
    fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
        match cell {
            Cell::Null => Ok(None),
            other => T::from_cell(other).map(Some),
        }
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Username> for Value<'a> {
    fn from(name: &'a Username) -> Self {
        Self::Text(name.as_str())
    }
}

impl<'a> From<&'a AppUuid> for Value<'a> {
    fn from(uuid: &'a AppUuid) -> Self {
        Self::Text(uuid.as_str())
    }
}

impl<'a> From<&'a HostName> for Value<'a> {
    fn from(name: &'a HostName) -> Self {
        Self::Text(name.as_str())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

macro_rules! numbered {
    ($($name:ty),*) => { $(
        impl From<$name> for Value<'_> {
            fn from(id: $name) -> Self {
                Self::Int(id.0)
            }
        }

        impl Column for $name {
            fn from_cell(cell: &Cell) -> Result<Self, StoreError> {
                i64::from_cell(cell).map(Self)
            }
        }
    )* };
}

numbered!(
    TenantId,
    IntegrationId,
    ClientId,
    EnrollmentId,
    ChallengeId,
    AdministratorId,
    WebhookId,
    CredentialId,
    YubicoClientId,
    DeviceId,
    Timestamp
);

/// The parameters of a statement: `values![tenant, name]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*] };
}
