"""Set-up requests of other methods than POST, answered before anything is verified: nothing signs them.

What they carry is therefore never believed, and hardly ever sent back: an origin that is on a list, or a signature of a
token that cannot be anything but a token.
"""

import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec

from eventroute.schemes.key import Key
from eventroute.schemes.model import HandshakeRule, Scheme
from eventroute.schemes.read import INERT_JSON, Handshake
from eventroute.schemes.request import Request
from eventroute.schemes.verify import CHALLENGE, encode


def preflight(scheme: Scheme, request: Request, keys: Sequence[Key], *, query: str) -> Handshake | None:
    """Answer a set-up request; None = it is not one.

    keys   the route's, current first
    query  the request's query string
    """
    for rule in scheme.handshake:
        if rule.method == request.method != "POST":
            if rule.allowed_origins:
                return _greet(rule, request)
            return _prove(scheme, rule, keys, query) if rule.proof else Handshake(rule.status, rule.headers)
    return None


def _greet(rule: HandshakeRule, request: Request) -> Handshake | None:
    """Grant a CloudEvents sender of the list; the callback URL is never fetched."""
    origin = request.fields.get(b"webhook-request-origin", b"").decode("latin-1").lower()
    if origin not in rule.allowed_origins:
        return None
    granted = (("webhook-allowed-origin", origin), ("webhook-allowed-rate", "*"), ("allow", "POST"))
    return Handshake(rule.status, granted + rule.headers)


def _prove(scheme: Scheme, rule: HandshakeRule, keys: Sequence[Key], query: str) -> Handshake | None:
    """Sign a challenge with the current key."""
    name, _, parameter = rule.proof.partition("=")
    try:
        tokens = [value for key, value in parse_qsl(query, max_num_fields=16) if key == parameter]
    except ValueError:
        return None
    material = keys[0].material if keys else None
    if len(tokens) != 1 or not CHALLENGE.fullmatch(tokens[0].encode()) or not isinstance(material, bytes):
        return None
    signature = encode(scheme.encoding, hmac.digest(material, tokens[0].encode(), scheme.digest)).decode()
    body = msgspec.json.encode({name: scheme.prefix + signature})
    return Handshake(rule.status, (*rule.headers, *INERT_JSON), body)
