"""A security key in software, and the browser that asks it, on the libraries fido2 and cryptography.

Reads a JSON object a line and answers each by one, until its input ends. What it does wrong, it is told to:

    {"do": "root"}                                   -> {"pem": "..."}: who vouches for its keys
    {"do": "create", "options": {...}, "wrong": {}}  -> {"key": N, "token": {...}}
    {"do": "get", "key": N, "options": {...}, "wrong": {}} -> {"token": {...}}

`options` are those that the server shows. Of both: origin, rp_id, challenge, type, cross_origin, present, verified,
counter, cut, behind, id. Of create: format, aaguid, like (a key whose credential is registered again). Of get:
signature, handle, extensions.
"""

import datetime
import hashlib
import json
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

AAGUID_EXTENSION = ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
ES256_SHA256 = ec.ECDSA(hashes.SHA256())
FLAG = AuthenticatorData.FLAG


def name(common, unit):
    words = [
        (NameOID.COUNTRY_NAME, "CH"),
        (NameOID.ORGANIZATION_NAME, "Keys"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common),
    ]
    return x509.Name([x509.NameAttribute(oid, word) for oid, word in words])


class Maker:
    """Who makes keys, and vouches for them."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name("Maker", "Root")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.root = (
            self.certificate(self.name, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def certificate(self, subject, public_key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=365))
        )

    def vouch(self, key, aaguid):
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        built = (
            self.certificate(name("Key", "Authenticator Attestation"), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(issuer, critical=False)
            .add_extension(x509.UnrecognizedExtension(AAGUID_EXTENSION, b"\x04\x10" + aaguid), critical=False)
        )
        return built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class Key:
    def __init__(self):
        self.secret = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(48)
        self.counter = 0


def client_data(kind, options, wrong):
    challenge = wrong.get("challenge", options["challenge"])
    said = CollectedClientData.create(
        type=wrong.get("type", kind),
        challenge=challenge,
        origin=wrong.get("origin", "https://www.example.org"),
        cross_origin=wrong.get("cross_origin", False),
    )
    return bytes(said) + wrong.get("behind_client_data", "").encode()


def flags(wrong, more=0):
    present = FLAG.UP if wrong.get("present", True) else 0
    verified = FLAG.UV if wrong.get("verified", False) else 0
    return FLAG(present | verified | more)


def rp_id_hash(rp_id, wrong):
    return hashlib.sha256(wrong.get("rp_id", rp_id).encode()).digest()


def changed(data, wrong):
    """Before it is signed: the key itself is wrong."""
    data = data[: len(data) - wrong.get("cut", 0)]
    return data + bytes.fromhex(wrong.get("behind", ""))


def statement(form, maker, key, aaguid, data, client_hash, rp_hash):
    if form == "none":
        return {}
    attesting = ec.generate_private_key(ec.SECP256R1())
    if form == "self":
        return {"alg": -7, "sig": key.secret.sign(data + client_hash, ES256_SHA256)}
    chain = [maker.vouch(attesting, aaguid)]
    if form == "packed":
        return {"alg": -7, "sig": attesting.sign(data + client_hash, ES256_SHA256), "x5c": chain}
    point = key.secret.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return {"sig": attesting.sign(b"\0" + rp_hash + client_hash + key.id + point, ES256_SHA256), "x5c": chain}


def create(maker, key, options, wrong):
    said = client_data("webauthn.create", options, wrong)
    rp_hash = rp_id_hash(options["rp"]["id"], wrong)
    form = wrong.get("format", "none")
    aaguid = bytes.fromhex(wrong.get("aaguid", "00" * 16))
    key.counter = wrong.get("counter", key.counter)
    credential = AttestedCredentialData.create(
        aaguid, key.id, ES256.from_cryptography_key(key.secret.public_key())
    )
    data = AuthenticatorData.create(rp_hash, flags(wrong, FLAG.AT), key.counter, credential)
    client_hash = hashlib.sha256(said).digest()
    signed = statement(form, maker, key, aaguid, bytes(data), client_hash, rp_hash)
    made = bytes(AttestationObject.create("packed" if form == "self" else form, data, signed))
    return {
        "id": websafe_encode(key.id),
        "rawId": websafe_encode(key.id),
        "type": "public-key",
        "clientExtensionResults": {},
        "response": {
            "attestationObject": websafe_encode(changed(made, wrong)),
            "clientDataJSON": websafe_encode(said),
            "transports": ["usb"],
        },
    }


def get(key, options, wrong):
    said = client_data("webauthn.get", options, wrong)
    key.counter = wrong.get("counter", key.counter + 1)
    data = AuthenticatorData.create(rp_id_hash(options["rpId"], wrong), flags(wrong), key.counter)
    data = changed(bytes(data), wrong)
    signature = key.secret.sign(data + hashlib.sha256(said).digest(), ES256_SHA256)
    if "signature" in wrong:
        signature = {
            "another": ec.generate_private_key(ec.SECP256R1()).sign(data, ES256_SHA256),
            "cut": signature[:-1],
            "behind": signature + b"\0",
            "none": b"",
        }[wrong["signature"]]
    id = websafe_decode(wrong["id"]) if "id" in wrong else key.id
    return {
        "id": websafe_encode(id),
        "rawId": websafe_encode(id),
        "type": wrong.get("credential_type", "public-key"),
        "clientExtensionResults": {},
        "response": {
            "authenticatorData": websafe_encode(data),
            "clientDataJSON": websafe_encode(said),
            "signature": websafe_encode(signature),
            "userHandle": wrong.get("handle"),
        },
    }


def main():
    maker, keys = Maker(), []
    for line in sys.stdin:
        asked = json.loads(line)
        wrong = asked.get("wrong", {})
        if asked["do"] == "root":
            answer = {"pem": maker.root.public_bytes(serialization.Encoding.PEM).decode()}
        elif asked["do"] == "create":
            key = keys[wrong["like"]] if "like" in wrong else Key()
            keys.append(key)
            token = create(maker, key, asked["options"]["publicKey"], wrong)
            answer = {"key": len(keys) - 1, "token": token}
        else:
            answer = {"token": get(keys[asked["key"]], asked["options"]["publicKey"], wrong)}
        print(json.dumps(answer), flush=True)


main()
