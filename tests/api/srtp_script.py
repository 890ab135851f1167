# SPDX-License-Identifier: Apache-2.0
"""SRTP of AES_CM_128_HMAC_SHA1_80 as RFC 3711 has it, written apart from what is tested; AES is openssl's."""

import base64
import hashlib
import hmac
import secrets
import subprocess


def stream(key, counter, size):
    """So many bytes of AES in counter mode (4.1.1)."""
    return subprocess.run(["openssl", "enc", "-aes-128-ctr", "-K", key.hex(), "-iv", f"{counter:032x}"],
                          input=bytes(size), capture_output=True, check=True).stdout


class Sealer:
    """mki: None, or what each packet says of its key, a number of four bytes."""

    def __init__(self, mki=None):
        self.master, self.salt, self.mki = secrets.token_bytes(16), secrets.token_bytes(14), mki
        self.key, self.tag_key, self.session_salt = (self.derive(label, size) for label, size in
                                                     ((0, 16), (1, 20), (2, 14)))
        self.rolled_over, self.before = 0, None

    def derive(self, label, size):
        """4.3.1, with a rate of zero."""
        return stream(self.master, (int.from_bytes(self.salt, "big") ^ label << 48) << 16, size)

    def crypto(self):
        """Its line of a=crypto (RFC 4568)."""
        tail = "" if self.mki is None else f"|2^31|{self.mki}:4"
        return "1 AES_CM_128_HMAC_SHA1_80 inline:" + base64.b64encode(self.master + self.salt).decode() + tail

    def __call__(self, packet):
        sequence, sender = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
        self.rolled_over += self.before is not None and sequence < self.before
        self.before = sequence
        counter = (int.from_bytes(self.session_salt, "big") << 16) ^ sender << 64 ^ (
            self.rolled_over << 16 | sequence) << 16
        hidden = bytes(a ^ b for a, b in zip(packet[12:], stream(self.key, counter, len(packet) - 12)))
        sealed = packet[:12] + hidden
        tag = hmac.digest(self.tag_key, sealed + self.rolled_over.to_bytes(4, "big"), hashlib.sha1)[:10]
        return sealed + (b"" if self.mki is None else self.mki.to_bytes(4, "big")) + tag
