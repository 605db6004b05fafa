-- What each use of a device changes, apart from what it is: many rows to a page, so that many uses write few pages.
CREATE TABLE device_use (
    device        INTEGER PRIMARY KEY,
    tenant        INTEGER NOT NULL,
    -- The lowest time step or counter that may still be accepted. Only grows. Stays after removal.
    next_position INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
INSERT INTO device_use (device, tenant, next_position, last_used_at)
    SELECT pk, tenant, next_position, last_used_at FROM device ORDER BY pk;
ALTER TABLE device DROP COLUMN next_position;
ALTER TABLE device DROP COLUMN last_used_at;
