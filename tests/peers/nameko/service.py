"""The service that ours is measured against: nameko's own, which checks the same tokens with pyotp.

    nameko run service --config FILE      in this folder; APPS names a file of `manage.py dumpdata`
"""

import json
import os

import pyotp
from nameko.rpc import rpc

APPS = {entry["pk"]: entry["fields"] for entry in json.load(open(os.environ["APPS"]))}


def shows(appuuid, token):
    """The app, if this is a token of it."""
    app = APPS.get(appuuid)
    return app if app and pyotp.TOTP(app["seed"]).verify(token, valid_window=1) else None


class Otp:
    name = "ungleichotp"

    @rpc
    def verify(self, appuuid, token, appuuidtoverify, tokentoverify):
        asking = shows(appuuid, token)
        if asking and asking["trusted"] and shows(appuuidtoverify, tokentoverify):
            return {"status": "OK"}
        return {"status": "FAIL"}
