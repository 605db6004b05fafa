-- A node of an earlier release that still runs spends nothing from here on: what it spent after the rows were copied
-- would be open again.
LOCK TABLE device IN ACCESS EXCLUSIVE MODE;

-- What each use of a device changes, apart from what it is: many rows to a page, so that many uses write few pages.
-- Room is left in each page: a row that changes stays in its page, and its index as it is.
CREATE TABLE device_use (
    device        BIGINT PRIMARY KEY,
    tenant        BIGINT NOT NULL,
    -- The lowest time step or counter that may still be accepted. Only grows. Stays after removal.
    next_position BIGINT NOT NULL,
    last_used_at  BIGINT
) WITH (fillfactor = 70);
INSERT INTO device_use (device, tenant, next_position, last_used_at)
    SELECT pk, tenant, next_position, last_used_at FROM device ORDER BY pk;
ALTER TABLE device DROP COLUMN next_position;
ALTER TABLE device DROP COLUMN last_used_at;
