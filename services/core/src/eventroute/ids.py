"""Identifiers: deterministic where a repeated delivery must meet its first copy, random where none can.

Provider ids are hashed, never used as they came: they may hold ':' or '*' or a newline, or be 10 KiB long.
"""

import hashlib
import os
from typing import NamedTuple, NewType

RouteUid = NewType("RouteUid", str)
"""A route's identity over its life: the Kubernetes uid; deleting and re-creating a route makes a new one."""

RoutePath = NewType("RoutePath", str)
"""`<namespace>/<name>`, the tail of the URL that a provider calls."""

DeliveryId = NewType("DeliveryId", str)
"""One event for one route, `d-` and 32 hex digits; also the arq job id."""

ClaimId = NewType("ClaimId", str)
"""What a repeated delivery has in common with its first copy, hashed: the tail of a dedup key."""


class Claim(NamedTuple):
    """What must not be accepted again for a while."""

    id: ClaimId
    lifetime_s: int


_DIGEST_BYTES = 16  # 128 bits: collisions are out of reach for any number of deliveries


def route_path(namespace: str, name: str) -> RoutePath:
    """Join a namespace and a name, neither of which can hold a slash."""
    return RoutePath(f"{namespace}/{name}")


def claim_id(route: RouteUid, kind: str, value: bytes) -> ClaimId:
    """Name one thing that must not be accepted twice on a route.

    kind   `id` for the provider's delivery id, `digest` for the signed bytes, and so on: no two kinds ever collide
    value  as the provider sent it, of any length and content
    """
    return ClaimId(_hash(route, kind, value))


def delivery_id(route: RouteUid, claim: ClaimId | None) -> DeliveryId:
    """Derive a delivery's id from its claim, so that a repeat has the same id; random when nothing identifies it."""
    return DeliveryId("d-" + (_hash(route, "delivery", claim.encode()) if claim else os.urandom(_DIGEST_BYTES).hex()))


def _hash(route: RouteUid, kind: str, value: bytes) -> str:
    prefix = f"{route}\0{kind}\0".encode()
    return hashlib.blake2b(prefix + value, digest_size=_DIGEST_BYTES).hexdigest()
