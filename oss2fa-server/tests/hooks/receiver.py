"""A receiver of webhooks for tests: checks signatures by itself, says on stdout what came, and takes on stdin
lines of JSON that say how to answer: status, delay, location, secrets."""
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLAN = {"status": 200, "delay": 0, "location": None, "secrets": []}
LOCK = threading.Lock()


def tell(**event):
    with LOCK:
        print(json.dumps(event), flush=True)


def is_signed(header, body):
    parts = dict(part.split("=", 1) for part in header.split(","))
    said = parts["t"].encode() + b"." + body
    return any(
        hmac.compare_digest(hmac.new(secret.encode(), said, hashlib.sha256).hexdigest(), parts["v1"])
        for secret in PLAN["secrets"]
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tell(
            event="delivery",
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            delivery=int(self.headers["X-OSS2FA-Delivery"]),
            signed=is_signed(self.headers["X-OSS2FA-Signature"], body),
            body=json.loads(body),
        )
        time.sleep(PLAN["delay"])
        self.send_response(PLAN["status"])
        if PLAN["location"]:
            self.send_header("Location", PLAN["location"])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        tell(event="get", path=self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Several nodes knock at once; the 5 that Python lets wait are too few, and the rest would be seen as failures.
    request_queue_size = 128

    def handle_error(self, request, address):
        pass  # A sender that hangs up is what some tests want.


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
tell(event="ready", port=server.server_address[1])
for line in sys.stdin:
    PLAN.update(json.loads(line))
    tell(event="told")
