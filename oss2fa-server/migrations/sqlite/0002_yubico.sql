-- Keys that type Yubico OTPs: which device has a public id. Within an integration there is one at most.
CREATE TABLE yubikey (
    device      INTEGER PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    client      INTEGER NOT NULL,
    public_id   TEXT    NOT NULL,
    -- Position and nonce of the newest password that was accepted over the validation protocol.
    position    INTEGER,
    nonce       TEXT,
    UNIQUE (integration, public_id)
) STRICT;
CREATE INDEX yubikey_client ON yubikey (client);

-- Who may ask over the validation protocol; pk is the id that they send, and what is sealed their key.
CREATE TABLE yubico_client (
    pk          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      INTEGER NOT NULL,
    integration INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    sealed      BLOB,
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX yubico_client_integration ON yubico_client (tenant, integration);
