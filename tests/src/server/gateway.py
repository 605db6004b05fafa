# An HTTP server that keeps each request as a JSON file, and answers what the file `mode` says.
# Arguments: FOLDER [CERTIFICATE KEY]
import json
import os
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

folder = sys.argv[1]
taken = 0
lock = threading.Lock()


def mode():
    try:
        with open(os.path.join(folder, "mode"), encoding="utf-8") as file:
            return file.read().split()
    except FileNotFoundError:
        return ["accept"]


def keep(record):
    global taken
    with lock:
        taken += 1
        path = os.path.join(folder, f"{taken:06}")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.rename(path + ".new", path + ".json")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def take(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        keep({
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("utf-8", "replace"),
        })
        doing = mode()
        if doing[0] == "drop":
            self.close_connection = True
            return
        if doing[0] == "slow":
            time.sleep(float(doing[1]))
        status = 200
        if doing[0] == "refuse":
            status = int(doing[1])
        if doing[0] == "redirect" and self.path != "/elsewhere":
            status = 307
        answer = b'{"status":"FAIL"}' if doing[0] in ("vain", "refuse") else b'{"status":"OK"}'
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = take

    def log_message(self, *words):
        pass

    def handle(self):
        # A caller that has lost its patience is what some tests are about.
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if len(sys.argv) > 2:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", server.server_address[1], flush=True)
# Ends where the test does.
sys.stdin.read()
