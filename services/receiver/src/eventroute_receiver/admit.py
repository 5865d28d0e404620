"""Admission: one Lua call turns the events of a verified request into queued work, or says why not now.

Success means durable: dedup claims, delivery records, jobs, queue members and the wake-up of a worker are written in
one atomic step, before the sender gets its answer.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import hiredis
import msgspec

from eventroute import keys
from eventroute.delivery import Delivery, encode_delivery, encode_job
from eventroute.ids import Claim, DeliveryId
from eventroute.outcome import DeadReason, Unavailable
from eventroute.route_table import ReceiverRoute
from eventroute_receiver.link import LinkLostError, RedisLink
from eventroute_receiver.script import Script

DEAD_LETTER_S: Final = 30 * 86_400
"""How long a dead letter is kept."""

_ADMIT: Final = Script("admit")
_BURY: Final = Script("bury")
_LOAD: Final = Script("load")

_SERVER_REASONS: Final = {"OOM": Unavailable.MEMORY}
"""First word of Redis' error → reason; every other error means that Redis cannot serve now (LOADING, READONLY, …)."""


class Candidate(NamedTuple):
    """A delivery that asks for admission, and what no other delivery may have claimed."""

    delivery: Delivery
    claims: Sequence[Claim]


class Admitted(NamedTuple):
    """Per candidate: None when it was queued, else the id of the delivery that it repeats."""

    repeats: Sequence[DeliveryId | None]


class Limited(NamedTuple):
    """The route's rate limit is used up."""

    wait_s: float


class NotNow(NamedTuple):
    """Nothing was written; the sender should try again."""

    reason: Unavailable


class Load(NamedTuple):
    """What the autoscaler goes by."""

    load: int
    """Jobs due or running."""
    deferred: int
    """Jobs that wait for their time: retries."""


class Admission:
    """The receiver's edge to Redis."""

    def __init__(self, link: RedisLink, *, max_queue_depth: int) -> None:
        """Take the connection and the number of queued jobs above which nothing more is accepted."""
        self._link = link
        self._max_queue_depth = max_queue_depth

    @property
    def is_up(self) -> bool:
        """Tell whether Redis is connected."""
        return self._link.is_up

    async def admit(
        self, route: ReceiverRoute, candidates: Sequence[Candidate], *, traceparent: str
    ) -> Admitted | Limited | NotNow:
        """Queue all candidates that are new, or none."""
        limit = route.rate_limit
        now_ms = time.time_ns() // 1_000_000
        names: list[str] = [keys.QUEUE, keys.WAKE, keys.bucket(route.uid)]
        args: list[bytes | str | int | float] = [
            self._max_queue_depth,
            limit.per_second if limit else 0,
            limit.burst if limit else 0,
            keys.WAKE_TOKENS,
        ]
        for candidate in candidates:
            delivery = candidate.delivery
            names += (
                keys.delivery(delivery.id),
                keys.job(delivery.id),
                *(keys.claim(claim.id) for claim in candidate.claims),
            )
            job = encode_job(delivery.id, traceparent=traceparent, now_ms=now_ms)
            args += (delivery.id, encode_delivery(delivery), job, len(candidate.claims))
            args += (claim.lifetime_s * 1000 for claim in candidate.claims)
        try:
            status, *rest = await _ADMIT.call(self._link, names, args)
        except LinkLostError:
            return NotNow(Unavailable.REDIS)
        except hiredis.ReplyError as error:
            return NotNow(_reason(error))
        match status:
            case b"full":
                return NotNow(Unavailable.QUEUE_FULL)
            case b"limited":
                return Limited(rest[0] / 1000)
            case _:
                return Admitted([DeliveryId(repeat.decode()) if repeat else None for repeat in rest])

    async def bury(self, delivery: Delivery, *, reason: DeadReason, detail: str) -> NotNow | None:  # noqa: ARG002
        """Keep what was genuine and cannot be queued as a dead letter; None when it is kept."""
        try:
            await _BURY.call(
                self._link,
                [keys.delivery(delivery.id), keys.DEAD],
                [delivery.id, msgspec.json.encode(delivery), DEAD_LETTER_S],
            )
        except LinkLostError:
            return NotNow(Unavailable.REDIS)
        except hiredis.ReplyError as error:
            return NotNow(_reason(error))
        return None

    async def load(self) -> Load | NotNow:
        """Count the queue by Redis' own clock."""
        try:
            due, deferred = await _LOAD.call(self._link, [keys.QUEUE], [])
        except (LinkLostError, hiredis.ReplyError):
            return NotNow(Unavailable.REDIS)
        return Load(load=due, deferred=deferred)


def _reason(error: hiredis.ReplyError) -> Unavailable:
    return _SERVER_REASONS.get(str(error).split(" ", 1)[0], Unavailable.REDIS)
