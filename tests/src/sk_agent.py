"""An ssh-agent with keys that look as if they lived on a security key, for tests of sshd and of what stands behind it.

It is told by the file FOLDER/flags what its next signatures say: 1 that the key was touched, 5 that it also knows its
user, 0 neither. Public keys and certificates are the files FOLDER/*.pub. Forms: OpenSSH's PROTOCOL.agent, PROTOCOL.u2f."""

import base64
import glob
import hashlib
import os
import socketserver
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

FAILURE, REQUEST_IDENTITIES, IDENTITIES, SIGN_REQUEST, SIGN_RESPONSE = 5, 11, 12, 13, 14
ECDSA, ED25519, APPLICATION = b"sk-ecdsa-sha2-nistp256@openssh.com", b"sk-ssh-ed25519@openssh.com", b"ssh:"


def string(data):
    return struct.pack(">I", len(data)) + data


def mpint(number):
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def take(data):
    (length,) = struct.unpack(">I", data[:4])
    return data[4 : 4 + length], data[4 + length :]


class Keys:
    """Others in each folder: two agents are two people."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        seed = hashlib.sha256(os.urandom(32)).digest()
        self.ecdsa = ec.derive_private_key(int.from_bytes(seed[:31], "big") + 1, ec.SECP256R1())
        self.ed25519 = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        ecdsa = string(ECDSA) + string(b"nistp256") + string(self.ecdsa.public_key().public_bytes(*point))
        edwards = string(ED25519) + string(self.ed25519.public_key().public_bytes(*raw))
        for name, kind, blob in ("id_ecdsa_sk", ECDSA, ecdsa), ("id_ed25519_sk", ED25519, edwards):
            with open(f"{folder}/{name}.pub", "w") as file:
                key = base64.b64encode(blob + string(APPLICATION)).decode()
                file.write(f"{kind.decode()} {key} ferris@laptop\n")

    def blobs(self):
        for path in sorted(glob.glob(f"{self.folder}/*.pub")):
            with open(path) as file:
                yield base64.b64decode(file.read().split()[1])

    def sign(self, blob, data):
        with open(f"{self.folder}/flags") as file:
            flags = int(file.read())
        self.count += 1
        tail = struct.pack(">BI", flags, self.count)
        digest = lambda text: hashlib.sha256(text).digest()
        signed = digest(APPLICATION) + tail + digest(data)
        if b"ecdsa" in take(blob)[0]:
            r, s = decode_dss_signature(self.ecdsa.sign(signed, ec.ECDSA(hashes.SHA256())))
            return string(ECDSA) + string(mpint(r) + mpint(s)) + tail
        return string(ED25519) + string(self.ed25519.sign(signed)) + tail


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        while header := self.rfile.read(4):
            (length,) = struct.unpack(">I", header)
            request = self.rfile.read(length)
            self.wfile.write(string(self.answer(request[0], request[1:])))

    def answer(self, kind, rest):
        if kind == REQUEST_IDENTITIES:
            blobs = list(self.server.keys.blobs())
            listed = b"".join(string(blob) + string(b"") for blob in blobs)
            return struct.pack(">BI", IDENTITIES, len(blobs)) + listed
        if kind == SIGN_REQUEST:
            blob, rest = take(rest)
            data, _ = take(rest)
            return struct.pack(">B", SIGN_RESPONSE) + string(self.server.keys.sign(blob, data))
        return struct.pack(">B", FAILURE)


class Agent(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
with open(f"{folder}/flags", "w") as flags:
    flags.write("1")
agent = Agent(f"{folder}/agent.sock", Conversation)
agent.keys = Keys(folder)
print("ready", flush=True)
agent.serve_forever()
