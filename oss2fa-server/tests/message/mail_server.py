"""A mail server for tests: aiosmtpd, told by one JSON argument how to behave; says on stdout what it sees."""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

PLAN = json.loads(sys.argv[1])


def tell(**event):
    print(json.dumps(event), flush=True)


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        if PLAN.get("refuse_sender"):
            return "553 5.7.1 <%s>: not yours" % address
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if PLAN.get("recipient"):
            return PLAN["recipient"].replace("ADDRESS", address)
        if PLAN.get("drop") == "recipient":
            server.transport.abort()
            return "250 never seen"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if PLAN.get("drop") == "content":
            server.transport.abort()
            return "250 never seen"
        if PLAN.get("slow"):
            await asyncio.sleep(PLAN["slow"])
        if PLAN.get("content"):
            return PLAN["content"]
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        tell(
            event="mail",
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            tls=session.ssl is not None or PLAN["security"] == "tls",
            user=session.auth_data,
            headers=[[name, str(value)] for name, value in message.items()],
            type=message.get_content_type(),
            defects=[repr(defect) for part in message.walk() for defect in part.defects],
            parts=[[part.get_content_type(), part.get_content()] for part in message.iter_parts()],
            raw=envelope.content.decode("latin-1"),
        )
        if PLAN.get("close_after_mail"):
            asyncio.get_running_loop().call_later(0.05, server.transport.abort)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = [data.login.decode(), data.password.decode()] == PLAN["login"]
    tell(event="login", mechanism=mechanism, right=right)
    return AuthResult(success=right, handled=False, auth_data=data.login.decode() if right else None)


def protocol():
    tell(event="connection")
    options = {}
    if PLAN["security"] == "starttls":
        options.update(tls_context=context(), require_starttls=True)
    if PLAN.get("login"):
        options.update(
            authenticator=authenticate,
            auth_required=True,
            auth_require_tls=PLAN["security"] == "starttls",
            auth_exclude_mechanism=PLAN.get("exclude", []),
        )
    return SMTP(Handler(), hostname="mail.test", **options)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(PLAN["certificate"], PLAN["key"])
    return made


async def main():
    loop = asyncio.get_running_loop()
    secured = context() if PLAN["security"] == "tls" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=secured)
    tell(event="ready", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
