"""Apps with seeds for a measurement of ungleich-otp, with nothing but Python's standard library.

    apps.py dump COUNT      what `app import --django` takes
    apps.py tokens COUNT    "uuid token" for each app, now (TOTP: SHA-1, 6 digits, 30 s)

The seed of app i is the first 20 bytes of SHA-256("app" || i in decimal).
"""

import base64
import hashlib
import hmac
import json
import sys
import time

count = int(sys.argv[2])
apps = [("00000000-0000-4000-8000-%012x" % i, hashlib.sha256(b"app%d" % i).digest()[:20]) for i in range(count)]
if sys.argv[1] == "dump":
    entries = []
    for i, (uuid, seed) in enumerate(apps):
        fields = {
            "appname": f"app {i}",
            "username": f"u{i // 10}",
            "seed": base64.b32encode(seed).decode(),
            "trusted": True,
        }
        entries.append({"model": "bench.app", "pk": uuid, "fields": fields})
    json.dump(entries, sys.stdout)
else:
    step = int(time.time()) // 30
    for uuid, seed in apps:
        mac = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
        offset = mac[19] & 15
        number = (int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF) % 1_000_000
        print(f"{uuid} {number:06}")
