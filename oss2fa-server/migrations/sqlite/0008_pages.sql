-- Pages of lists are read in the order of their numbers, and what a removal ends is found by its name: neither reads
-- nor sorts all that an integration has.
CREATE INDEX client_page ON client (integration, pk);
CREATE INDEX app_page ON app (integration, client);
CREATE INDEX offline_credential_page ON offline_credential (integration, pk);
CREATE INDEX enrollment_username ON enrollment (integration, username);
