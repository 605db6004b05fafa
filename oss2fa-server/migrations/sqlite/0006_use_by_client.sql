-- What a use reads and changes is found by its client, and only devices that can be used have a row: a use of
-- another one changes none.
CREATE TABLE use_by_client (
    client        INTEGER NOT NULL,
    device        INTEGER NOT NULL,
    tenant        INTEGER NOT NULL,
    -- The lowest time step or counter that may still be accepted. Only grows.
    next_position INTEGER NOT NULL,
    last_used_at  INTEGER,
    PRIMARY KEY (client, device)
) STRICT, WITHOUT ROWID;
INSERT INTO use_by_client (client, device, tenant, next_position, last_used_at)
    SELECT d.client, u.device, u.tenant, u.next_position, u.last_used_at
    FROM device d JOIN device_use u ON u.device = d.pk AND u.tenant = d.tenant
    WHERE d.status = 'active' ORDER BY d.client, u.device;
-- Of a removed device, so that no used code comes back.
ALTER TABLE device ADD COLUMN next_position INTEGER;
UPDATE device SET next_position = (SELECT u.next_position FROM device_use u WHERE u.device = pk AND u.tenant = device.tenant)
    WHERE status = 'removed';
DROP TABLE device_use;
ALTER TABLE use_by_client RENAME TO device_use;

-- Which devices have, or had, a secret. Apart from the device: enrolments alone look for it.
DROP INDEX device_fingerprint;
CREATE TABLE device_fingerprint (
    fingerprint BLOB    NOT NULL,
    device      INTEGER NOT NULL,
    tenant      INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, device)
) STRICT, WITHOUT ROWID;
INSERT INTO device_fingerprint (fingerprint, device, tenant)
    SELECT fingerprint, pk, tenant FROM device WHERE fingerprint IS NOT NULL ORDER BY fingerprint, pk;
ALTER TABLE device DROP COLUMN fingerprint;

-- All that a verification reads of a client: it need not read the row.
CREATE INDEX client_verified ON client (integration, username, tenant, status);
