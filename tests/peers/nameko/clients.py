"""Calls `verify` as the apps of a nameko infrastructure do, and holds every answer against what it must be.

    clients.py URI APPS     APPS: {"web": {"uuid", "seed"}, ...}; web is trusted, cron and other are not
"""

# Services run in green threads, which need this before anything else.
import eventlet

eventlet.monkey_patch()

import json
import sys

from nameko.containers import ServiceContainer
from nameko.exceptions import IncorrectSignature, MethodNotFound
from nameko.rpc import RpcProxy, rpc

from caller import FAIL, OK, client, token, wrong

uri, apps = sys.argv[1], json.loads(sys.argv[2])
web, cron, other = apps["web"], apps["cron"], apps["other"]
stranger = "00000000-0000-4000-8000-000000000000"


class Asker:
    """A service that asks ours."""

    name = "asker"
    otp = RpcProxy("ungleichotp")

    @rpc
    def ask(self, *arguments):
        return self.otp.verify(*arguments)

    @rpc
    def ask_by_name(self, **arguments):
        return self.otp.verify(**arguments)

    @rpc
    def ask_many(self, many):
        calls = [self.otp.verify.call_async(*arguments) for arguments in many]
        return [call.result() for call in calls]


def right(about=cron):
    return [web["uuid"], token(web), about["uuid"], token(about)]


def named(arguments):
    return dict(zip(("appuuid", "token", "appuuidtoverify", "tokentoverify"), arguments))


def expect(got, wanted, what):
    assert got == wanted, f"{what}: {got}"


def raises(error, words, call, *arguments, **by_name):
    try:
        got = call(*arguments, **by_name)
    except error as raised:
        assert words in str(raised), f"{words!r}: {raised!r}"
    else:
        raise AssertionError(f"{call}: {got}, and no {error}")


def verdicts(verify):
    """`verify` takes the arguments by their places."""
    expect(verify(*right()), OK, "right")
    expect(verify(*right(web)), OK, "itself")
    expect(verify(web["uuid"].upper(), *right()[1:]), OK, "another spelling")
    expect(verify(web["uuid"], token(web), cron["uuid"], wrong(cron)), FAIL, "wrong")
    expect(verify(web["uuid"], token(web), cron["uuid"], token(other)), FAIL, "another app's token")
    expect(verify(web["uuid"], wrong(web), cron["uuid"], token(cron)), FAIL, "a wrong token of its own")
    expect(verify(cron["uuid"], token(cron), other["uuid"], token(other)), FAIL, "untrusted")
    expect(verify(web["uuid"], token(web), stranger, token(cron)), FAIL, "an unknown app")
    expect(verify(stranger, token(web), cron["uuid"], token(cron)), FAIL, "asked by an unknown app")
    expect(verify("", "", "", ""), FAIL, "nothing")
    expect(verify(web["uuid"], int(token(web)), cron["uuid"], token(cron)), FAIL, "a number")
    expect(verify(*right()), OK, "right after all of it")


with client(uri) as bus:
    otp = bus.ungleichotp
    verdicts(otp.verify)
    verdicts(lambda *arguments: otp.verify(**named(arguments)))
    verdicts(lambda *arguments: otp.verify.call_async(*arguments).result())
    me, mine, it, its = right()
    expect(otp.verify(me, mine, tokentoverify=its, appuuidtoverify=it), OK, "both ways at once")

    raises(MethodNotFound, "register", otp.register, *right())
    raises(MethodNotFound, "verify_all", otp.verify_all)
    raises(IncorrectSignature, "missing 4", otp.verify)
    raises(IncorrectSignature, "missing 1", otp.verify, me, mine, it)
    raises(IncorrectSignature, "5 were given", otp.verify, me, mine, it, its, "more")
    raises(IncorrectSignature, "multiple values", otp.verify, me, mine, it, its, token=mine)
    raises(IncorrectSignature, "unexpected keyword", otp.verify, me, mine, it, its, version="1")

    # Many at once; the answers are taken in another order than they come.
    many = [right() if n % 2 else [me, mine, other["uuid"], token(cron)] for n in range(40)]
    calls = [otp.verify.call_async(*arguments) for arguments in many]
    for n, call in reversed(list(enumerate(calls))):
        expect(call.result(), OK if n % 2 else FAIL, f"call {n} of many")

    # From within a service.
    try:
        container = ServiceContainer(Asker, {"AMQP_URI": uri})
    except TypeError:
        import nameko

        nameko.config.setup({"AMQP_URI": uri})
        container = ServiceContainer(Asker)
    container.start()
    verdicts(bus.asker.ask)
    verdicts(lambda *arguments: bus.asker.ask_by_name(**named(arguments)))
    expect(bus.asker.ask_many([right() for _ in range(10)]), [OK] * 10, "many from a service")
    container.stop()

print("done")
