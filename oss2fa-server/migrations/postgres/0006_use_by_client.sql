-- A node of an earlier release that still runs adds and spends nothing meanwhile.
LOCK TABLE client, device, device_use IN ACCESS EXCLUSIVE MODE;

-- What a use reads and changes is found by its client, and only devices that can be used have a row: a use of
-- another one changes none. Room is left in each page: a row that changes stays in its page, and its index as it is.
CREATE TABLE use_by_client (
    client        BIGINT NOT NULL,
    device        BIGINT NOT NULL,
    tenant        BIGINT NOT NULL,
    -- The lowest time step or counter that may still be accepted. Only grows.
    next_position BIGINT NOT NULL,
    last_used_at  BIGINT,
    PRIMARY KEY (client, device)
) WITH (fillfactor = 70);
INSERT INTO use_by_client (client, device, tenant, next_position, last_used_at)
    SELECT d.client, u.device, u.tenant, u.next_position, u.last_used_at
    FROM device d JOIN device_use u ON u.device = d.pk AND u.tenant = d.tenant
    WHERE d.status = 'active' ORDER BY d.client, u.device;
-- Of a removed device, so that no used code comes back.
ALTER TABLE device ADD COLUMN next_position BIGINT;
UPDATE device SET next_position = u.next_position FROM device_use u
    WHERE u.device = pk AND u.tenant = device.tenant AND status = 'removed';
DROP TABLE device_use;
ALTER TABLE use_by_client RENAME TO device_use;
ALTER INDEX use_by_client_pkey RENAME TO device_use_pkey;

-- Which devices have, or had, a secret. Apart from the device: enrolments alone look for it.
DROP INDEX device_fingerprint;
CREATE TABLE device_fingerprint (
    fingerprint BYTEA  NOT NULL,
    device      BIGINT NOT NULL,
    tenant      BIGINT NOT NULL,
    PRIMARY KEY (fingerprint, device)
);
INSERT INTO device_fingerprint (fingerprint, device, tenant)
    SELECT fingerprint, pk, tenant FROM device WHERE fingerprint IS NOT NULL;
ALTER TABLE device DROP COLUMN fingerprint;
