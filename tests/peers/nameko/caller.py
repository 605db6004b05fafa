"""nameko's own client, of whichever version this Python has: 2.14 calls it ClusterRpcProxy, 3.0 ClusterRpcClient."""

import time

import nameko.standalone.rpc
import pyotp

# A call that nobody answers would wait without end.
PATIENCE = 20

OK, FAIL = {"status": "OK"}, {"status": "FAIL"}


def client(uri, patience=PATIENCE):
    """What makes calls, as a context manager."""
    if hasattr(nameko.standalone.rpc, "ClusterRpcClient"):
        return nameko.standalone.rpc.ClusterRpcClient(uri=uri, timeout=patience)
    return nameko.standalone.rpc.ClusterRpcProxy({"AMQP_URI": uri}, timeout=patience)


def token(app):
    """An app's token now."""
    return pyotp.TOTP(app["seed"]).now()


def wrong(app):
    """No token of this app, now or in the steps around."""
    own = {pyotp.TOTP(app["seed"]).at(int(time.time()) + 30 * step) for step in range(-3, 4)}
    return next(str(digits) for digits in range(100000, 100008) if str(digits) not in own)
