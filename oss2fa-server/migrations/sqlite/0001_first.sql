-- Times are microseconds since 1970, UTC. Everything of a tenant names the tenant.

-- While moved_to is not null nothing is written here: the store is being copied there, and since moved_at it
-- is there. The copy has the same copy_id.
CREATE TABLE store_state (
    pk       INTEGER PRIMARY KEY,
    moved_to TEXT,
    copy_id  TEXT,
    moved_at INTEGER
) STRICT;
INSERT INTO store_state (pk, moved_to) VALUES (1, NULL);

CREATE TABLE tenant (
    pk         INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id  TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Wrapped by the master key that master_id names. Tenant 0 is the server itself.
CREATE TABLE tenant_key (
    tenant     INTEGER NOT NULL,
    purpose    TEXT    NOT NULL CHECK (purpose IN ('seal', 'mac')),
    version    INTEGER NOT NULL,
    master_id  BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, purpose, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE integration (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    token_digest  BLOB    NOT NULL UNIQUE,
    access_key    TEXT    NOT NULL UNIQUE,
    secret_digest BLOB    NOT NULL,
    policy        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- Without a tenant: owner of the server.
CREATE TABLE administrator (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER,
    name          TEXT    NOT NULL UNIQUE,
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'administrator', 'helpdesk')),
    token_digest  BLOB    NOT NULL UNIQUE,
    access_key    TEXT    NOT NULL UNIQUE,
    secret_digest BLOB    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE client (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    integration   INTEGER NOT NULL,
    username      TEXT    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'bypass', 'inactive')),
    created_at    INTEGER NOT NULL,
    UNIQUE (integration, username)
) STRICT;

CREATE TABLE device (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    client        INTEGER NOT NULL,
    kind          TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    -- What may be shown: a masked address.
    shown         TEXT,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'removed')),
    sealed        BLOB,
    -- Keyed hash of the secret, where it makes codes. Stays after removal, so that no used code comes back.
    fingerprint   BLOB,
    -- The lowest time step or counter that may still be accepted. Only grows.
    next_position INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX device_client ON device (client);
CREATE INDEX device_fingerprint ON device (fingerprint) WHERE fingerprint IS NOT NULL;

-- Apps of ungleich-otp: each is a client whose name is the app's UUID, with one device.
CREATE TABLE app (
    client     INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    uuid       TEXT    NOT NULL,
    device     INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    -- Whose app it is.
    username   TEXT    NOT NULL,
    trusted    INTEGER NOT NULL CHECK (trusted IN (0, 1)),
    -- How often the seed was shown.
    seed_reads INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant, uuid)
) STRICT;
CREATE INDEX app_username ON app (integration, username);

CREATE TABLE recovery_code (
    tenant  INTEGER NOT NULL,
    device  INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

-- Status: 1 new, 2 in progress, 3 complete, 4 failed. Expired (5) is what expires_at says.
CREATE TABLE enrollment (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    integration   INTEGER NOT NULL,
    username      TEXT    NOT NULL,
    kind          TEXT,
    status        INTEGER NOT NULL,
    sealed        BLOB,
    attempts_left INTEGER NOT NULL,
    sends_left    INTEGER NOT NULL,
    sent_at       INTEGER,
    client        INTEGER,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX enrollment_expiry ON enrollment (expires_at);

CREATE TABLE challenge (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    integration   INTEGER NOT NULL,
    client        INTEGER NOT NULL,
    device        INTEGER NOT NULL,
    reference     TEXT,
    status        INTEGER NOT NULL,
    sealed        BLOB,
    -- Where the client is, as the application says.
    source        TEXT    NOT NULL,
    fingerprint   TEXT,
    attempts_left INTEGER NOT NULL,
    sends_left    INTEGER NOT NULL,
    sent_at       INTEGER,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    completed_at  INTEGER
) STRICT;
CREATE INDEX challenge_expiry ON challenge (expires_at);
CREATE INDEX challenge_client ON challenge (client);

-- Failed tries; scope says of whom, of what kind, from where.
CREATE TABLE lock (
    tenant          INTEGER NOT NULL,
    scope           TEXT    NOT NULL,
    client          INTEGER,
    failures        INTEGER NOT NULL,
    last_failure_at INTEGER NOT NULL,
    locked_until    INTEGER NOT NULL,
    PRIMARY KEY (tenant, scope)
) STRICT, WITHOUT ROWID;
CREATE INDEX lock_age ON lock (last_failure_at);
CREATE INDEX lock_client ON lock (client) WHERE client IS NOT NULL;

CREATE TABLE known_source (
    tenant  INTEGER NOT NULL,
    client  INTEGER NOT NULL,
    source  TEXT    NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (client, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_source_age ON known_source (seen_at);

CREATE TABLE trusted_device (
    tenant      INTEGER NOT NULL,
    client      INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    fingerprint TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (client, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX trusted_device_expiry ON trusted_device (expires_at);

CREATE TABLE audit (
    tenant      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    integration INTEGER,
    username    TEXT    NOT NULL,
    actor       TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    chain       BLOB    NOT NULL,
    PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_head (
    tenant INTEGER NOT NULL PRIMARY KEY,
    seq    INTEGER NOT NULL,
    chain  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    tenant         INTEGER NOT NULL,
    principal      TEXT    NOT NULL,
    key_digest     BLOB    NOT NULL,
    request_digest BLOB    NOT NULL,
    status         INTEGER,
    sealed         BLOB,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (principal, key_digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE webhook (
    pk           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       INTEGER NOT NULL,
    integration  INTEGER NOT NULL,
    url          TEXT    NOT NULL,
    sealed       BLOB,
    -- Until when nothing is sent after a failure, and what that was.
    paused_until INTEGER NOT NULL,
    failure      TEXT,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_integration ON webhook (tenant, integration);

CREATE TABLE webhook_delivery (
    pk            INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant        INTEGER NOT NULL,
    webhook       INTEGER NOT NULL,
    body          TEXT    NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_delivery_next ON webhook_delivery (webhook, next_at);
