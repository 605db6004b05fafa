//! Which releases of PostgreSQL are taken: those that the tests have seen. An older one may do something else with the
//! same statement, and it would show in the middle of a login.

use super::error::StoreError;
use super::postgres::PostgresSql;
use super::sql::Sql;

/// The oldest, as `server_version_num` writes it.
const OLDEST: i64 = 150_000;

/// Refuses a server that is too old.
///
/// # Errors
/// [`StoreError::OldPostgres`], and where it does not say what it is.
pub(super) async fn check(sql: &mut PostgresSql) -> Result<(), StoreError> {
    let asked = "SELECT CAST(current_setting('server_version_num') AS BIGINT)";
    let row = sql.row(asked, &[]).await?;
    let row = row.ok_or_else(|| StoreError::Database("it does not tell its version".to_owned()))?;
    admit(row.take(0)?)
}

fn admit(version: i64) -> Result<(), StoreError> {
    if version >= OLDEST { Ok(()) } else { Err(StoreError::OldPostgres(shown(version))) }
}

/// As people write it: 13.4; before 10 there were three parts.
fn shown(version: i64) -> String {
    match version {
        100_000.. => format!("{}.{}", version / 10_000, version % 10_000),
        _ => format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_15_is_refused_by_its_name() {
        for (version, name) in [(149_999, "14.9999"), (140_011, "14.11"), (90_624, "9.6.24"), (0, "0.0.0")] {
            let refused = admit(version).unwrap_err();
            assert!(matches!(&refused, StoreError::OldPostgres(shown) if shown == name), "{refused:?}");
            let said = refused.to_string();
            assert!(said.contains(&format!("PostgreSQL {name}, ")) && said.contains("pg_upgrade"), "{said}");
        }
        for version in [150_000, 150_018, 180_001] {
            admit(version).unwrap();
        }
    }
}
