"""A security key on USB/IP, as a YubiKey looks to a host: its OTP interface is here, its FIDO interface is
the firmware that runs as a child and speaks packets of 64 bytes. SIGUSR1 takes the power away; the next host
that attaches gives it back."""

import argparse
import hashlib
import hmac
import os
import signal
import struct
import subprocess
import sys
import threading
import time

from usbip import USBIP, USBDevice
from usbip.classes.device import hid

SERIAL, SLOT_1, SLOT_2 = 0x10, 0x30, 0x38
WRITE, PENDING, TOUCH = 0x80, 0x40, 0x20
RESET = 0x8F
TOUCH_SECONDS = 15


def crc16(data):
    """ISO 13239, which the YubiKey uses."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc


class Otp:
    """Serial number and challenge-response. Slot 1 wants a touch, slot 2 does not."""

    def __init__(self, serial, slots, touch):
        self.serial, self.slots, self.touch = serial, slots, touch
        self.reset()

    def reset(self):
        self.request = bytearray(70)
        self.reply = []
        self.awaited = None

    def write(self, _type, _number, part):
        """A feature report of the host: 7 bytes, and which part they are."""
        *data, mark = part[-8:]
        if mark == RESET:
            self.reset()
        elif mark & WRITE and mark & 0x1F < 10:
            at = (mark & 0x1F) * 7
            self.request[at : at + 7] = bytes(data)
            if mark & 0x1F == 9:
                self.take(bytes(self.request))
                self.request = bytearray(70)

    def take(self, request):
        payload, slot, (crc,) = request[:64], request[64], struct.unpack("<H", request[65:67])
        self.reply, self.awaited = [], None
        if crc != crc16(payload):
            return
        if slot == SERIAL:
            self.answer(struct.pack(">I", self.serial))
        elif slot in self.slots:
            # HMAC_LT64: what repeats the last byte is no part of the challenge.
            digest = hmac.new(self.slots[slot], payload.rstrip(payload[63:]), hashlib.sha1).digest()
            if slot == SLOT_1:
                self.awaited = digest, time.monotonic() + TOUCH_SECONDS
            else:
                self.answer(digest)

    def answer(self, data):
        data += struct.pack("<H", crc16(data) ^ 0xFFFF)
        parts = [data[at : at + 7].ljust(7, b"\0") for at in range(0, len(data), 7)]
        self.reply = [part + bytes([PENDING | number]) for number, part in enumerate(parts)]
        self.reply.append(bytes(7) + bytes([PENDING]))

    def read(self, _type, _number, _length):
        """A feature report for the host."""
        if self.awaited:
            digest, until = self.awaited
            if os.path.exists(self.touch):
                self.awaited = None
                self.answer(digest)
            elif time.monotonic() < until:
                return bytes(7) + bytes([TOUCH | min(int(until - time.monotonic()), 0x1F)])
            else:
                self.reset()
        if self.reply:
            return self.reply.pop(0)
        # Version 5.4.3, one change of its setup, both slots in use, the first one with a touch.
        return bytes([0, 5, 4, 3, 1, 0x07, 0, 0])


class Firmware:
    """The child behind the FIDO interface."""

    def __init__(self, command):
        self.command, self.child, self.lock = command, None, threading.Lock()
        self.interface = None

    def power(self, *_):
        with self.lock:
            if self.child is None:
                self.child = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
                )
                threading.Thread(target=self.pump, args=(self.child,), daemon=True).start()

    def cut(self, *_):
        with self.lock:
            child, self.child = self.child, None
        if child:
            child.kill()
            child.wait()

    def pump(self, child):
        while True:
            packet = b""
            while len(packet) < 64:
                part = child.stdout.read(64 - len(packet))
                if not part:
                    return
                packet += part
            self.interface.send_report(packet)

    def output(self, packet):
        with self.lock:
            if self.child:
                self.child.stdin.write(packet[:64].ljust(64, b"\0"))


class Fido(hid.HID):
    """The FIDO interface (CTAP 2.1 section 11.2.8.1)."""

    report_descriptor = b"".join(
        [hid.usage_page(0xF1D0), hid.usage(0x01), hid.collection(0x01)]
        + [hid.logical_min(0), hid.logical_max(255), hid.report_size(8), hid.report_count(64)]
        + [hid.usage(0x20), hid.input_(0x02), hid.usage(0x21), hid.output(0x02), hid.end_collection()]
    )

    def __init__(self, firmware):
        super().__init__(in_ep=0x82, in_interval=2, out_ep=0x02, out_interval=2, on_output=firmware.output)
        self.on_reset = firmware.power


def otp_interface(otp):
    """A keyboard that types nothing, with a feature report of 8 bytes."""
    feature = [hid.usage(0x03), hid.report_size(8), hid.report_count(8), hid.feature(0x02)]
    descriptor = hid.keyboard_report_descriptor().removesuffix(hid.end_collection())
    descriptor += b"".join(feature) + hid.end_collection()
    return hid.HID(
        descriptor,
        subclass=hid.SUBCLASS_BOOT,
        protocol=hid.PROTOCOL_KEYBOARD,
        in_ep=0x81,
        get_report=otp.read,
        set_report=otp.write,
    )


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--serial", type=int, required=True)
    arguments.add_argument("--secret", type=bytes.fromhex, required=True, help="of both slots")
    arguments.add_argument("--touch", required=True, help="a file: the finger, while it is there")
    arguments.add_argument("firmware", nargs="+", help="the program behind the FIDO interface")
    given = arguments.parse_args()

    otp = Otp(given.serial, {SLOT_1: given.secret, SLOT_2: given.secret}, given.touch)
    firmware = Firmware(given.firmware)
    # The numbers and names by which hosts know a YubiKey with these two interfaces.
    device = USBDevice(0x1050, 0x0403, manufacturer="Yubico", product="YubiKey OTP+FIDO", bcdDevice=0x0543)
    device.add(otp_interface(otp))
    firmware.interface = device.add(Fido(firmware))
    signal.signal(signal.SIGUSR1, firmware.cut)
    signal.signal(signal.SIGTERM, lambda *_: (firmware.cut(), sys.exit()))
    with device.plug(via=USBIP("127.0.0.1", given.port)):
        print("ready", flush=True)
        while True:
            signal.pause()


main()
