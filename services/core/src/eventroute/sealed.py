"""Sealing: what the route table looks like in Redis, so that Redis and its backups hold no readable secret.

AES-256-GCM with a random nonce. The context (plane and route) is authenticated too: an entry that was moved to another
route or plane does not open.
"""

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventroute.errors import Refused
from eventroute.secret import Secret

KEY_BYTES = 32
_NONCE_BYTES = 12  # the size that GCM is defined for; random nonces are safe far beyond any number of route changes


class SealKey:
    """The key of one plane; does not print."""

    def __init__(self, raw: bytes) -> None:
        """Take 32 random bytes."""
        if len(raw) != KEY_BYTES:
            raise Refused(f"table key: {len(raw)} bytes, expected {KEY_BYTES}")
        self._raw = raw
        self._cipher = AESGCM(raw)

    @classmethod
    def from_text(cls, text: str) -> "SealKey":
        """Read a key as settings hold it: base64 of 32 bytes."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except ValueError as error:  # base64's own, or that it is not even ASCII
            raise Refused("table key: not base64; make one with `openssl rand -base64 32`") from error

    def seal(self, data: bytes, *, context: str) -> bytes:
        """Encrypt and authenticate `data` for exactly this context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt; raises `Refused` when key, context or content differ."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as error:
            raise Refused(f"{context}: does not open with this table key") from error

    def derive(self, purpose: str) -> Secret:
        """Make another key of this one, by which nobody can tell this one or that of another purpose."""
        return Secret(hmac.digest(self._raw, f"derive\0{purpose}".encode(), hashlib.sha256))


def new_key_text() -> str:
    """Make a key in the form that `SealKey.from_text` reads."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
