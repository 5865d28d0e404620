"""Keys: from the text that a user configured to what the engine computes with, and the lint of that text.

`parse_key` is what a receiver needs; `lint_key` is stricter and belongs to the compiler: many published test vectors
use short or publicly known secrets, which verify well and must never be served.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from eventroute.errors import Refused
from eventroute.schemes.model import KeyForm, Kind, Scheme


class SecretProblem(StrEnum):
    """Why a secret is not served; names are stable, and a condition's reason in a route's status."""

    EMPTY = "SecretEmpty"
    HAS_WHITESPACE = "SecretHasWhitespace"
    PUBLICLY_KNOWN = "SecretPubliclyKnown"
    UNDECODABLE = "SecretUndecodable"
    WRONG_TYPE = "SecretWrongType"
    TOO_SHORT = "SecretTooShort"


class KeyLint(NamedTuple):
    """One problem, and how to fix it; never quotes the secret."""

    reason: SecretProblem
    message: str
    is_for_trials: bool = False
    """It may be served all the same: on a trial cluster."""


class KeyRefused(Refused):
    """A secret that is no key of its scheme."""

    def __init__(self, reason: SecretProblem, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Trusted(NamedTuple):
    """Whom to believe where keys are fetched: the key proves the provider, and anybody may be its customer."""

    sender: str
    """A topic's ARN, or a service account's address."""
    audience: str = ""


Material = bytes | Ed25519PublicKey | EllipticCurvePublicKey | Trusted


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A prepared key. It fits schemes of its own kind only, so that a public key never serves as an HMAC key."""

    kind: Kind
    material: Material

    def __repr__(self) -> str:
        return "Key(…)"


_ED25519_BYTES: Final = 32
_MIN_BYTES: Final = 16
_MIN_WHSEC_BYTES: Final = 24  # the Standard Webhooks specification asks for 24 to 64

_PUBLIC_KEY_STARTS: Final = (
    b"whpk_",
    b"-----BEGIN PUBLIC KEY",
    b"MFkwEwYHKoZIzj0",  # base64 of a P-256 SubjectPublicKeyInfo
    b"MCowBQYDK2VwAyEA",  # the same of Ed25519
)
_PRIVATE_KEY_STARTS: Final = (b"whsk_", b"-----BEGIN PRIVATE KEY", b"-----BEGIN EC PRIVATE KEY")

_PUBLICLY_KNOWN: Final = frozenset(
    {
        b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",  # Zendesk signs its test webhook with it
        b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # Standard Webhooks and Svix documentation
        b"C2FVsBQIhrscChlQIMV+b5sSYspob7oD",  # Svix documentation
        b"plJ3nmyCDGBKInavdOK15jsl",  # Svix documentation
        b"1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",  # Standard Webhooks public key example
        b"RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",  # OpenAI's SDK tests
        b"It's a Secret to Everybody",  # GitHub, Bitbucket and Jira documentation
        b"8f742231b10e8888abcd99yyyzzz85a5",  # Slack documentation
        b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",  # HubSpot documentation
        b"12345",  # Twilio's SDK
        b"secretClientValue",  # Microsoft Graph documentation
        b"my-shared-secret",  # Okta documentation
        b"changeme",
        b"change-me",
        b"secret",
        b"mysecret",
        b"my-secret",
        b"password",
        b"test_secret_key",
        b"webhook_secret",
        b"your-webhook-secret",
        b"your_webhook_secret",
    }
)


_OF_THE_QUICKSTART: Final = b"for-a-trial-cluster-and-nothing-else"
"""In `k8s/quickstart.yaml`, which is there to be applied as it is."""


def parse_key(scheme: Scheme, secret: bytes) -> Key:
    """Prepare a configured secret for its scheme; raises `KeyRefused` when it cannot be a key of it."""
    if not secret.strip():
        raise KeyRefused(SecretProblem.EMPTY, "the secret is empty: an empty key is known to everybody")
    if scheme.key in _TRUSTED:
        return Key(scheme.kind, _trusted(scheme, secret))
    takes_public_key = scheme.kind in {"ed25519", "ecdsa-p256"}
    if not takes_public_key and secret.startswith(_PUBLIC_KEY_STARTS):
        raise KeyRefused(SecretProblem.WRONG_TYPE, f"this is a public key, and {scheme.name} needs a shared secret")
    if secret.startswith(_PRIVATE_KEY_STARTS):
        raise KeyRefused(SecretProblem.WRONG_TYPE, "this is a private key, which only the sender may have")
    if takes_public_key and secret.startswith(b"whsec_"):
        raise KeyRefused(SecretProblem.WRONG_TYPE, f"this is a shared secret, and {scheme.name} needs a public key")
    if scheme.kind == "basic":
        return Key(scheme.kind, _basic(secret))
    decoded = _decode(scheme.key, secret)
    if decoded is None:
        raise KeyRefused(SecretProblem.UNDECODABLE, f"the secret is not {FORM_NAMES[scheme.key]}")
    if not decoded:
        raise KeyRefused(SecretProblem.EMPTY, "nothing follows the secret's prefix")
    return Key(scheme.kind, _public_key(scheme, decoded) if takes_public_key else decoded)


def lint_key(scheme: Scheme, secret: bytes) -> KeyLint | None:
    """Judge a secret at load time: the first problem, or None. Stricter than `parse_key`."""
    if not secret.strip():
        return KeyLint(SecretProblem.EMPTY, "the secret is empty; store the one that the provider shows")
    if secret != secret.strip():
        return KeyLint(
            SecretProblem.HAS_WHITESPACE,
            "the secret begins or ends with white space, often the newline of `echo`; store it with `printf %s`",
        )
    if secret.removeprefix(b"whsec_").removeprefix(b"whpk_") in _PUBLICLY_KNOWN:
        return KeyLint(SecretProblem.PUBLICLY_KNOWN, "the secret is a published example; make a new one")
    try:
        key = parse_key(scheme, secret)
    except KeyRefused as refused:
        return KeyLint(refused.reason, str(refused))
    least = _MIN_WHSEC_BYTES if scheme.key == "whsec" else _MIN_BYTES
    if isinstance(key.material, bytes) and len(_unknown_part(scheme, secret, key.material)) < least:
        return KeyLint(SecretProblem.TOO_SHORT, f"the key has fewer than {least} bytes; make a longer one")
    if secret == _OF_THE_QUICKSTART:
        message = "the secret is the quickstart's, which everybody can read: for a trial, and nothing else"
        return KeyLint(SecretProblem.PUBLICLY_KNOWN, message, is_for_trials=True)
    return None


def lint_verify_token(token: bytes, secrets: Iterable[bytes]) -> KeyLint | None:
    """Judge the token that a set-up request shows.

    secrets  those that the route verifies events with: the token stands in URLs, which are logged on their way
    """
    if not token.strip():
        return KeyLint(SecretProblem.EMPTY, "the verify token is empty; make one up, and give it to the provider too")
    if token != token.strip():
        return KeyLint(
            SecretProblem.HAS_WHITESPACE,
            "the verify token begins or ends with white space, often the newline of `echo`; store it with `printf %s`",
        )
    if token in _PUBLICLY_KNOWN:
        return KeyLint(SecretProblem.PUBLICLY_KNOWN, "the verify token is a published example; make up another one")
    if token in secrets:
        message = (
            "the verify token is the secret that events are verified with, and stands in URLs; make up another one"
        )
        return KeyLint(SecretProblem.WRONG_TYPE, message)
    if len(token) < _MIN_BYTES:
        return KeyLint(
            SecretProblem.TOO_SHORT, f"the verify token has fewer than {_MIN_BYTES} bytes; make a longer one"
        )
    return None


def _unknown_part(scheme: Scheme, secret: bytes, material: bytes) -> bytes:
    """Leave out what an attacker need not guess: a user name, and the prefix that Stripe keys its HMAC with."""
    return secret.partition(b":")[2] if scheme.kind == "basic" else material.removeprefix(b"whsec_")


FORM_NAMES: Final[dict[KeyForm, str]] = {
    "utf8": "text",
    "whsec": "base64 after an optional whsec_",
    "whpk": "an Ed25519 public key, base64 after whpk_",
    "base64": "base64",
    "hex": "hex",
    "spki": "a public key as base64 of DER (SubjectPublicKeyInfo)",
    "topic": "the ARN of a topic, arn:aws:sns:REGION:ACCOUNT:NAME",
    "account": "a service account's address and the audience of its tokens, with one space between them",
}
"""What a secret of a form is, for people."""
_TRUSTED: Final[dict[KeyForm, re.Pattern[bytes]]] = {
    "topic": re.compile(rb"(?P<sender>arn:aws[a-z-]{0,20}:sns:[a-z0-9-]{1,32}:\d{12}:[A-Za-z0-9_-]{1,256})"),
    "account": re.compile(rb"(?P<sender>[A-Za-z0-9._-]{1,100}@[A-Za-z0-9.-]{1,200}) (?P<audience>[!-~]{1,2048})"),
}


def _decode(form: KeyForm, secret: bytes) -> bytes | None:
    match form:
        case "utf8" | "topic" | "account":
            return secret
        case "whsec":
            return decode_base64(secret.removeprefix(b"whsec_"))
        case "whpk":
            return decode_base64(secret.removeprefix(b"whpk_"))
        case "hex":
            return decode_hex(secret)
        case "base64" | "spki":
            return decode_base64(secret)


def decode_base64(text: bytes) -> bytes | None:
    """Decode padded base64 of one spelling: no white space, no stray bits; None otherwise."""
    try:
        data = binascii.a2b_base64(text, strict_mode=True) if text else b""
    except binascii.Error:
        return None
    return data if base64.b64encode(data) == text else None


def decode_hex(text: bytes) -> bytes | None:
    """Decode hex of either case, without separators; None otherwise."""
    try:
        return binascii.unhexlify(text)
    except binascii.Error:
        return None


def _basic(secret: bytes) -> bytes:
    user, colon, password = secret.partition(b":")
    if not (user and colon and password):
        raise KeyRefused(SecretProblem.UNDECODABLE, "basic credentials are written user:password")
    return base64.b64encode(secret)


def _trusted(scheme: Scheme, secret: bytes) -> Trusted:
    found = _TRUSTED[scheme.key].fullmatch(secret)
    if found is None:
        raise KeyRefused(SecretProblem.UNDECODABLE, f"the secret is not {FORM_NAMES[scheme.key]}")
    return Trusted(**{name: value.decode() for name, value in found.groupdict().items()})


def _public_key(scheme: Scheme, data: bytes) -> Ed25519PublicKey | EllipticCurvePublicKey:
    """Load a public key, and make sure that it is of the scheme's algorithm."""
    key: object = None
    try:
        if scheme.key == "spki":
            key = load_der_public_key(data)
        elif scheme.kind == "ed25519" and len(data) == _ED25519_BYTES:
            key = Ed25519PublicKey.from_public_bytes(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if scheme.kind == "ed25519" and isinstance(key, Ed25519PublicKey):
        return key
    if scheme.kind == "ecdsa-p256" and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise KeyRefused(SecretProblem.WRONG_TYPE, f"the key is no {scheme.kind} public key")
