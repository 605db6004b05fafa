//! In which encoding a database keeps text: one that has not all characters would refuse some names, and it would
//! show in the middle of a login.

use super::error::StoreError;
use super::postgres::PostgresSql;
use super::sql::Sql;

/// Those that keep every text as we send it. `SQL_ASCII` looks at no byte above 127 and gives all back.
const TAKEN: [&str; 2] = ["UTF8", "SQL_ASCII"];

/// Refuses a database that cannot hold every name.
///
/// # Errors
/// [`StoreError::Encoding`], and where it does not say what it has.
pub(super) async fn check(sql: &mut PostgresSql) -> Result<(), StoreError> {
    let row = sql.row("SELECT current_setting('server_encoding')", &[]).await?;
    let row = row.ok_or_else(|| StoreError::Database("it does not tell its encoding".to_owned()))?;
    let encoding: String = row.take(0)?;
    if TAKEN.contains(&encoding.as_str()) { Ok(()) } else { Err(StoreError::Encoding(encoding)) }
}
