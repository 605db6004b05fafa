"""Pairs of apps of which the first asks about the second.

    pairs.py COUNT DUMP FILE      writes what `app import --django` takes to DUMP
    pairs.py tokens DUMP FILE     writes a call of each pair to FILE, twice, with the tokens of now
"""

import json
import sys
import uuid

import pyotp

what, dump, file = sys.argv[1:]
if what == "tokens":
    apps = [entry["fields"] for entry in json.load(open(dump))]
    shown = [[app["appuuid"], pyotp.TOTP(app["seed"]).now()] for app in apps]
    calls = []
    for asking, about in zip(shown[::2], shown[1::2]):
        body = json.dumps({"args": asking + about, "kwargs": {}})
        calls += [{"body": body}, {"body": body}]
    json.dump(calls, open(file, "w"))
else:
    entries = []
    for n in range(2 * int(what)):
        fields = {
            "appuuid": str(uuid.uuid4()),
            "appname": f"app {n}",
            "username": f"u{n}",
            "seed": pyotp.random_base32(),
            "trusted": n % 2 == 0,
        }
        entries.append({"model": "otp.app", "pk": fields["appuuid"], "fields": fields})
    json.dump(entries, open(dump, "w"))
