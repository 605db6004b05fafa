"""HOTP codes (RFC 4226, 6 digits) in bulk, with nothing but Python's standard library.

    codes.py DEVICES STEP FIRST COUNT

Prints "device code" for each of the uses FIRST .. FIRST + COUNT - 1. Use k is of device k * STEP mod
DEVICES (all of them in turn, where STEP and DEVICES have no common divisor) at counter k // DEVICES. The
secret of device i is the first 20 bytes of SHA-256("bench" || i in decimal).
"""

import hashlib
import hmac
import sys

devices, step, first, count = map(int, sys.argv[1:])
secrets = {}
lines = []
for use in range(first, first + count):
    device = use * step % devices
    secret = secrets.get(device)
    if secret is None:
        secret = secrets[device] = hashlib.sha256(b"bench%d" % device).digest()[:20]
    mac = hmac.digest(secret, (use // devices).to_bytes(8, "big"), "sha1")
    offset = mac[19] & 15
    number = (int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF) % 1_000_000
    lines.append(f"{device} {number:06}\n")
sys.stdout.writelines(lines)
