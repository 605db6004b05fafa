"""An SMS gateway for tests, told by one JSON argument how to answer; says on stdout what it was asked."""
import json
import ssl
import sys
import time
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PLAN = json.loads(sys.argv[1])


def tell(**event):
    print(json.dumps(event), flush=True)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        kind = self.headers.get_content_type() if self.headers.get("Content-Type") else None
        address = urlsplit(self.path)
        tell(
            event="request",
            method=self.command,
            path=unquote(address.path),
            query=parse_qs(address.query, strict_parsing=bool(address.query)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            json=json.loads(body) if kind == "application/json" else None,
            form=parse_qs(body, strict_parsing=True) if kind == "application/x-www-form-urlencoded" else None,
            xml={part.tag: part.text for part in ElementTree.fromstring(body)} if kind == "text/xml" else None,
        )
        time.sleep(PLAN.get("delay", 0))
        said = PLAN.get("body", "").encode()
        before = b"x" * PLAN.get("padding", 0)
        self.send_response(PLAN.get("status", 200))
        if PLAN.get("location"):
            self.send_header("Location", PLAN["location"])
        self.send_header("Content-Length", str(len(before) + len(said)))
        self.end_headers()
        self.wfile.write(before)
        time.sleep(PLAN.get("delay_in_body", 0))
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = do_PATCH = answer

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass  # A client that hangs up is what some tests want.


server = Server(("127.0.0.1", 0), Handler)
if PLAN.get("certificate"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PLAN["certificate"], PLAN["key"])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
tell(event="ready", port=server.server_address[1])
server.serve_forever()
