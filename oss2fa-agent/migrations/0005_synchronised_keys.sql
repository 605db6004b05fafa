-- Security keys of a server: what one of them has signed while no server could be reached is told with the event.
-- Their devices are rows of `device` with the number that the server has for the device in `offline`.

ALTER TABLE outbox ADD COLUMN assertion TEXT;
