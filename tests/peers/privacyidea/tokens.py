"""Gives privacyIDEA its HOTP tokens: `tokens.py COUNT`.

The token of number i has the serial "B" and six digits of i, no PIN, and as secret the first 20 bytes of
SHA-256("bench" || i in decimal), which is also what the benchmark makes the codes of.
"""

import hashlib
import os
import sys

from privacyidea.app import create_app
from privacyidea.lib.token import init_token

app = create_app(config_name="production", config_file=os.environ["PRIVACYIDEA_CONFIGFILE"], silent=True)
with app.app_context():
    for number in range(int(sys.argv[1])):
        secret = hashlib.sha256(b"bench%d" % number).digest()[:20]
        init_token({"type": "hotp", "serial": f"B{number:06}", "otpkey": secret.hex(), "otplen": 6, "hashlib": "sha1"})
