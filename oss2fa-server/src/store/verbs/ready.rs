//! Whether the store does its work.

use crate::store::error::StoreError;
use crate::store::sql::Sql;
use crate::store::verb::{Query, Tx, Verb};

/// Nothing: what runs it has read, or begun and committed a transaction, which syncs nothing to the disk.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Query for Nothing {
    type Output = ();

    async fn run<S: Sql>(&self, tx: &mut Tx<'_, S>) -> Result<(), StoreError> {
        tx.sql.rows("SELECT pk FROM store_state WHERE pk = 1", &[]).await.map(drop)
    }
}

impl Verb for Nothing {
    type Output = ();

    async fn run<S: Sql>(&self, _: &mut Tx<'_, S>) -> Result<(), StoreError> {
        Ok(())
    }
}
