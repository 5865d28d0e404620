"""Handshakes: what a request that sets a webhook up is answered, judged by `preflight` or by `read`.

An answer never serves another purpose than the sender's. What a request says comes back as JSON or as plain text that
no browser takes for a page, and of harmless characters only where nobody has signed it; what we sign for whoever asks
has a form that nothing genuine has.
"""

import hmac
import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from eventroute.payload import Unparsable
from eventroute.schemes.derived import comes_first, named_source
from eventroute.schemes.key import Key
from eventroute.schemes.model import HandshakeRule, Match, Scheme
from eventroute.schemes.request import Request
from eventroute.schemes.source import Getter, getter
from eventroute.schemes.verify import CHALLENGE, MISMATCH, Rejected, encode


class Handshake(NamedTuple):
    """An answer to give at once; no event happened."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    visit: str = ""
    """An address that has to be fetched before the answer is true; empty = none."""


Judge = Callable[[Request, Key | None, bytes], Handshake | Rejected | Unparsable | None]
"""From a request, the key that a proof is made with, and the route's verify token, to the answer; `Rejected` = it shows
another token, `Unparsable` = it holds no usable challenge, None = it is not this handshake."""

_Field = Callable[[Request, Key | None], bytes | None]

_MAX_ECHO: Final = 1024  # bytes; arbitrary, Slack's challenge has 52 and Microsoft's some 110
_HARMLESS: Final = re.compile(rb"[A-Za-z0-9 ._~:;,=+/@-]{1,1024}")
"""What is sent back although nobody has signed it, or outside of JSON: Microsoft's challenge is a sentence."""

_NOT_A_PAGE: Final = ("x-content-type-options", "nosniff")
_JSON: Final = (("content-type", "application/json"), _NOT_A_PAGE)
_TEXT: Final = (("content-type", "text/plain"), _NOT_A_PAGE)
_UNUSABLE: Final = Unparsable("a handshake without a usable challenge")


def build_judge(scheme: Scheme, rule: HandshakeRule) -> Judge:
    """Compile one rule of a row."""
    conditions = [(getter(scheme, match.source), _wanted(match)) for match in rule.when if not match.verify_token]
    tokens = [getter(scheme, match.source) for match in rule.when if match.verify_token]
    answer = _answer(scheme, rule)

    def judge(request: Request, key: Key | None, token: bytes) -> Handshake | Rejected | Unparsable | None:
        if any(get(request, None) != wanted for get, wanted in conditions):
            return None
        if not all(_shows(get, request, token) for get in tokens):
            return MISMATCH
        return answer(request, key)

    return judge


def _wanted(match: Match) -> bytes | None:
    return None if match.equals is None else match.equals.encode()


def _shows(get: Getter, request: Request, token: bytes) -> bool:
    """Whether a request shows the verify token; where there is none, nothing is it."""
    return bool(token) and hmac.compare_digest(get(request, None) or b"", token)


_Answer = Callable[[Request, Key | None], Handshake | Unparsable | None]


def _answer(scheme: Scheme, rule: HandshakeRule) -> _Answer:
    if rule.allowed_origins:
        return lambda request, _key: _grant(rule, request)
    if rule.visit:
        return _visit(scheme, rule)
    if rule.echo or rule.proof:
        return _of_the_request(scheme, rule)
    headers = (*rule.headers, ("content-type", "application/json")) if rule.body else rule.headers
    always = Handshake(rule.status, headers, rule.body.encode())
    return lambda _request, _key: always


def _grant(rule: HandshakeRule, request: Request) -> Handshake | None:
    """Grant a CloudEvents sender of the list; the callback URL is never fetched."""
    origin = request.fields.get(b"webhook-request-origin", b"").decode("latin-1").lower()
    if origin not in rule.allowed_origins:
        return None
    granted = (("webhook-allowed-origin", origin), ("webhook-allowed-rate", "*"), ("allow", "POST"))
    return Handshake(rule.status, granted + rule.headers)


def _visit(scheme: Scheme, rule: HandshakeRule) -> _Answer:
    """Build the answer to what is confirmed by fetching an address, one of the provider's own."""
    get, allowed = getter(scheme, rule.visit), re.compile(rule.visit_at)

    def answer(request: Request, _key: Key | None) -> Handshake | Unparsable:
        address = (get(request, None) or b"").decode()
        if not allowed.fullmatch(address):
            return Unparsable("a handshake without an address of its provider's")
        return Handshake(rule.status, rule.headers, visit=address)

    return answer


def _of_the_request(scheme: Scheme, rule: HandshakeRule) -> _Answer:
    """Build the answer that holds something of the request, or a proof made of it."""
    fields: list[tuple[str, _Field]] = []
    if rule.echo:
        name, source = named_source(rule.echo)
        fields.append((name, _echo(getter(scheme, source), only_harmless=not name or comes_first(rule))))
    if rule.proof:
        name, source = named_source(rule.proof)
        fields.append((name, _proof(scheme, getter(scheme, source), rule.proof_prefix)))

    def answer(request: Request, key: Key | None) -> Handshake | Unparsable:
        found: dict[str, str] = {}
        for name, field in fields:
            value = field(request, key)
            if value is None:
                return _UNUSABLE
            found[name] = value.decode()
        if "" in found:
            return Handshake(rule.status, (*rule.headers, *_TEXT), found[""].encode())
        return Handshake(rule.status, (*rule.headers, *_JSON), msgspec.json.encode(found))

    return answer


def _echo(get: Getter, *, only_harmless: bool) -> _Field:
    def echo(request: Request, _key: Key | None) -> bytes | None:
        challenge = get(request, None)
        if challenge is None or len(challenge) > _MAX_ECHO:
            return None
        return None if only_harmless and not _HARMLESS.fullmatch(challenge) else challenge

    return echo


def _proof(scheme: Scheme, get: Getter, prefix: str) -> _Field:
    def proof(request: Request, key: Key | None) -> bytes | None:
        challenge, material = get(request, None), key.material if key else None
        if challenge is None or not CHALLENGE.fullmatch(challenge) or not isinstance(material, bytes):
            return None
        return prefix.encode() + encode(scheme.encoding, hmac.digest(material, challenge, scheme.digest))

    return proof
