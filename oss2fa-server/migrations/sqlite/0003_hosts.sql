-- Hosts that ask the server.

-- Where the login takes place, as the host says: JSON of words.
ALTER TABLE challenge ADD COLUMN whereabouts TEXT;

-- What hosts did while no server could be reached: each of their events once. The digest is of the host's name
-- and its own word for the event.
CREATE TABLE host_event (
    tenant      INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    digest      BLOB    NOT NULL,
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (integration, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX host_event_age ON host_event (recorded_at);

-- One-time codes that a host checks by itself; their secret is there and nowhere else. A client that was removed
-- leaves its rows behind, revoked, so that the host learns of it.
CREATE TABLE offline_credential (
    pk          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    client      INTEGER NOT NULL,
    username    TEXT    NOT NULL,
    host        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('active', 'revoked')),
    created_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX offline_credential_active ON offline_credential (client, host, name) WHERE status = 'active';
CREATE INDEX offline_credential_host ON offline_credential (integration, host, pk);
CREATE INDEX offline_credential_username ON offline_credential (integration, username, pk);
CREATE INDEX offline_credential_age ON offline_credential (revoked_at) WHERE revoked_at IS NOT NULL;
