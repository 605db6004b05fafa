-- Messages that enrollments have sent: an address gets no more of them by more enrollments. What is kept of it is a
-- keyed digest.
CREATE TABLE enrollment_message (
    pk          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    address     BLOB    NOT NULL,
    sent_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX enrollment_message_address ON enrollment_message (integration, address, sent_at);
CREATE INDEX enrollment_message_age ON enrollment_message (sent_at);
