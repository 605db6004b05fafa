//! The tables themselves: reading all of a tenant's rows, and changing rows as nobody should.

use oss2fa_server::ids::TenantId;
use oss2fa_server::store::Store;
use oss2fa_server::store::error::StoreError;
use oss2fa_server::store::sql::{Row, Sql};
use oss2fa_server::store::verb::{Query, Tx, Verb};
use oss2fa_server::values;

/// A table as the migration makes it.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) key: Vec<&'static str>,
}

/// The tables of a script.
pub(crate) fn tables(script: &'static str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in script.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("CREATE TABLE ").and_then(|rest| rest.strip_suffix(" (")) {
            tables.push(Table { name, columns: Vec::new(), key: Vec::new() });
            inside = true;
        } else if line.starts_with(')') {
            inside = false;
        } else if inside && !line.starts_with("--") {
            let table = tables.last_mut().unwrap();
            let keys = line.strip_prefix("PRIMARY KEY (").and_then(|rest| rest.split(')').next());
            match (keys, line.split_whitespace().next().unwrap()) {
                (Some(keys), _) => table.key = keys.split(", ").collect(),
                (None, "UNIQUE" | "CHECK" | "FOREIGN") => {}
                (None, column) => {
                    table.columns.push(column);
                    if line.contains("PRIMARY KEY") {
                        table.key = vec![column];
                    }
                }
            }
        }
    }
    tables
}

/// What a script does to a table of an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Altered {
    Added(&'static str, &'static str),
    Dropped(&'static str, &'static str),
    /// In the place of the one that had the new name.
    Renamed(&'static str, &'static str),
}

/// All of it, in its order.
pub(crate) fn altered(script: &'static str) -> Vec<Altered> {
    let lines = script.lines().filter_map(|line| line.strip_prefix("ALTER TABLE "));
    lines
        .map(|rest| match (rest.split_once(" ADD COLUMN "), rest.split_once(" DROP COLUMN ")) {
            (Some((table, column)), _) => Altered::Added(table, column.split_whitespace().next().unwrap()),
            (None, Some((table, column))) => Altered::Dropped(table, column.strip_suffix(';').unwrap()),
            (None, None) => {
                let (table, name) = rest.split_once(" RENAME TO ").expect("nothing else is altered");
                Altered::Renamed(table, name.strip_suffix(';').unwrap())
            }
        })
        .collect()
}

/// Those of SQLite; a test compares them with those of PostgreSQL.
pub(crate) fn all_tables() -> Vec<Table> {
    let mut all: Vec<Table> = Vec::new();
    for (_, script) in oss2fa_server::store::schema::SQLITE {
        all.extend(tables(script));
        for altered in altered(script) {
            match altered {
                Altered::Added(table, column) => columns_of(&mut all, table).push(column),
                Altered::Dropped(table, column) => {
                    columns_of(&mut all, table).retain(|known| *known != column)
                }
                Altered::Renamed(table, name) => {
                    all.retain(|table| table.name != name);
                    all.iter_mut().find(|known| known.name == table).unwrap().name = name;
                }
            }
        }
    }
    all
}

fn columns_of<'a>(all: &'a mut [Table], name: &str) -> &'a mut Vec<&'static str> {
    &mut all.iter_mut().find(|table| table.name == name).unwrap().columns
}

/// All that a tenant has, or everything.
pub(crate) struct Dump(pub(crate) Option<TenantId>);

impl Query for Dump {
    type Output = Vec<String>;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        for table in all_tables() {
            let owner = if table.name == "tenant" { "pk" } else { "tenant" };
            if table.name == "store_state" {
                continue;
            }
            let (columns, key) = (table.columns.join(", "), table.key.join(", "));
            let sql = leaked(format!(
                "SELECT {columns} FROM {} WHERE CAST(?1 AS BIGINT) IS NULL OR {owner} = ?1 ORDER BY {key}",
                table.name
            ));
            let rows = tx.sql.rows(sql, values![self.0]).await?;
            found.extend(rows.into_iter().map(|Row(cells)| format!("{}: {cells:?}", table.name)));
        }
        Ok(found)
    }
}

pub(crate) async fn dump(store: &Store, tenant: TenantId) -> Vec<String> {
    store.read(Dump(Some(tenant))).await.unwrap()
}

/// Any statement.
pub(crate) struct Change(pub(crate) String);

impl Verb for Change {
    type Output = u64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<u64, StoreError> {
        tx.sql.execute(leaked(self.0.clone()), &[]).await
    }
}

pub(crate) async fn change(store: &Store, sql: impl Into<String>) -> u64 {
    store.write(Change(sql.into())).await.unwrap()
}

/// One number.
pub(crate) struct Number(pub(crate) String);

impl Query for Number {
    type Output = i64;

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<i64, StoreError> {
        tx.sql.row(leaked(self.0.clone()), &[]).await?.unwrap().take(0)
    }
}

pub(crate) async fn number(store: &Store, sql: impl Into<String>) -> i64 {
    store.read(Number(sql.into())).await.unwrap()
}

// Statements are kept prepared under their text, which must stay.
fn leaked(sql: String) -> &'static str {
    Box::leak(sql.into_boxed_str())
}
