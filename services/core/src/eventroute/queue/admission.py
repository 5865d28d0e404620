"""Admission: one call turns the events of a verified request into queued work, or says why not now.

Success means durable: claims, deliveries, their places in the queue and the wake-up of a worker are written in one
atomic step, before the sender gets its answer.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from eventroute.delivery import Delivery, encode_delivery
from eventroute.ids import Claim, DeliveryId, RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue.keys import group_of
from eventroute.queue.scripts import ADMIT
from eventroute.route_table import DebounceRule, RateLimit
from eventroute.runtime.scripts import Argument, Caller


class Candidate(msgspec.Struct, frozen=True):
    """A delivery that asks for admission, and what no other delivery may have claimed."""

    delivery: Delivery
    claims: Sequence[Claim]
    dead: tuple[DeadReason, str] | None = None
    """Keep it as a dead letter, for this reason and with these words for people."""
    lane: str = ""
    """Of those in one lane of a route, one is worked on at a time, in the order of acceptance; empty = it has none."""
    whom: str = ""
    """With whose events it is collected, or whose it supersedes, where the route does that; empty = with none."""


class Limits(NamedTuple):
    """Above which nothing more is admitted."""

    depth: int
    """Deliveries queued."""
    bytes: int
    """Of deliveries queued; 0 = any."""


class New(msgspec.Struct, frozen=True):
    """It is queued, or kept as the dead letter that it was said to be."""

    delivery: DeliveryId


class Repeat(msgspec.Struct, frozen=True):
    """Nothing was done: it was accepted before, under this id."""

    delivery: DeliveryId


class Again(msgspec.Struct, frozen=True):
    """It was accepted before and ended as a dead letter, which now runs again, under its old id."""

    delivery: DeliveryId


class Joined(NamedTuple):
    """It was added to a delivery that waits for more events of the same entity, and runs with them."""

    delivery: DeliveryId


Fate = New | Repeat | Again | Joined


class Admitted(msgspec.Struct, frozen=True):
    """What became of each candidate."""

    fates: Sequence[Fate]


class Limited(NamedTuple):
    """The route's rate limit is used up; nothing was written."""

    wait_s: float


class Full(NamedTuple):
    """The queue is full, or the route has its share of it; nothing was written."""

    what: Literal["queue", "route"]


class Admissions:
    """The receiver's way into the queue."""

    def __init__(self, call: Caller, *, limits: Limits, groups: int = 1) -> None:
        """Take what calls scripts."""
        self._call = call
        self._groups = groups
        self.limits = limits
        """May be changed at any time."""

    async def admit(
        self,
        path: RoutePath,
        candidates: Sequence[Candidate],
        *,
        rate: RateLimit | None,
        traceparent: str = "",
        debounce: DebounceRule | None = None,
    ) -> Admitted | Limited | Full:
        """Queue all candidates that are new, or none; raises `RedisAway` or `RedisForbids`."""
        depth, size = self.limits
        args: list[Argument] = [
            path,
            depth,
            size,
            rate.per_second if rate else 0,
            rate.burst if rate else 0,
            traceparent,
            debounce.quiet_s * 1000 if debounce else 0,
            debounce.max_s * 1000 if debounce else 0,
        ]
        for each in candidates:
            reason, detail = each.dead or ("", "")
            body, claims = encode_delivery(each.delivery), each.claims
            args += (each.delivery.id, body, reason, detail, each.lane, each.whom, len(claims))
            for claim in claims:
                args += (claim.id, claim.lifetime_s * 1000)
        status, *rest = await self._call(ADMIT, group_of(path, self._groups).prefix, args)
        if status == b"limited":
            return Limited(rest[0] / 1000)
        if status == b"full":
            return Full("route" if rest[0] == b"route" else "queue")
        return Admitted([_fate(said, each.delivery.id) for said, each in zip(rest, candidates, strict=True)])


_FATES: Final[dict[bytes, Callable[[DeliveryId], Fate]]] = {b"d": Repeat, b"r": Again, b"j": Joined}


def _fate(said: bytes, own: DeliveryId) -> Fate:
    if not said:
        return New(own)
    first = DeliveryId(said[1:].decode())
    return _FATES[said[:1]](first)


def claimant(value: bytes) -> DeliveryId:
    """Read which delivery a claim names, as `lua/admit.lua` writes it."""
    return DeliveryId(f"d-{value[1:].hex()}" if value[:1] == b"\0" else value.decode())
