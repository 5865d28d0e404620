"""How each provider signs and delivers: one declarative table, and one engine over it.

preflight ──▶ verify ──▶ read          before anything is proven; is it genuine; what happened
    ▲            ▲         ▲
    └── Scheme: a row of SCHEMES, or a manifest's `custom`
"""

from eventroute.payload import Unparsable
from eventroute.schemes.derived import (
    credential_paths,
    fetches_keys,
    is_inside,
    lending,
    needs_public_url,
    needs_secret,
    needs_verify_token,
    strength,
    telling_headers,
)
from eventroute.schemes.fetched import Absent, KeyName, PublicKey, Ring, no_ring, parse_keys
from eventroute.schemes.handshake import Handshake
from eventroute.schemes.key import Key, KeyLint, KeyRefused, SecretProblem, lint_key, lint_verify_token, parse_key
from eventroute.schemes.lint import lint_scheme
from eventroute.schemes.model import HandshakeRule, Match, Reply, Scheme, Strength
from eventroute.schemes.preflight import comes_early, preflight
from eventroute.schemes.read import Event, Events, Mark, read
from eventroute.schemes.reply import choose_reply, is_worded
from eventroute.schemes.request import Request, media_type
from eventroute.schemes.signing import KeyPair, generate_secret, set_up_request, sign
from eventroute.schemes.table import INSIDE, SCHEMES, accepts, sensitive_headers
from eventroute.schemes.verify import Rejected, Verified, verify

__all__ = [
    "INSIDE",
    "SCHEMES",
    "Absent",
    "Event",
    "Events",
    "Handshake",
    "HandshakeRule",
    "Key",
    "KeyLint",
    "KeyName",
    "KeyPair",
    "KeyRefused",
    "Mark",
    "Match",
    "PublicKey",
    "Rejected",
    "Reply",
    "Request",
    "Ring",
    "Scheme",
    "SecretProblem",
    "Strength",
    "Unparsable",
    "Verified",
    "accepts",
    "choose_reply",
    "comes_early",
    "credential_paths",
    "fetches_keys",
    "generate_secret",
    "is_inside",
    "is_worded",
    "lending",
    "lint_key",
    "lint_scheme",
    "lint_verify_token",
    "media_type",
    "needs_public_url",
    "needs_secret",
    "needs_verify_token",
    "no_ring",
    "parse_key",
    "parse_keys",
    "preflight",
    "read",
    "sensitive_headers",
    "set_up_request",
    "sign",
    "strength",
    "telling_headers",
    "verify",
]
