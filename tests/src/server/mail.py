# An SMTP server that keeps each mail as a JSON file, or does what the file `mode` says.
# Arguments: FOLDER plain|starttls|tls CERTIFICATE KEY USER PASSWORD
import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, security, certificate, key, user, password = sys.argv[1:]
taken = 0


def mode():
    try:
        with open(os.path.join(folder, "mode"), encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return ["accept"]


def login(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=right, handled=right, auth_data=user if right else None)


def keep(record):
    global taken
    taken += 1
    path = os.path.join(folder, f"{taken:06}")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.rename(path + ".new", path + ".json")


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if mode()[0] == "refuse":
            return "550 5.1.1 no such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        doing = mode()
        if doing[0] == "busy":
            return "451 4.3.0 come again later"
        if doing[0] == "drop":
            server.transport.abort()
            return "421 gone"
        if doing[0] == "slow":
            await asyncio.sleep(float(doing[1]))
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {"plain": "", "html": ""}
        for part in message.walk():
            if part.get_content_maintype() == "text":
                parts[part.get_content_subtype()] = part.get_content()
        keep({
            "from": envelope.mail_from,
            "to": ",".join(envelope.rcpt_tos),
            "subject": str(message["subject"]),
            "text": parts["plain"],
            "html": parts["html"],
            "raw": envelope.content.decode("utf-8", "replace"),
            "encrypted": session.ssl is not None or security == "tls",
            "user": session.auth_data if session.authenticated else "",
        })
        return "250 OK"


async def main():
    context = None
    if security != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()

    def connection():
        return SMTP(
            Handler(),
            hostname="localhost",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            auth_required=security != "plain",
            # aiosmtpd knows of STARTTLS alone; behind `tls` the whole connection is encrypted.
            auth_require_tls=security == "starttls",
            authenticator=login,
            loop=loop,
        )

    direct = context if security == "tls" else None
    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=direct)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    # Ends where the test does.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
