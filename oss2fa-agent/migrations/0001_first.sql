-- Accounts, devices, recovery codes, locks and the audit of one host.
-- Times are seconds since 1970. Never edit a released migration: its checksum is stored.

CREATE TABLE data_key (
    id         INTEGER PRIMARY KEY,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    -- When the first device became active. Stays when the last one is removed.
    enrolled_at INTEGER
) STRICT;

CREATE TABLE device (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    account       INTEGER NOT NULL REFERENCES account (id),
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('totp', 'hotp', 'recovery_code')),
    status        TEXT    NOT NULL CHECK (status IN ('pending', 'active', 'removed')),
    -- Whether root, or a fresh code of its owner, stood behind a pending device.
    vouched       INTEGER NOT NULL CHECK (vouched IN (0, 1)),
    sealed        BLOB,
    -- Keyed hash of the secret. Stays after removal, so that no used code comes back with an import.
    fingerprint   BLOB,
    algorithm     TEXT,
    digits        INTEGER,
    period        INTEGER,
    drift         INTEGER NOT NULL DEFAULT 0,
    -- The lowest time step or counter that may still be accepted. Only grows.
    next_position INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;

CREATE INDEX device_account ON device (account);
CREATE INDEX device_fingerprint ON device (fingerprint);

CREATE TABLE recovery_code (
    device  INTEGER NOT NULL REFERENCES device (id),
    number  INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

-- Failed tries: of (account, kind, source), of a source alone, of (account, kind) alone.
CREATE TABLE lock (
    account         INTEGER NOT NULL,
    kind            TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    failures        INTEGER NOT NULL,
    last_failure_at INTEGER NOT NULL,
    locked_until    INTEGER NOT NULL,
    PRIMARY KEY (account, kind, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX lock_age ON lock (last_failure_at);

CREATE TABLE known_source (
    account INTEGER NOT NULL REFERENCES account (id),
    source  TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (account, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    user    TEXT    NOT NULL,
    service TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    chain   BLOB    NOT NULL
) STRICT;
