"""Proof by keys that are fetched from the provider: which one a request needs, and whether that has signed it.

Nothing here fetches. A ring answers which keys are at hand; where it cannot yet, so is the verdict, and somebody has to
fetch. Whatever can be refused without a key is refused before one is asked for: an address that is not the provider's,
a topic, an account or an audience that is not the route's. So a stranger has nothing fetched who does not know these.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from eventroute.outcome import Refusal
from eventroute.payload import read_json
from eventroute.schemes.key import Key, Trusted, decode_base64
from eventroute.schemes.message import message_builder
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Request
from eventroute.schemes.source import getter

LEEWAY_S: Final = 60
"""How far the clock of who issues tokens may be from ours. Arbitrary; Google's libraries allow 0 to 10 s."""

_MAX_TOKEN_BYTES: Final = 8192  # arbitrary; Google's have some 700
_MIN_KEY_BITS: Final = 2048
_MAX_KEY_BITS: Final = 4096  # arbitrary; a key of a megabit would take seconds for each signature


class KeyName(NamedTuple):
    """A key of a provider's."""

    url: str
    """Of the document that it stands in."""
    id: str = ""
    """In a set of keys; empty for a certificate, which is alone."""


class PublicKey(NamedTuple):
    """A key that was fetched, and when it counts, both ends included, Unix seconds."""

    key: RSAPublicKey
    not_before: float = -math.inf
    not_after: float = math.inf


class Absent(Enum):
    """What a ring says of a key that the provider does not have."""

    ABSENT = "absent"


Ring = Callable[[KeyName], PublicKey | Absent | None]
"""Finds a key among those that were fetched; None = nobody knows before it has been fetched."""

Proof = Callable[[Request, Sequence[Key], float | None, Ring], int | Refusal | KeyName]
"""Judges a request: which of the keys names its sender, why it is refused, or which key is missing for a verdict."""


def no_ring(_name: KeyName) -> PublicKey | Absent | None:
    """Know no key."""
    return None


def proof(scheme: Scheme) -> Proof | None:
    """Compile a row's check; None where its keys are not fetched."""
    match scheme.kind:
        case "certificate":
            return _by_certificate(scheme)
        case "oidc":
            return _by_token(scheme)
        case _:
            return None


# --- what was fetched -------------------------------------------------------------------------------------------------


def parse_keys(scheme: Scheme, document: bytes) -> Mapping[str, PublicKey] | None:
    """Read the keys of a document that was fetched for a scheme, by id; None when it is none."""
    return _parse_certificate(document) if scheme.kind == "certificate" else _parse_key_set(document)


def _parse_certificate(document: bytes) -> Mapping[str, PublicKey] | None:
    try:
        certificate = x509.load_pem_x509_certificate(document)
        begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
    return {"": PublicKey(key, begins, ends)} if _is_usable(key) else None


def _parse_key_set(document: bytes) -> Mapping[str, PublicKey] | None:
    found = read_json(document)
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        return None
    keys = {str(entry["kid"]): key for entry in entries if (key := _parse_jwk(entry)) is not None}
    return keys or None


def _parse_jwk(entry: Any) -> PublicKey | None:
    """Read one key; None when it is none that RS256 tokens are signed with."""
    match entry:
        case {"kty": "RSA", "kid": str(), "n": str() as n, "e": str() as e} if entry.get("alg", "RS256") == "RS256":
            modulus, exponent = _decode_url(n.encode()), _decode_url(e.encode())
        case _:
            return None
    if not modulus or not exponent or entry.get("use", "sig") != "sig":
        return None
    try:
        key = RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()
    except ValueError:
        return None
    return PublicKey(key) if _is_usable(key) else None


def _is_usable(key: object) -> TypeGuard[RSAPublicKey]:
    return isinstance(key, RSAPublicKey) and _MIN_KEY_BITS <= key.key_size <= _MAX_KEY_BITS


# --- a message that names its certificate -----------------------------------------------------------------------------


def _by_certificate(scheme: Scheme) -> Proof:
    signature, version = getter(scheme, scheme.signature), getter(scheme, "body:SignatureVersion")
    address, topic = getter(scheme, "body:SigningCertURL|body:SigningCertUrl"), getter(scheme, "body:TopicArn")
    allowed, build = re.compile(scheme.keys_at), message_builder(scheme)
    hashes: dict[bytes | None, SHA1 | SHA256] = {b"2": SHA256(), **({b"1": SHA1()} if scheme.legacy_digest else {})}  # noqa: S303 - said out loud

    def prove(request: Request, keys: Sequence[Key], now: float | None, ring: Ring) -> int | Refusal | KeyName:
        spelled = signature(request, None)
        if spelled is None:
            return Refusal.UNSIGNED
        messages, signed = build(request), decode_base64(spelled)
        if isinstance(messages, Refusal):
            return messages
        hash_, url = version(request, None), (address(request, None) or b"").decode()
        if hash_ == b"1" and not scheme.legacy_digest:
            return Refusal.WEAK_DIGEST
        if not signed or hash_ not in hashes:
            return Refusal.MALFORMED_SIGNATURE
        index = _index(keys, Trusted((topic(request, None) or b"").decode()))
        if index is None:
            return Refusal.FOREIGN
        if not allowed.fullmatch(url):
            return Refusal.UNTRUSTED_KEY
        return _judged(index, KeyName(url), now, ring, lambda key: _has_signed(key, messages[0], signed, hashes[hash_]))

    return prove


# --- a token ----------------------------------------------------------------------------------------------------------


class _Head(msgspec.Struct, frozen=True):
    """Of a token; of `crit` nothing is known here, so that a token with it is refused."""

    alg: str
    kid: str
    crit: Any = None


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: str
    email: str
    iat: float
    exp: float
    email_verified: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


def _by_token(scheme: Scheme) -> Proof:
    credential, prefix = getter(scheme, scheme.signature), scheme.prefix.encode()

    def prove(request: Request, keys: Sequence[Key], now: float | None, ring: Ring) -> int | Refusal | KeyName:
        sent = credential(request, None)
        if sent is None:
            return Refusal.MISSING_HEADER
        token = _parse_token(sent[len(prefix) :]) if sent[: len(prefix)].lower() == prefix.lower() else None
        if token is None:
            return Refusal.MALFORMED_SIGNATURE
        head, claims, message, signature = token
        index = _index(keys, Trusted(claims.email, claims.aud))
        if index is None or claims.iss not in scheme.issuers or claims.email_verified is not True:
            return Refusal.FOREIGN
        name = KeyName(scheme.keys_at, head.kid)
        found = _judged(index, name, now, ring, lambda key: _has_signed(key, message, signature, SHA256()))
        return _age(claims, now) or found if isinstance(found, int) else found

    return prove


def _parse_token(token: bytes) -> tuple[_Head, _Claims, bytes, bytes] | None:
    """Take an RS256 token apart: head, claims, what is signed, and the signature; None when it is none."""
    parts = token.split(b".") if len(token) <= _MAX_TOKEN_BYTES else []
    decoded = [_decode_url(part) for part in parts]
    if len(decoded) != len(("head", "claims", "signature")) or not all(decoded):
        return None
    try:
        head, claims = _decode_head(decoded[0] or b""), _decode_claims(decoded[1] or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if head.alg != "RS256" or head.crit is not None:
        return None
    return head, claims, token.rpartition(b".")[0], decoded[2] or b""


def _age(claims: _Claims, now: float | None) -> Refusal | None:
    if now is None:
        return None
    if now > claims.exp + LEEWAY_S:
        return Refusal.STALE
    return Refusal.FUTURE if now < claims.iat - LEEWAY_S else None


# --- both -------------------------------------------------------------------------------------------------------------


def _index(keys: Sequence[Key], sender: Trusted) -> int | None:
    """Tell which of the route's secrets names a sender; nothing of it is secret, so that any comparison will do."""
    return next((index for index, key in enumerate(keys) if key.material == sender), None)


def _judged(
    index: int, name: KeyName, now: float | None, ring: Ring, has_signed: Callable[[RSAPublicKey], bool]
) -> int | Refusal | KeyName:
    found = ring(name)
    if found is None:
        return name
    if isinstance(found, Absent) or (now is not None and not found.not_before <= now <= found.not_after):
        return Refusal.UNTRUSTED_KEY
    return index if has_signed(found.key) else Refusal.MISMATCH


def _has_signed(key: RSAPublicKey, message: bytes, signature: bytes, hash_: SHA1 | SHA256) -> bool:
    try:
        key.verify(signature, message, PKCS1v15(), hash_)
    except (InvalidSignature, UnsupportedAlgorithm):  # SHA-1 may be switched off in the machine's OpenSSL
        return False
    return True


_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")


def _decode_url(text: bytes) -> bytes | None:
    """Decode base64 of the URL alphabet, unpadded and of one spelling; None otherwise."""
    if b"+" in text or b"/" in text or b"=" in text:
        return None
    return decode_base64(text.translate(_TO_BASE64) + b"=" * (-len(text) % 4))
