# Keys, and signed requests of the validation protocol with their passwords, made by Debian's libyubikey.
#
# Usage: yubico.py keys COUNT           a file as the personalisation tools write it
#        yubico.py requests COUNT FIRST NUMBER ID KEY
#                                       NUMBER paths with queries, from the FIRST password on, keys in turns
import base64, ctypes, ctypes.util, hashlib, hmac, struct, sys, urllib.parse

MODHEX = "cbdefghijklnrtuv"
# Neighbours in time are far apart in the store; no common divisor with any number of keys here.
STEP = 377


def key(n):
    return hashlib.sha256(b"bench key %d" % n).digest()[:16]


def private_id(n):
    return hashlib.sha256(b"bench id %d" % n).digest()[:6]


def public_id(n):
    return "".join(MODHEX[b >> 4] + MODHEX[b & 15] for b in b"\xff" + n.to_bytes(5, "big"))


def keys(count):
    for n in range(count):
        print(f"{n},{public_id(n)},{private_id(n).hex()},{key(n).hex()},,,")


def requests(count, first, number, client, secret):
    library = ctypes.CDLL("libyubikey.so.0")
    library.yubikey_crc16.restype = ctypes.c_uint16
    secret, out = base64.b64decode(secret), ctypes.create_string_buffer(33)
    for request in range(first, first + number):
        n, use = request * STEP % count, request // count
        plain = private_id(n) + struct.pack("<HHBBH", 1 + use // 256, use & 0xFFFF, 0, use % 256, request & 0xFFFF)
        plain += struct.pack("<H", ~library.yubikey_crc16(plain, 14) & 0xFFFF)
        library.yubikey_generate(plain, key(n), out)
        nonce = hashlib.md5(b"%d" % request).hexdigest()
        query = f"id={client}&nonce={nonce}&otp={public_id(n)}{out.value.decode()}"
        signature = base64.b64encode(hmac.digest(secret, query.encode(), "sha1")).decode()
        print(f"/wsapi/2.0/verify?{query}&h={urllib.parse.quote(signature, safe='')}")


match sys.argv[1:]:
    case ["keys", count]:
        keys(int(count))
    case ["requests", count, first, number, client, secret]:
        requests(int(count), int(first), int(number), client, secret)
    case _:
        sys.exit("yubico.py: see its head for what it takes")
