"""Identifiers: claims are derived, so that a repeated delivery meets its first copy; a delivery's own id is always new.

Provider ids are hashed, never used as they came: they may hold ':' or '*' or a newline, or be 10 KiB long.
"""

import binascii
import hashlib
import random
import time
from typing import Final, NewType

import msgspec

RouteUid = NewType("RouteUid", str)
"""A route's identity over its life: the Kubernetes uid; deleting and re-creating a route makes a new one."""

RoutePath = NewType("RoutePath", str)
"""`<namespace>/<name>`, the tail of the URL that a provider calls; of what is to be sent to a sink, `/` and its name
follow."""

DeliveryId = NewType("DeliveryId", str)
"""One admission of one event, `d-` and 28 hex digits: 12 of the time in Unix ms, by which ids sort, and 16 random."""

ClaimId = NewType("ClaimId", str)
"""What a repeated delivery has in common with its first copy, hashed: the tail of a dedup key."""


class Claim(msgspec.Struct, frozen=True):
    """What must not be accepted again for a while."""

    id: ClaimId
    lifetime_s: int


_DIGEST_BYTES: Final = 12
"""96 bits: two of a billion claims meet with a chance of 1 in 10^11; each byte less is less of Redis' memory."""

_RANDOM_BITS: Final = 64
_random: Final = random.Random()  # no secrets, only unlike each other; the system's own source costs a call of it


def route_path(namespace: str, name: str) -> RoutePath:
    """Join a namespace and a name, neither of which can hold a slash."""
    return RoutePath(f"{namespace}/{name}")


def sending_path(route: RoutePath, sink: str) -> RoutePath:
    """Say where what is to be sent to a sink of a route is queued."""
    return RoutePath(f"{route}/{sink}")


def parse_path(path: RoutePath) -> tuple[RoutePath, str]:
    """Tell the route, and the sink that something is to be sent to; empty for what is no sending."""
    namespace, name, *sink = path.split("/", 2)
    return route_path(namespace, name), sink[0] if sink else ""


def claim_id(route: RouteUid, kind: str, value: bytes) -> ClaimId:
    """Name one thing that must not be accepted twice on a route: 16 characters.

    kind   `id` for the provider's delivery id, `digest` for the signed bytes, and so on: no two kinds ever collide
    value  as the provider sent it, of any length and content
    """
    digest = hashlib.blake2b(f"{route}\0{kind}\0".encode() + value, digest_size=_DIGEST_BYTES)
    return ClaimId(binascii.b2a_base64(digest.digest(), newline=False).decode())


def answer_claim(route: RoutePath, key: str) -> ClaimId:
    """Name an answer that is handed over to another route: there, it is accepted once.

    route  whose answer it is
    key    the answer's idempotency key at the sink
    """
    return claim_id(RouteUid(route), "answer", key.encode())


def entity_id(route: RouteUid, name: str | None) -> str:
    """Name an entity of a route in keys; empty where nobody is named."""
    return claim_id(route, "entity", name.encode("utf-8", "surrogatepass")) if name else ""


def new_delivery_id() -> DeliveryId:
    """Make a delivery's id."""
    return DeliveryId(f"d-{time.time_ns() // 1_000_000:012x}{_random.getrandbits(_RANDOM_BITS):016x}")
