"""Verification: does this request come from the provider that the route trusts? One engine over every row.

Nothing here raises, whatever the input: the decision is `Verified`, or `Rejected` with a reason from a closed set.
Expected signatures are computed and encoded, then compared in constant time with what was sent: nothing received is
decoded leniently, and one spelling only is accepted. Every key meets every candidate, whether or not one has matched.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from eventroute.outcome import Refusal
from eventroute.payload import Unparsable
from eventroute.schemes.batch import batch_items
from eventroute.schemes.derived import strength
from eventroute.schemes.fetched import KeyName, Proof, Ring, no_ring, proof
from eventroute.schemes.key import Key, decode_base64, decode_hex
from eventroute.schemes.message import MAX_UNVERIFIED_BODY, Message, message_builder, parses_before_verifying
from eventroute.schemes.model import Encoding, Scheme, Strength
from eventroute.schemes.request import Document, Request, document
from eventroute.schemes.source import getter

MAX_CANDIDATES: Final = 16
"""Signatures looked at in one header: a rotation needs two, and each costs a comparison per key."""
MAX_PUBLIC_KEY_CANDIDATES: Final = 4
"""The same where each costs an operation on a curve and a hash of the whole message per key."""

_MAX_SIGNATURE_BYTES: Final = 8192  # of the whole header; arbitrary, sixteen signatures need some 1,500


class Verified(msgspec.Struct, frozen=True):
    """The request was accepted."""

    key_index: int
    """Which of the keys matched, 0 being the current one."""
    strength: Strength


class Rejected(NamedTuple):
    """The request was not accepted."""

    reason: Refusal


_MISSING: Final = Rejected(Refusal.MISSING_HEADER)
_MALFORMED: Final = Rejected(Refusal.MALFORMED_SIGNATURE)
MISMATCH: Final = Rejected(Refusal.MISMATCH)
_UNPARSEABLE: Final = Rejected(Refusal.BODY_UNPARSEABLE)


def verify(
    scheme: Scheme, request: Request, keys: Sequence[Key], now: float | None, *, ring: Ring = no_ring
) -> Verified | Rejected | KeyName:
    """Check a request against every configured key.

    request  body exactly as received; re-encoding breaks the signature
    now      Unix time in seconds, to judge timestamps (symmetric, edges included); None judges recorded requests,
             whose age does not matter: a receiver always has a time
    ring     the provider's keys that have been fetched, where they are
    returns  the matched key's index and the strength, the key that has to be fetched before anything can be told, or a
             reason; `stale` and `future` are said of correctly signed requests only, so they mean a clock or a replay,
             never a wrong secret
    source   each row names the provider's page
    """
    plan = _plan(scheme)
    if plan.strength is Strength.OPEN:
        return Verified(0, Strength.OPEN)
    if plan.parses and len(request.body) > MAX_UNVERIFIED_BODY:
        return _UNPARSEABLE
    proven = plan.proof(request, keys, now, ring) if plan.proof else _by_secret(plan, request, keys)
    if isinstance(proven, KeyName):
        return proven
    if isinstance(proven, Refusal):
        return Rejected(proven)
    return plan.freshness(request, now) or Verified(proven, plan.strength)


def _by_secret(plan: "_Plan", request: Request, keys: Sequence[Key]) -> int | Refusal:
    """Tell which configured key has signed, or is what was sent; or why none."""
    sent = plan.signatures(request)
    if sent is None:
        return Refusal.BODY_UNPARSEABLE if plan.in_body else Refusal.MISSING_HEADER
    candidates: list[list[bytes]] = []
    for each in sent:
        found = plan.candidates(each)
        if found is None:
            return Refusal.MALFORMED_SIGNATURE
        candidates.append(found)
    messages = plan.messages(request)
    if isinstance(messages, Refusal):
        return messages
    if plan.signs_tokens and any(CHALLENGE.fullmatch(message) for message in messages):
        return Refusal.MISMATCH
    matched: int | None = None
    for index, key in enumerate(keys):
        fits = True
        for shown in candidates:  # all of them are looked at
            fits = plan.matches(key, messages, shown) and fits
        if fits and matched is None:
            matched = index
    return Refusal.MISMATCH if matched is None else matched


# --- the plan: a row's columns as functions, made once per row --------------------------------------------------------

CHALLENGE: Final = re.compile(rb"[A-Za-z0-9_-]{1,128}")
"""What is signed for whoever asks, where a provider sets webhooks up so. Nothing of this form is a genuine message."""

_Matches = Callable[[Key, tuple[bytes, ...], list[bytes]], bool]


class _Plan(NamedTuple):
    strength: Strength
    parses: bool
    signs_tokens: bool
    in_body: bool
    signatures: Callable[[Request], list[bytes] | None]
    candidates: Callable[[bytes], list[bytes] | None]
    messages: Message
    matches: _Matches
    freshness: Callable[[Request, float | None], Rejected | None]
    proof: Proof | None


@lru_cache(maxsize=1024)
def _plan(scheme: Scheme) -> _Plan:
    return _Plan(
        strength=strength(scheme),
        parses=parses_before_verifying(scheme),
        signs_tokens=any(rule.proof for rule in scheme.handshake),
        in_body=scheme.signature.startswith(("body:", "item:")),
        signatures=_signatures(scheme),
        candidates=_candidates(scheme),
        messages=message_builder(scheme),
        matches=_matches(scheme),
        freshness=_freshness(scheme),
        proof=proof(scheme),
    )


def _signatures(scheme: Scheme) -> Callable[[Request], list[bytes] | None]:
    """Build the function that fetches what proves a request: one value, or one of each item; None = one is missing."""
    if scheme.kind in {"none", "inside"}:
        return lambda _request: None
    get = getter(scheme, scheme.signature)
    if not scheme.signature.startswith("item:"):
        return lambda request: None if (found := get(request, None)) is None else [found]
    items = batch_items(scheme)

    def signatures(request: Request) -> list[bytes] | None:
        parsed = document(request, scheme.form)
        found = items(parsed) if isinstance(parsed, Document) else parsed
        if isinstance(found, Unparsable) or not found:  # who sends nothing proves nothing
            return None
        sent = [get(request, value) for value, _ in found]
        return None if None in sent else [value for value in sent if value is not None]

    return signatures


_ALPHABETS: Final[dict[Encoding, bytes]] = {
    "hex": b"0123456789abcdef",
    "base64": b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
    "base64url": b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
}

_ENCODERS: Final[dict[Encoding, Callable[[bytes], bytes]]] = {
    "hex": lambda data: data.hex().encode(),
    "base64": base64.b64encode,
    "base64url": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
}

_ED25519_SIGNATURE_BYTES: Final = 64


def encode(encoding: Encoding, data: bytes) -> bytes:
    """Spell signature bytes as a provider does."""
    return _ENCODERS[encoding](data)


def _candidates(scheme: Scheme) -> Callable[[bytes], list[bytes] | None]:
    """Build the function that takes a signature header apart; None = nothing in it can be a signature."""
    separator, prefix = scheme.separator.encode(), scheme.prefix.encode()
    shown = scheme.kind in {"token", "basic"}
    most = MAX_PUBLIC_KEY_CANDIDATES if scheme.kind in {"ed25519", "ecdsa-p256"} else MAX_CANDIDATES
    fits = _fits(scheme)

    def candidates(sent: bytes) -> list[bytes] | None:
        if len(sent) > _MAX_SIGNATURE_BYTES:
            return None
        if shown:  # RFC 9110: the name of an authentication scheme has no case
            return [sent[len(prefix) :]] if sent[: len(prefix)].lower() == prefix.lower() else None
        if not separator:
            entry = sent.removeprefix(prefix)
            return [entry] if sent.startswith(prefix) and fits(entry) else None
        tagged = [entry[len(prefix) :] for entry in sent.split(separator) if entry.startswith(prefix)]
        if len(tagged) > most:
            return None
        return [entry for entry in tagged if fits(entry)] or None

    return candidates


def _fits(scheme: Scheme) -> Callable[[bytes], bool]:
    """Build the check of one signature's length and alphabet."""
    alphabet = _ALPHABETS[scheme.encoding]
    if scheme.kind == "ecdsa-p256":  # DER has no fixed length
        return lambda entry: not entry.translate(None, alphabet)
    size = _ED25519_SIGNATURE_BYTES if scheme.kind == "ed25519" else hashlib.new(scheme.digest).digest_size
    length = len(encode(scheme.encoding, bytes(size)))
    return lambda entry: len(entry) == length and not entry.translate(None, alphabet)


def _matches(scheme: Scheme) -> _Matches:
    match scheme.kind:
        case "hmac":
            return _mac_matches(scheme, lambda key, message: hmac.digest(key, message, scheme.digest))
        case "hash":
            return _mac_matches(scheme, lambda key, message: hashlib.new(scheme.digest, key + message).digest())
        case "ed25519" | "ecdsa-p256":
            return _public_key_matches(scheme)
        case "token" | "basic" | "none" | "inside" | "certificate" | "oidc":
            return _credential_matches(scheme)


def _mac_matches(scheme: Scheme, mac: Callable[[bytes, bytes], bytes]) -> _Matches:
    kind, spell, compare = scheme.kind, _ENCODERS[scheme.encoding], hmac.compare_digest

    def matches(key: Key, messages: tuple[bytes, ...], candidates: list[bytes]) -> bool:
        if key.kind != kind or not isinstance(key.material, bytes):
            return False
        found = False
        for message in messages:
            expected = spell(mac(key.material, message))
            for candidate in candidates:
                found |= compare(expected, candidate)
        return found

    return matches


_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_DECODERS: Final[dict[Encoding, Callable[[bytes], bytes | None]]] = {
    "hex": decode_hex,
    "base64": decode_base64,
    "base64url": lambda text: decode_base64(text.translate(_TO_BASE64) + b"=" * (-len(text) % 4)),
}


def _public_key_matches(scheme: Scheme) -> _Matches:
    decode = _DECODERS[scheme.encoding]

    def matches(key: Key, messages: tuple[bytes, ...], candidates: list[bytes]) -> bool:
        signatures = [decode(candidate) for candidate in candidates]
        found = False
        for message in messages:
            for signature in signatures:
                found |= signature is not None and key.kind == scheme.kind and _signed_by(key, message, signature)
        return found

    return matches


def _signed_by(key: Key, message: bytes, signature: bytes) -> bool:
    try:
        match key.material:
            case Ed25519PublicKey() as public:
                public.verify(signature, message)
            case EllipticCurvePublicKey() as public:
                public.verify(signature, message, ECDSA(SHA256()))
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _credential_matches(scheme: Scheme) -> _Matches:
    def matches(key: Key, _messages: tuple[bytes, ...], candidates: list[bytes]) -> bool:
        if key.kind != scheme.kind or not isinstance(key.material, bytes):
            return False
        return hmac.compare_digest(key.material, candidates[0])

    return matches


# --- time -------------------------------------------------------------------------------------------------------------

_MAX_DIGITS: Final = 16
_RFC3339: Final = re.compile(rb"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def _freshness(scheme: Scheme) -> Callable[[Request, float | None], Rejected | None]:
    """Build the check of a row's timestamp; None = fresh, or nothing to judge."""
    tolerance = scheme.tolerance_s
    if not scheme.timestamp or tolerance is None:
        return lambda _request, _now: None
    get = getter(scheme, scheme.timestamp)
    absent = _UNPARSEABLE if scheme.timestamp.startswith("body:") else _MISSING

    def freshness(request: Request, now: float | None) -> Rejected | None:
        text = get(request, None)
        if text is None:
            return absent
        sent = parse_timestamp(scheme, text)
        if sent is None:
            return _MALFORMED
        if now is None or abs(now - sent) <= tolerance:
            return None
        return Rejected(Refusal.STALE if sent < now else Refusal.FUTURE)

    return freshness


def parse_timestamp(scheme: Scheme, text: bytes) -> float | None:
    """Read a timestamp as Unix seconds; None unless it is ASCII digits, or RFC 3339 where the row says so."""
    if scheme.timestamp_unit == "rfc3339":
        return _parse_rfc3339(text)
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text) / 1000 if scheme.timestamp_unit == "ms" else float(int(text))


def _parse_rfc3339(text: bytes) -> float | None:
    if not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.decode().upper()).timestamp()
    except (ValueError, OverflowError):
        return None
