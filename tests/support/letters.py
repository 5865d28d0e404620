"""Deliveries that have ended, many of them and quickly."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Admissions, Candidate, Limits, Retention
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit, lease, work_on
from support.runs import PATH, sample_delivery

HOUR = Retention(3_600_000, 3_600_000, 3_600_000)


async def end(
    redis: Redis,
    delivery: Delivery,
    *,
    outcome: RunOutcome = RunOutcome.DEAD,
    reason: str = DeadReason.RENDER,
    detail: str = "",
    fields: Mapping[str, Any] | None = None,
) -> DeliveryId:
    """Queue a delivery and end it as a worker does, with nothing else queued."""
    await admit(redis, delivery)
    work, leased = work_on(redis), await lease(redis)
    await work.begin(leased, traceparent="")
    is_dead = outcome is RunOutcome.DEAD
    await work.settle(
        leased,
        outcome=outcome,
        reason=reason if is_dead else "",
        detail=detail,
        retention=HOUR,
        fields=fields or {},
    )
    return delivery.id


async def bury(redis: Redis, count: int, *, prefix: str = "d-", path: RoutePath = PATH) -> list[DeliveryId]:
    """Make dead letters, as a receiver does of events that a filter cannot judge."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    dead = (DeadReason.FILTER, "no such overload")
    letters = [sample_delivery(f"{prefix}{number}", route=path) for number in range(count)]
    for start in range(0, count, 500):
        part = [Candidate(letter, [], dead) for letter in letters[start : start + 500]]
        await admissions.admit(path, part, rate=None)
    return [letter.id for letter in letters]


async def dead(redis: Redis, path: RoutePath = PATH) -> int:
    """Count a route's dead letters."""
    return int(await redis.zcard(GROUP.dead(path)))
