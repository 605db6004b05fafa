"""Makes the vectors of this folder with python-fido2 and cryptography, which know nothing of this crate.

    pip install fido2==2.2.1 && python generate.py

Keys are fixed and signatures deterministic: the same files come out each time. python-fido2 has verified whatever
is called good here before it is written.
"""

import datetime
import json
import struct
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2 import cbor
from fido2.attestation import FidoU2FAttestation, PackedAttestation
from fido2.cose import ES256, EdDSA
from fido2.ctap import CtapDevice
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2
from fido2.webauthn import AttestedCredentialData, AuthenticatorData

HERE = Path(__file__).parent
RP, OTHER_RP = "oss2fa.test", "elsewhere.test"
CHALLENGE, OTHER_CHALLENGE = bytes(range(32)), bytes(range(1, 33))
AAGUID, OTHER_AAGUID = bytes(range(16)), bytes(range(1, 17))
UP, UV, AT, ED = 0x01, 0x04, 0x40, 0x80
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the base point of Ed25519


def p256(number):
    return ec.derive_private_key(number, ec.SECP256R1())


def edwards(number):
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def cose(key):
    kind = ES256 if isinstance(key, ec.EllipticCurvePrivateKey) else EdDSA
    return kind.from_cryptography_key(key.public_key())


def sign(key, message):
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return key.sign(message)


def client_data_hash(kind="webauthn.get", challenge=CHALLENGE, origin=RP):
    text = urlsafe_b64encode(challenge).rstrip(b"=").decode()
    return sha256(f'{{"type":"{kind}","challenge":"{text}","origin":"{origin}","crossOrigin":false}}'.encode()).digest()


def auth_data(rp=RP, flags=UP, count=8, rest=b""):
    return sha256(rp.encode()).digest() + struct.pack(">BI", flags, count) + rest


# ---- assertions

CRED, OTHER_CRED = b"credential of ferris", b"credential of corro"
OWNER, OTHER_OWNER = b"ferris", b"corro"
KEY, EDKEY, FOREIGN = p256(0xC0FFEE), edwards(7), p256(0xBADBAD)
HASH = client_data_hash()


def assertion(name, expect, *, data=None, key=KEY, signer=None, digest=HASH, signature=None, policy="touch", stored=7,
              cred=CRED, sent=None, owner=OWNER):
    data = auth_data() if data is None else data
    signature = sign(signer or key, data + digest) if signature is None else signature
    if expect == "ok":
        AuthenticatorData(data)
        cose(key).verify(data + digest, signature)
    return {
        "name": name, "expect": expect, "policy": policy, "stored": stored,
        "credential": {"id": cred.hex(), "key": cbor.encode(dict(cose(key))).hex(), "owner": OWNER.hex()},
        "id": (cred if sent is None else sent).hex(), "auth_data": data.hex(), "signature": signature.hex(),
        "owner": None if owner is None else owner.hex(),
    }


def assertions():
    good = sign(KEY, auth_data() + HASH)
    r, s = decode_dss_signature(good)
    ed = sign(EDKEY, auth_data() + HASH)
    malleable = ed[:32] + (int.from_bytes(ed[32:], "little") + ORDER).to_bytes(32, "little")
    new = AttestedCredentialData.create(AAGUID, CRED, cose(KEY))
    yield assertion("right_es256", "ok")
    yield assertion("right_eddsa", "ok", key=EDKEY)
    yield assertion("right_with_the_user_verified", "ok", data=auth_data(flags=UP | UV), policy="verified")
    yield assertion("right_from_a_key_that_does_not_count", "ok", data=auth_data(count=0), stored=0)
    yield assertion("right_with_the_first_count", "ok", data=auth_data(count=1), stored=0)
    yield assertion("right_with_the_highest_count", "ok", data=auth_data(count=2**32 - 1), stored=2**32 - 2)
    yield assertion("right_with_extensions", "ok", data=auth_data(flags=UP | ED, rest=cbor.encode({"credProtect": 2})))
    yield assertion("right_with_backup_flags", "ok", data=auth_data(flags=UP | 0x18))
    yield assertion("right_without_an_owner", "ok", owner=None)

    yield assertion("challenge_of_another_login", "Signature", digest=client_data_hash(challenge=OTHER_CHALLENGE))
    yield assertion("challenge_of_an_enrolment", "Signature", digest=client_data_hash("webauthn.create"))
    yield assertion("challenge_under_another_origin", "Signature", digest=client_data_hash(origin=OTHER_RP))
    yield assertion("challenge_not_signed", "Signature", digest=b"")
    yield assertion("challenge_signed_without_its_hash", "Signature", digest=CHALLENGE)
    yield assertion("rp_id_of_another", "RpId", data=auth_data(rp=OTHER_RP))
    yield assertion("rp_id_with_a_dot_behind", "RpId", data=auth_data(rp=RP + "."))
    yield assertion("rp_id_hash_of_zeroes", "RpId", data=bytes(32) + auth_data()[32:])
    yield assertion("user_not_present", "NotPresent", data=auth_data(flags=0))
    yield assertion("user_verified_and_not_present", "NotPresent", data=auth_data(flags=UV), policy="verified")
    yield assertion("user_not_verified", "NotVerified", policy="verified")
    yield assertion("user_verified_by_a_flag_changed_later", "Signature", policy="verified",
                    data=auth_data(flags=UP | UV), signature=good)
    yield assertion("counter_equal", "Cloned { stored: 8, seen: 8 }", stored=8)
    yield assertion("counter_back", "Cloned { stored: 9, seen: 8 }", stored=9)
    yield assertion("counter_back_to_zero", "Cloned { stored: 7, seen: 0 }", data=auth_data(count=0))
    yield assertion("counter_wrapped", "Cloned { stored: 4294967295, seen: 1 }", data=auth_data(count=1),
                    stored=2**32 - 1)
    yield assertion("counter_changed_later", "Signature", data=auth_data(count=9), signature=good)
    yield assertion("signature_with_one_bit_changed", "Signature", signature=good[:-1] + bytes([good[-1] ^ 1]))
    yield assertion("signature_of_another_key", "Signature", signer=FOREIGN)
    yield assertion("signature_empty", "Signature", signature=b"")
    yield assertion("signature_truncated", "Signature", signature=good[:-1])
    yield assertion("signature_with_a_trailing_byte", "Signature", signature=good + b"\0")
    yield assertion("signature_oversized", 'Malformed("signature")', signature=good + bytes(1000))
    yield assertion("signature_not_in_der", "Signature", signature=r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    yield assertion("signature_of_zeroes", "Signature", signature=bytes.fromhex("3006020100020100"))
    yield assertion("signature_of_ones", "Signature", signature=bytes.fromhex("3006020101020101"))
    yield assertion("signature_eddsa_malleable", "Signature", key=EDKEY, signature=malleable)
    yield assertion("signature_eddsa_with_a_trailing_byte", "Signature", key=EDKEY, signature=ed + b"\0")
    yield assertion("algorithm_eddsa_for_a_credential_of_es256", "Signature", signer=EDKEY)
    yield assertion("algorithm_es256_for_a_credential_of_eddsa", "Signature", key=EDKEY, signer=KEY)
    yield assertion("credential_of_another_user", "UnknownCredential", sent=OTHER_CRED)
    yield assertion("credential_id_empty", "UnknownCredential", sent=b"")
    yield assertion("credential_id_truncated", "UnknownCredential", sent=CRED[:-1])
    yield assertion("credential_id_with_a_trailing_byte", "UnknownCredential", sent=CRED + b"\0")
    yield assertion("owner_of_another_user", "OtherUser", owner=OTHER_OWNER)
    yield assertion("owner_empty", "OtherUser", owner=b"")
    bad = 'Malformed("authenticator data")'
    cut = 'Malformed("canonical CBOR")'
    yield assertion("data_empty", bad, data=b"")
    yield assertion("data_truncated", bad, data=auth_data()[:-1])
    yield assertion("data_with_a_trailing_byte", bad, data=auth_data() + b"\0")
    yield assertion("data_oversized", bad, data=auth_data(flags=UP | ED, rest=cbor.encode({"a": bytes(5000)})))
    yield assertion("data_with_a_new_credential", 'Malformed("authenticator data of a login")',
                    data=auth_data(flags=UP | AT, rest=new))
    yield assertion("extensions_announced_and_absent", cut, data=auth_data(flags=UP | ED))
    yield assertion("extensions_not_announced", bad, data=auth_data(rest=cbor.encode({"credProtect": 2})))
    yield assertion("extensions_that_are_no_map", bad, data=auth_data(flags=UP | ED, rest=cbor.encode([1])))
    yield assertion("extensions_with_a_key_twice", cut,
                    data=auth_data(flags=UP | ED, rest=bytes.fromhex("a2616101616102")))
    yield assertion("extensions_truncated", cut, data=auth_data(flags=UP | ED, rest=cbor.encode({"a": b"1234"})[:-1]))


# ---- registrations

ROOT, MIDDLE, LEAF = p256(0x1001), p256(0x1002), p256(0x1003)
MADE = client_data_hash("webauthn.create")


def name(common, unit="Authenticator Attestation", country="CH", organisation="Nobody in particular"):
    parts = [(NameOID.COUNTRY_NAME, country), (NameOID.ORGANIZATION_NAME, organisation),
             (NameOID.ORGANIZATIONAL_UNIT_NAME, unit), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts if text is not None])


def certificate(subject, key, issuer, issuer_key, *, ca, aaguid=None, critical=False, serial=1):
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime.datetime(2026, 1, 1)).not_valid_after(datetime.datetime(2056, 1, 1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if aaguid is not None:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x04\x10" + aaguid), critical=critical)
    made = builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER)


ROOT_NAME, MIDDLE_NAME, LEAF_NAME = name("root", "CA"), name("middle", "CA"), name("leaf")
ROOT_DER = certificate(ROOT_NAME, ROOT, ROOT_NAME, ROOT, ca=True)
MIDDLE_DER = certificate(MIDDLE_NAME, MIDDLE, ROOT_NAME, ROOT, ca=True)
LEAF_DER = certificate(LEAF_NAME, LEAF, ROOT_NAME, ROOT, ca=False, aaguid=AAGUID)


def leaf(**change):
    given = dict(subject=LEAF_NAME, key=LEAF, issuer=ROOT_NAME, issuer_key=ROOT, ca=False, aaguid=AAGUID)
    given.update(change)
    return certificate(**given)


def made_data(*, key=None, rp=RP, flags=UP, count=0, aaguid=AAGUID, cred=CRED, cose_bytes=None, extensions=b""):
    point = cbor.encode(dict(cose(key or KEY))) if cose_bytes is None else cose_bytes
    credential = aaguid + struct.pack(">H", len(cred)) + cred + point
    flags |= AT | (ED if extensions else 0)
    return auth_data(rp, flags, count, credential + extensions)


def registration(name_, expect, *, data=None, fmt="none", statement=None, policy="touch", offered=("es256", "eddsa"),
                 demand="nothing", models=None, protection=None, anchors=(ROOT_DER,), digest=MADE):
    data = made_data() if data is None else data
    statement = {} if statement is None else statement
    if expect in ("ByItself", "ByCertificate", "ByAnchor"):
        kind = PackedAttestation() if fmt == "packed" else FidoU2FAttestation()
        kind.verify(statement, AuthenticatorData(data), digest)
    return {
        "name": name_, "expect": expect, "policy": policy, "offered": list(offered), "demand": demand,
        "models": None if models is None else [model.hex() for model in models], "protection": protection,
        "anchors": [anchor.hex() for anchor in anchors],
        "answer": cbor.encode({1: fmt, 2: data, 3: statement}).hex(),
    }


def packed(name_, expect, *, signer=LEAF, alg=-7, chain=(LEAF_DER,), digest=MADE, demand="anchored", more=None,
           signature=None, **rest):
    data = rest.pop("data", None)
    data = made_data() if data is None else data
    statement = {"alg": alg, "sig": sign(signer, data + digest) if signature is None else signature}
    if chain is not None:
        statement["x5c"] = list(chain)
    statement.update(more or {})
    return registration(name_, expect, data=data, fmt="packed", statement=statement, demand=demand, digest=digest, **rest)


def u2f(name_, expect, *, signer=LEAF, chain=(LEAF_DER,), aaguid=bytes(16), digest=MADE, rp=RP, reserved=b"\0", key=KEY,
        demand="anchored", **rest):
    data = made_data(aaguid=aaguid, key=key)
    cose_key = cose(key)
    point = b"\x04" + cose_key[-2] + cose_key.get(-3, b"")
    message = reserved + sha256(rp.encode()).digest() + digest + CRED + point
    statement = {"x5c": list(chain), "sig": sign(signer, message)}
    return registration(name_, expect, data=data, fmt="fido-u2f", statement=statement, demand=demand, digest=digest, **rest)


def registrations():
    protect = lambda level: cbor.encode({"credProtect": level})
    yield registration("right_without_attestation", "Unchecked")
    yield registration("right_eddsa", "Unchecked", data=made_data(key=EDKEY))
    yield registration("right_with_the_user_verified", "Unchecked", data=made_data(flags=UP | UV), policy="verified")
    yield registration("right_protection", "Unchecked", data=made_data(extensions=protect(3)), protection=3)
    yield registration("right_model", "Unchecked", models=[OTHER_AAGUID, AAGUID])
    yield registration("right_format_that_nobody_looks_at", "Unchecked", fmt="tpm", statement={"ver": "2.0"})
    yield packed("right_packed_by_itself", "ByItself", signer=KEY, chain=None, demand="statement")
    yield packed("right_packed_by_itself_eddsa", "ByItself", signer=EDKEY, alg=-8, chain=None, demand="statement",
                 data=made_data(key=EDKEY))
    yield packed("right_packed_by_a_certificate", "ByCertificate", demand="statement", anchors=[])
    yield packed("right_packed_by_an_anchor", "ByAnchor")
    yield packed("right_packed_by_the_leaf_itself", "ByAnchor", anchors=[LEAF_DER])
    under = leaf(issuer=MIDDLE_NAME, issuer_key=MIDDLE)
    yield packed("right_packed_by_a_chain", "ByAnchor", chain=[under, MIDDLE_DER])
    yield packed("right_packed_without_a_model_in_it", "ByAnchor", chain=[leaf(aaguid=None)])
    yield u2f("right_fido_u2f", "ByAnchor")

    yield registration("challenge_is_of_no_matter_without_attestation", "Unchecked", digest=b"")
    yield packed("challenge_of_another_enrolment", 'Attestation("its signature is wrong")',
                 digest=client_data_hash("webauthn.create", OTHER_CHALLENGE))
    yield packed("challenge_of_a_login", 'Attestation("its signature is wrong")', digest=HASH)
    yield registration("rp_id_of_another", "RpId", data=made_data(rp=OTHER_RP))
    yield registration("user_not_present", "NotPresent", data=made_data(flags=0))
    yield registration("user_not_verified", "NotVerified", policy="verified")
    yield registration("credential_absent", "NoCredential", data=auth_data())
    data, cut = 'Malformed("authenticator data")', 'Malformed("canonical CBOR")'
    kind = 'Malformed("public key of a kind that is accepted here (ES256 or EdDSA)")'
    yield registration("credential_id_empty", data, data=made_data(cred=b""))
    yield registration("credential_id_oversized", data, data=made_data(cred=bytes(1024)))
    yield registration("data_truncated", cut, data=made_data()[:-1])
    yield registration("data_with_a_trailing_byte", data, data=made_data() + b"\0")
    yield registration("algorithm_not_offered", "Algorithm", data=made_data(key=EDKEY), offered=["es256"])
    good = dict(cose(KEY))
    rs256 = {1: 3, 3: -257, -1: bytes(256), -2: b"\x01\0\x01"}
    key = lambda change: made_data(cose_bytes=cbor.encode({**good, **change}))
    yield registration("key_of_rsa", 'Malformed("public key")', data=made_data(cose_bytes=cbor.encode(rs256)))
    yield registration("key_not_on_the_curve", kind, data=key({-3: bytes(32)}))
    yield registration("key_on_another_curve", kind, data=key({-1: 2}))
    yield registration("key_with_another_algorithm", kind, data=key({3: -8}))
    yield registration("key_with_a_short_coordinate", kind, data=key({-2: good[-2][1:]}))
    yield registration("key_with_one_more_parameter", kind, data=key({4: 1}))
    yield registration("key_that_anybody_signs_for", kind,
                       data=made_data(cose_bytes=cbor.encode({1: 1, 3: -8, -1: 6, -2: b"\x01" + bytes(31)})))
    yield registration("protection_too_weak", "Protection", data=made_data(extensions=protect(1)), protection=3)
    yield registration("protection_absent", "Protection", protection=2)
    yield registration("protection_unknown", 'Malformed("credProtect")', data=made_data(extensions=protect(9)), protection=2)
    yield registration("model_not_allowed", "Model", models=[OTHER_AAGUID])
    yield registration("models_none_allowed", "Model", models=[])
    yield registration("attestation_absent", "NotAttested", demand="statement")
    yield registration("attestation_of_another_format", "AttestationFormat", fmt="tpm", statement={"ver": "2.0"},
                       demand="statement")
    wrong = lambda what: f'Attestation("{what}")'
    bad_packed = 'Malformed("packed attestation")'
    yield packed("packed_by_itself_where_an_anchor_is_wanted", "Untrusted", signer=KEY, chain=None)
    yield packed("packed_by_another_key", wrong("its signature is wrong"), signer=FOREIGN)
    yield packed("packed_by_itself_by_another_key", wrong("its signature is wrong"), signer=FOREIGN, chain=None)
    yield packed("packed_by_itself_with_another_algorithm", wrong("its algorithm is not the credential's"), signer=KEY,
                 alg=-8, chain=None)
    yield packed("packed_with_another_algorithm", wrong("its certificate has another algorithm"), alg=-8)
    yield packed("packed_with_an_unknown_algorithm", wrong("its algorithm is not known here"), alg=-257)
    yield packed("packed_with_an_empty_chain", bad_packed, chain=[])
    yield packed("packed_with_a_long_chain", bad_packed, chain=[LEAF_DER] * 5)
    yield packed("packed_with_one_more_field", bad_packed, more={"ecdaaKeyId": b"1"})
    yield packed("packed_with_an_empty_signature", wrong("its signature is wrong"), signature=b"")
    yield packed("certificate_for_another_model", wrong("its certificate is for another model"),
                 chain=[leaf(aaguid=OTHER_AAGUID)])
    yield packed("certificate_with_a_critical_model", wrong("its certificate marks the model as critical"),
                 chain=[leaf(critical=True)])
    yield packed("certificate_of_an_authority", wrong("its certificate is that of an authority"), chain=[leaf(ca=True)])
    yield packed("certificate_for_something_else", wrong("its certificate is not one for attestations"),
                 chain=[leaf(subject=name("leaf", "Web Server"))])
    yield packed("certificate_without_a_country", wrong("its certificate does not say who made the key"),
                 chain=[leaf(subject=name("leaf", country=None))])
    yield packed("certificate_without_a_maker", wrong("its certificate does not say who made the key"),
                 chain=[leaf(subject=name("leaf", organisation=None))])
    yield packed("certificate_with_a_trailing_byte", 'Malformed("certificate")', chain=[LEAF_DER + b"\0"])
    yield packed("certificate_truncated", 'Malformed("certificate")', chain=[LEAF_DER[:-1]])
    yield packed("certificate_oversized", 'Malformed("certificate")', chain=[bytes(5000)])
    yield packed("anchor_unknown", "Untrusted", anchors=[MIDDLE_DER])
    yield packed("anchors_none", "Untrusted", anchors=[])
    namesake = certificate(ROOT_NAME, FOREIGN, ROOT_NAME, FOREIGN, ca=True)
    yield packed("anchor_of_the_same_name", "Untrusted", anchors=[namesake])
    no_authority = certificate(ROOT_NAME, ROOT, ROOT_NAME, ROOT, ca=False)
    yield packed("anchor_that_is_no_authority", "Untrusted", anchors=[no_authority])
    middle = certificate(MIDDLE_NAME, MIDDLE, ROOT_NAME, ROOT, ca=False)
    yield packed("chain_over_what_is_no_authority", "Untrusted", chain=[under, middle])
    yield packed("chain_with_a_gap", "Untrusted", chain=[under, ROOT_DER])
    yield packed("chain_with_a_stranger_behind", "Untrusted", chain=[leaf(issuer_key=FOREIGN), MIDDLE_DER])
    yield u2f("fido_u2f_by_another_key", wrong("its signature is wrong"), signer=FOREIGN)
    yield u2f("fido_u2f_of_another_rp_id", wrong("its signature is wrong"), rp=OTHER_RP)
    yield u2f("fido_u2f_of_another_challenge", wrong("its signature is wrong"), digest=HASH)
    yield u2f("fido_u2f_with_a_reserved_byte", wrong("its signature is wrong"), reserved=b"\5")
    yield u2f("fido_u2f_with_a_model", wrong("keys of U2F tell no model"), aaguid=AAGUID)
    yield u2f("fido_u2f_with_two_certificates", 'Malformed("fido-u2f attestation")', chain=[LEAF_DER, ROOT_DER])
    yield u2f("fido_u2f_eddsa", "Algorithm", key=EDKEY)
    yield u2f("fido_u2f_untrusted", "Untrusted", anchors=[MIDDLE_DER])


# ---- PIN protocols

def pin_vector(protocol):
    ours, theirs = p256(0x0123456789ABCDEF), p256(0xFEDCBA9876543210)
    initial, pin = bytes(range(0x40, 0x50)), "1234 Größe"
    token = bytes(range(0x80, 0xA0))
    peer = {**dict(cose(theirs)), 3: -25}
    with mock.patch.object(ec, "generate_private_key", lambda *_: ours), mock.patch("os.urandom", lambda n: initial[:n]):
        public, shared = protocol.encapsulate(peer)
        sealed_pin = protocol.encrypt(shared, sha256(pin.encode()).digest()[:16])
        sealed_token = protocol.encrypt(shared, token)
    return {
        "protocol": protocol.VERSION, "secret": ours.private_numbers().private_value.to_bytes(32, "big").hex(),
        "initial": initial.hex(), "peer": cbor.encode(peer).hex(), "public": cbor.encode(public).hex(), "pin": pin,
        "sealed_pin": sealed_pin.hex(), "token": token.hex(), "sealed_token": sealed_token.hex(), "hash": MADE.hex(),
        "by_token": protocol.authenticate(token, MADE).hex(), "by_shared": protocol.authenticate(shared, MADE).hex(),
    }


# ---- requests

class Recorder(CtapDevice):
    """Keeps what it is sent, and says that it is a key of everything."""

    capabilities = 0x04

    def __init__(self):
        self.sent = []

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        self.sent.append(data)
        if cmd == 3:
            return b"\x90\x00"
        return b"\0" + (cbor.encode({1: ["FIDO_2_1"], 3: bytes(16)}) if data == b"\x04" else b"")

    @classmethod
    def list_devices(cls):
        return []


def requests():
    device = Recorder()
    ctap1, ctap2 = Ctap1(device), Ctap2(device, strict_cbor=False)
    rp, user = {"id": RP}, {"id": OWNER, "name": "ferris"}
    offered = [{"alg": -7, "type": "public-key"}, {"alg": -8, "type": "public-key"}]
    listed = [{"id": CRED, "type": "public-key"}, {"id": OTHER_CRED, "type": "public-key"}]
    public = {1: 2, 3: -25, -1: 1, -2: bytes(32), -3: bytes(range(32))}
    calls = {
        "get_info": lambda: ctap2.get_info(),
        "make_credential": lambda: ctap2.make_credential(MADE, rp, user, offered),
        "make_credential_with_everything": lambda: ctap2.make_credential(
            MADE, rp, user, offered, listed, {"credProtect": 3}, {"rk": True}, bytes(range(32)), 2),
        "make_credential_built_in": lambda: ctap2.make_credential(MADE, rp, user, offered, options={"uv": True}),
        "get_assertion": lambda: ctap2.get_assertion(RP, HASH),
        "get_assertion_silent": lambda: ctap2.get_assertion(RP, HASH, listed, options={"up": False}),
        "get_assertion_proven": lambda: ctap2.get_assertion(RP, HASH, listed[:1], None, None, bytes(range(16)), 1),
        "get_next_assertion": lambda: ctap2.get_next_assertion(),
        "pin_retries": lambda: ctap2.client_pin(None, 1),
        "key_agreement": lambda: ctap2.client_pin(2, 2),
        "pin_token": lambda: ctap2.client_pin(1, 5, key_agreement=public, pin_hash_enc=bytes(16)),
        "pin_token_with_permissions": lambda: ctap2.client_pin(
            2, 9, key_agreement=public, pin_hash_enc=bytes(32), permissions=2, permissions_rpid=RP),
        "verification_token": lambda: ctap2.client_pin(2, 6, key_agreement=public, permissions=1, permissions_rpid=RP),
        "verification_retries": lambda: ctap2.client_pin(None, 7),
        "selection": lambda: ctap2.selection(),
        "u2f_version": lambda: ctap1.get_version(),
        "u2f_register": lambda: ctap1.register(MADE, sha256(RP.encode()).digest()),
        "u2f_authenticate": lambda: ctap1.authenticate(HASH, sha256(RP.encode()).digest(), CRED),
        "u2f_check_only": lambda: ctap1.authenticate(bytes(32), sha256(RP.encode()).digest(), CRED, check_only=True),
    }
    for called, call in calls.items():
        device.sent.clear()
        try:
            call()
        except Exception:
            pass  # An empty answer is none; what was sent counts.
        yield {"name": called, "request": device.sent[-1].hex()}


# ---- stories: scripts for the replay

PUBLIC = "01020304"


def sent(call):
    device = Recorder()
    ctap = Ctap2(device, strict_cbor=False)
    try:
        call(ctap, Ctap1(device))
    except Exception:
        pass
    return device.sent[-1].hex()


def opening(capabilities):
    return ["# A channel, asked for with a nonce.", ">> ffffffff 06 0001020304050607",
            f"<< ffffffff 06 0001020304050607 {PUBLIC} 02 050701 {capabilities}"]


def ctap2_step(say, call, answer, meanwhile=()):
    answer = answer if isinstance(answer, str) else "00" + cbor.encode(answer).hex()
    return [f"# {say}", f">> {PUBLIC} 10 {sent(call)}", *(f"<< {PUBLIC} 3b {status}" for status in meanwhile),
            f"<< {PUBLIC} 10 {answer}"]


def u2f_step(say, call, *answers):
    lines = [f"# {say}"]
    for answer in answers:
        lines += [f">> {PUBLIC} 03 {sent(call)}", f"<< {PUBLIC} 03 {answer}"]
        if answer == "6985" and len(answers) > 1:
            lines.append("pause")
    return lines


def info(versions, options, **more):
    return {1: versions, 2: ["credProtect"], 3: AAGUID, 4: options, **more}


def story_enrolment_by_pin(vector, number):
    data = made_data(flags=UP | UV, extensions=cbor.encode({"credProtect": 2}))
    statement = {"alg": -7, "sig": sign(LEAF, data + MADE), "x5c": [LEAF_DER]}
    tell = info(["FIDO_2_1"], {"clientPin": True, "pinUvAuthToken": True, "rk": True})
    tell[6] = [number]
    public, offered = cbor.decode(bytes.fromhex(vector["public"])), [
        {"alg": -7, "type": "public-key"}, {"alg": -8, "type": "public-key"}]
    sealed, proof = bytes.fromhex(vector["sealed_pin"]), bytes.fromhex(vector["by_token"])
    return opening("05") + ctap2_step("What it is.", lambda two, one: two.get_info(), tell) + ctap2_step(
        "How many tries are left.", lambda two, one: two.client_pin(None, 1), {3: 8}) + ctap2_step(
        "A key to agree on.", lambda two, one: two.client_pin(number, 2),
        {1: cbor.decode(bytes.fromhex(vector["peer"]))}) + ctap2_step(
        "The PIN, sealed, for a token that may make a credential.",
        lambda two, one: two.client_pin(number, 9, key_agreement=public, pin_hash_enc=sealed, permissions=1,
                                        permissions_rpid=RP),
        {2: bytes.fromhex(vector["sealed_token"])}) + ctap2_step(
        "A resident credential, while the key computes, waits for a touch, and computes.",
        lambda two, one: two.make_credential(MADE, {"id": RP}, {"id": OWNER, "name": "ferris"}, offered, None,
                                             {"credProtect": 2}, {"rk": True}, proof, number),
        {1: "packed", 2: data, 3: statement}, ["01", "02", "02", "01"])


def story_login_with_ctap2():
    listed = lambda *ids: [{"id": cred, "type": "public-key"} for cred in ids]
    # A key whose lists have one credential at most.
    zero = bytes(32)
    data = auth_data(flags=0)
    return opening("05") + ctap2_step(
        "What it is.", lambda two, one: two.get_info(), info(["U2F_V2", "FIDO_2_0"], {"rk": True, "clientPin": False})
    ) + ctap2_step(
        "The first credential is not there.",
        lambda two, one: two.get_assertion(RP, zero, listed(OTHER_CRED), options={"up": False}), "2e") + ctap2_step(
        "The second one is.", lambda two, one: two.get_assertion(RP, zero, listed(CRED), options={"up": False}),
        {1: listed(CRED)[0], 2: data, 3: sign(KEY, data + zero)}) + ctap2_step(
        "The challenge, with a touch.", lambda two, one: two.get_assertion(RP, HASH, listed(CRED)),
        {1: listed(CRED)[0], 2: auth_data(), 3: sign(KEY, auth_data() + HASH)}, ["02"])


def story_login_by_a_finger(vector, protocol):
    number, zero, listed = protocol.VERSION, bytes(32), [{"id": CRED, "type": "public-key"}]
    tell = info(["FIDO_2_1"], {"uv": True, "clientPin": True, "pinUvAuthToken": True, "rk": True})
    tell[6] = [number]
    public, token = cbor.decode(bytes.fromhex(vector["public"])), bytes.fromhex(vector["token"])
    proof = lambda digest: protocol.authenticate(token, digest)
    silent, data = auth_data(flags=0), auth_data(flags=UP | UV)
    return opening("05") + ctap2_step("What it is.", lambda two, one: two.get_info(), tell) + ctap2_step(
        "How often it still looks.", lambda two, one: two.client_pin(None, 7), {5: 3}) + ctap2_step(
        "A key to agree on.", lambda two, one: two.client_pin(number, 2),
        {1: cbor.decode(bytes.fromhex(vector["peer"]))}) + ctap2_step(
        "A token that may sign, while the key waits for a finger.",
        lambda two, one: two.client_pin(number, 6, key_agreement=public, permissions=2, permissions_rpid=RP),
        {2: bytes.fromhex(vector["sealed_token"])}, ["02"]) + ctap2_step(
        "The credential is there.",
        lambda two, one: two.get_assertion(RP, zero, listed, None, {"up": False}, proof(zero), number),
        {1: listed[0], 2: silent, 3: sign(KEY, silent + zero)}) + ctap2_step(
        "The challenge. The finger was the touch.",
        lambda two, one: two.get_assertion(RP, HASH, listed, None, None, proof(HASH), number),
        {1: listed[0], 2: data, 3: sign(KEY, data + HASH)})


def story_login_by_a_finger_in_step():
    zero, listed = bytes(32), [{"id": CRED, "type": "public-key"}]
    silent, data = auth_data(flags=0), auth_data(flags=UP | UV)
    return opening("05") + ctap2_step(
        "What it is.", lambda two, one: two.get_info(), info(["FIDO_2_0"], {"uv": True, "rk": True})) + ctap2_step(
        "The credential is there.",
        lambda two, one: two.get_assertion(RP, zero, listed, options={"up": False}),
        {1: listed[0], 2: silent, 3: sign(KEY, silent + zero)}) + ctap2_step(
        "The challenge, with a finger.",
        lambda two, one: two.get_assertion(RP, HASH, listed, options={"uv": True}),
        {1: listed[0], 2: data, 3: sign(KEY, data + HASH)}, ["02"])


def story_login_with_u2f():
    application = sha256(RP.encode()).digest()
    answer = bytes([1]) + struct.pack(">I", 8) + sign(KEY, auth_data() + HASH)
    return opening("00") + [
        "# The version.", f">> {PUBLIC} 03 00030000000000", f"<< {PUBLIC} 03 5532465f56329000"] + u2f_step(
        "Another's credential is not known.",
        lambda two, one: one.authenticate(bytes(32), application, OTHER_CRED, check_only=True), "6a80") + u2f_step(
        "This one is.", lambda two, one: one.authenticate(bytes(32), application, CRED, check_only=True), "6985"
    ) + u2f_step(
        "The challenge, until somebody touches it.", lambda two, one: one.authenticate(HASH, application, CRED),
        "6985", "6985", answer.hex() + "9000")


def story_enrolment_with_u2f():
    application = sha256(RP.encode()).digest()
    key = cose(KEY)
    point = b"\x04" + key[-2] + key[-3]
    signature = sign(LEAF, b"\0" + application + MADE + CRED + point)
    answer = b"\x05" + point + bytes([len(CRED)]) + CRED + LEAF_DER + signature
    return opening("00") + [
        "# The version.", f">> {PUBLIC} 03 00030000000000", f"<< {PUBLIC} 03 5532465f56329000"] + u2f_step(
        "A credential, until somebody touches it.", lambda two, one: one.register(MADE, application),
        "6985", answer.hex() + "9000")


def story(file, lines):
    (HERE / "stories").mkdir(exist_ok=True)
    (HERE / "stories" / file).write_text("\n".join(lines) + "\n")


def write(file, content):
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in content)
    (HERE / file).write_text(f"[\n{lines}\n]\n")


write("assertions.json", assertions())
write("registrations.json", registrations())
PINS = [pin_vector(PinProtocolV1()), pin_vector(PinProtocolV2())]
write("pin_protocols.json", PINS)
story("enrolment_by_pin_protocol_1", story_enrolment_by_pin(PINS[0], 1))
story("enrolment_by_pin_protocol_2", story_enrolment_by_pin(PINS[1], 2))
story("login_with_ctap2", story_login_with_ctap2())
story("login_by_a_finger", story_login_by_a_finger(PINS[1], PinProtocolV2()))
story("login_by_a_finger_in_step", story_login_by_a_finger_in_step())
story("login_with_u2f", story_login_with_u2f())
story("enrolment_with_u2f", story_enrolment_with_u2f())
write("requests.json", requests())
