"""Sealing: what the route table looks like in Redis, so that Redis and its backups hold no readable secret.

AES-256-GCM with a random nonce. The context (plane and route) is authenticated too: an entry that was moved to another
route or plane does not open.

While a key is being replaced there are two: the current one, which seals, and the previous one, which still opens.
"""

import base64
import contextlib
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eventroute.errors import Refused
from eventroute.secret import Secret

KEY_BYTES = 32
_KEYS = 2  # the current and the previous one
_NONCE_BYTES = 12  # the size that GCM is defined for; random nonces are safe far beyond any number of route changes


class SealKey:
    """The key of one plane, with the one that it replaces; does not print."""

    def __init__(self, raw: bytes, previous: bytes | None = None) -> None:
        """Take 32 random bytes, and as many of the key before, where entries may still be sealed with it."""
        both = [raw] if previous is None else [raw, previous]
        for each in both:
            if len(each) != KEY_BYTES:
                raise Refused(f"table key: {len(each)} bytes, expected {KEY_BYTES}")
        self._raw = raw
        self._ciphers = [AESGCM(each) for each in both]

    @classmethod
    def from_text(cls, text: str) -> "SealKey":
        """Read a key as settings hold it: base64 of 32 bytes, and after a space that of the previous one."""
        keys = text.split()
        if not 1 <= len(keys) <= _KEYS:
            raise Refused(
                f"table key: {len(keys)} keys, expected the current one, and at most the previous one after it"
            )
        try:
            return cls(*(base64.b64decode(key, validate=True) for key in keys))
        except ValueError as error:  # base64's own, or that it is not even ASCII
            raise Refused("table key: not base64; make one with `openssl rand -base64 32`") from error

    @property
    def current(self) -> "SealKey":
        """Give the key without the previous one: what it does not open is to be sealed anew."""
        return SealKey(self._raw)

    def seal(self, data: bytes, *, context: str) -> bytes:
        """Encrypt and authenticate `data` for exactly this context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, data, context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt by either key; raises `Refused` when key, context or content differ."""
        for cipher in self._ciphers:
            with contextlib.suppress(InvalidTag, ValueError):
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        raise Refused(f"{context}: does not open with this table key")

    def derive(self, purpose: str) -> Secret:
        """Make another key of this one, by which nobody can tell this one or that of another purpose."""
        return Secret(hmac.digest(self._raw, f"derive\0{purpose}".encode(), hashlib.sha256))


def new_key_text() -> str:
    """Make a key in the form that `SealKey.from_text` reads."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
