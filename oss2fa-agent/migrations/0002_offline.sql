-- Devices for the time without a server, what the server is to be told, and names for kinds that are to come.

-- A CHECK cannot be changed: the table is made anew, and with it the one that refers to it. Its name in the reference
-- follows when it is renamed.
CREATE TABLE device_new (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    account       INTEGER NOT NULL REFERENCES account (id),
    name          TEXT    NOT NULL,
    kind          TEXT    NOT NULL CHECK (kind IN ('totp', 'hotp', 'recovery_code', 'fido2', 'u2f',
                                                   'yubikey_hmac', 'ssh_sk', 'yubico_otp')),
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
    last_used_at  INTEGER,
    -- Its number at the server, which lists and revokes it. Such a device counts only while no server can be reached.
    offline       INTEGER
) STRICT;

INSERT INTO device_new (id, account, name, kind, status, vouched, sealed, fingerprint, algorithm, digits, period,
                        drift, next_position, created_at, last_used_at)
SELECT id, account, name, kind, status, vouched, sealed, fingerprint, algorithm, digits, period,
       drift, next_position, created_at, last_used_at
FROM device;

-- No number is given out twice, also where the newest rows are gone.
UPDATE sqlite_sequence SET seq = max(seq, (SELECT old.seq FROM sqlite_sequence old WHERE old.name = 'device'))
WHERE name = 'device_new' AND EXISTS (SELECT 1 FROM sqlite_sequence old WHERE old.name = 'device');

CREATE TABLE recovery_code_new (
    device  INTEGER NOT NULL REFERENCES device_new (id),
    number  INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (device, number)
) STRICT, WITHOUT ROWID;

INSERT INTO recovery_code_new (device, number, digest, used_at)
SELECT device, number, digest, used_at FROM recovery_code;

DROP TABLE recovery_code;
DROP TABLE device;
ALTER TABLE device_new RENAME TO device;
ALTER TABLE recovery_code_new RENAME TO recovery_code;

CREATE INDEX device_account ON device (account);
CREATE INDEX device_fingerprint ON device (fingerprint);

-- What happened while no server could be reached. A row goes when the server has it.
CREATE TABLE outbox (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL UNIQUE,
    at      INTEGER NOT NULL,
    event   TEXT    NOT NULL,
    user    TEXT    NOT NULL,
    service TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
