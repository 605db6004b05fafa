//! The tables that `store copy` takes along, and the statements for them: the same for both databases.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::sql::{Cell, Row, Sql, Value};

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its primary key.
    pub key: &'static [&'static str],
    /// All of its columns.
    pub columns: &'static [&'static str],
}

impl Table {
    /// Whether the database gives its rows their numbers.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.key == ["pk"]
    }
}

/// All tables but those that belong to a database and not to what is in it: `migration`, `store_state`.
pub const TABLES: [Table; 25] = [
    Table { name: "tenant", key: &["pk"], columns: &["pk", "public_id", "name", "created_at"] },
    Table {
        name: "tenant_key",
        key: &["tenant", "purpose", "version"],
        columns: &["tenant", "purpose", "version", "master_id", "wrapped", "created_at"],
    },
    Table {
        name: "integration",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "name",
            "token_digest",
            "access_key",
            "secret_digest",
            "policy",
            "created_at",
        ],
    },
    Table {
        name: "administrator",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "name",
            "role",
            "token_digest",
            "access_key",
            "secret_digest",
            "created_at",
        ],
    },
    Table {
        name: "client",
        key: &["pk"],
        columns: &["pk", "tenant", "integration", "username", "status", "created_at"],
    },
    Table {
        name: "device",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "client",
            "kind",
            "name",
            "shown",
            "status",
            "sealed",
            "next_position",
            "created_at",
        ],
    },
    Table {
        name: "device_use",
        key: &["client", "device"],
        columns: &["client", "device", "tenant", "next_position", "last_used_at"],
    },
    Table {
        name: "device_fingerprint",
        key: &["fingerprint", "device"],
        columns: &["fingerprint", "device", "tenant"],
    },
    Table {
        name: "app",
        key: &["client"],
        columns: &[
            "client",
            "tenant",
            "integration",
            "uuid",
            "device",
            "name",
            "username",
            "trusted",
            "seed_reads",
            "created_at",
        ],
    },
    Table {
        name: "yubikey",
        key: &["device"],
        columns: &["device", "tenant", "integration", "client", "public_id", "position", "nonce"],
    },
    Table {
        name: "yubico_client",
        key: &["pk"],
        columns: &["pk", "tenant", "integration", "name", "sealed", "created_at"],
    },
    Table {
        name: "recovery_code",
        key: &["device", "number"],
        columns: &["tenant", "device", "number", "digest", "used_at"],
    },
    Table {
        name: "enrollment",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "integration",
            "username",
            "kind",
            "status",
            "sealed",
            "attempts_left",
            "sends_left",
            "sent_at",
            "client",
            "created_at",
            "expires_at",
        ],
    },
    Table {
        name: "challenge",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "integration",
            "client",
            "device",
            "reference",
            "status",
            "sealed",
            "source",
            "fingerprint",
            "whereabouts",
            "attempts_left",
            "sends_left",
            "sent_at",
            "created_at",
            "expires_at",
            "completed_at",
        ],
    },
    Table {
        name: "lock",
        key: &["tenant", "scope"],
        columns: &["tenant", "scope", "client", "failures", "last_failure_at", "locked_until"],
    },
    Table {
        name: "known_source",
        key: &["client", "source"],
        columns: &["tenant", "client", "source", "seen_at"],
    },
    Table {
        name: "trusted_device",
        key: &["client", "digest"],
        columns: &["tenant", "client", "digest", "fingerprint", "created_at", "expires_at"],
    },
    Table {
        name: "audit",
        key: &["tenant", "seq"],
        columns: &[
            "tenant",
            "seq",
            "at",
            "event",
            "integration",
            "username",
            "actor",
            "source",
            "detail",
            "chain",
        ],
    },
    Table { name: "audit_head", key: &["tenant"], columns: &["tenant", "seq", "chain"] },
    Table {
        name: "idempotency",
        key: &["principal", "key_digest"],
        columns: &["tenant", "principal", "key_digest", "request_digest", "status", "sealed", "created_at"],
    },
    Table {
        name: "webhook",
        key: &["pk"],
        columns: &["pk", "tenant", "integration", "url", "sealed", "paused_until", "failure", "created_at"],
    },
    Table {
        name: "webhook_delivery",
        key: &["pk"],
        columns: &["pk", "tenant", "webhook", "body", "attempts", "next_at", "created_at"],
    },
    Table {
        name: "enrollment_message",
        key: &["pk"],
        columns: &["pk", "tenant", "integration", "address", "sent_at"],
    },
    Table {
        name: "host_event",
        key: &["integration", "digest"],
        columns: &["tenant", "integration", "digest", "recorded_at"],
    },
    Table {
        name: "offline_credential",
        key: &["pk"],
        columns: &[
            "pk",
            "tenant",
            "integration",
            "client",
            "username",
            "host",
            "name",
            "status",
            "created_at",
            "revoked_at",
        ],
    },
];

/// Rows that are read and written at a time.
pub(super) const PAGE: usize = 500;

/// The statements for one table.
pub(super) struct Statements {
    pub(super) table: &'static Table,
    pub(super) count: String,
    first: String,
    next: String,
    pub(super) insert: String,
    pub(super) highest: String,
    /// Where the key stands in a row.
    key: Vec<usize>,
}

/// For each of [`TABLES`].
pub(super) static STATEMENTS: LazyLock<Vec<Statements>> =
    LazyLock::new(|| TABLES.iter().map(Statements::of).collect());

impl Statements {
    fn of(table: &'static Table) -> Self {
        let Table { name, key, columns } = table;
        let numbers = |from: usize, count: usize| {
            (from..from + count).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ")
        };
        let (all, order) = (columns.join(", "), key.join(", "));
        Self {
            table,
            count: format!("SELECT count(*) FROM {name}"),
            first: format!("SELECT {all} FROM {name} ORDER BY {order} LIMIT ?1"),
            next: format!(
                "SELECT {all} FROM {name} WHERE ({order}) > ({}) ORDER BY {order} LIMIT ?1",
                numbers(2, key.len())
            ),
            insert: format!("INSERT INTO {name} ({all}) VALUES ({})", numbers(1, columns.len())),
            highest: format!("SELECT max(pk) FROM {name}"),
            key: key.iter().filter_map(|of| columns.iter().position(|column| column == of)).collect(),
        }
    }

    /// The rows after this one in the order of the key; the first ones where there is none.
    pub(super) async fn page<S: Sql>(
        &'static self,
        sql: &mut S,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        #[expect(clippy::cast_possible_wrap, reason = "a page is short")]
        let limit = Value::Int(PAGE as i64);
        let Some(after) = after else { return sql.rows(&self.first, &[limit]).await };
        let mut values = vec![limit];
        values.extend(self.key.iter().filter_map(|n| after.0.get(*n)).map(Value::from));
        sql.rows(&self.next, &values).await
    }
}

impl<'a> From<&'a Cell> for Value<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Int(number) => Self::Int(*number),
            Cell::Text(text) => Self::Text(text),
            Cell::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

/// The rows of a table, counted and digested in the order of its key.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) rows: u64,
    digest: Sha256,
}

impl Tally {
    pub(super) fn add(&mut self, row: &Row) {
        self.rows += 1;
        for cell in &row.0 {
            // Type and length stand before each value: no two rows have the same bytes.
            let (kind, bytes): (u8, &[u8]) = match cell {
                Cell::Null => (0, &[]),
                Cell::Int(number) => (1, &number.to_be_bytes()),
                Cell::Text(text) => (2, text.as_bytes()),
                Cell::Bytes(bytes) => (3, bytes),
            };
            self.digest.update([kind]);
            self.digest.update((bytes.len() as u64).to_be_bytes());
            self.digest.update(bytes);
        }
    }

    pub(super) fn finish(self) -> (u64, [u8; 32]) {
        (self.rows, self.digest.finalize().into())
    }
}
