"""A thousand calls, every other with a wrong token, while the broker may go and come back.

    calls.py URI APPS COUNT

Prints a line "at N" now and then, and at its end what came of them as JSON. A client that loses the broker is made
anew, and its call counts as lost: nobody knows what became of it.
"""

import json
import sys
import time

from caller import client, token, wrong

uri, apps, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
web, cron, other = apps["web"], apps["cron"], apps["other"]
came = {"right": {}, "wrong": {}, "last": None}
bus, otp = None, None


def reached():
    """The service, by a client that works; waits for the broker."""
    global bus, otp
    until = time.monotonic() + 180
    while otp is None:
        try:
            bus = client(uri, patience=5)
            otp = bus.__enter__().ungleichotp
        except OSError:
            assert time.monotonic() < until, "the broker does not come back"
            time.sleep(0.1)
    return otp


def leave():
    global bus, otp
    try:
        bus.__exit__(None, None, None)
    except Exception:
        pass
    bus, otp = None, None


for n in range(count):
    kind = "wrong" if n % 2 else "right"
    about = [other["uuid"], wrong(other)] if n % 2 else [cron["uuid"], token(cron)]
    service = reached()
    try:
        answer = service.verify(web["uuid"], token(web), *about)["status"]
    except Exception as error:
        answer = "lost"
        print(f"call {n}: {type(error).__name__}: {error}", file=sys.stderr)
        leave()
    came[kind][answer] = came[kind].get(answer, 0) + 1
    came["last"] = answer
    if n % 100 == 0:
        print(f"at {n}", flush=True)
leave()
print(json.dumps(came))
