"""Deliveries in the queue, put there by the receiver's own call, and what the queue says of them."""

import itertools
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import Claim, ClaimId, DeliveryId, RoutePath
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Admitted, Candidate, Fate, Group, Lease, Limits, Retention, Upkeep, Work
from eventroute.runtime.scripts import ClientCaller
from support.runs import PATH, sample_delivery

GROUP: Final = Group(0)
KEPT: Final = Retention(body=60_000, answer=120_000, record=180_000)


def work_on(redis: Redis) -> Work:
    """Make a worker's calls."""
    return Work(ClientCaller(redis))


def upkeep_of(redis: Redis) -> Upkeep:
    """Make the calls that concern no single delivery."""
    return Upkeep(redis, ClientCaller(redis))


async def offer(redis: Redis, delivery: Delivery, *claims: Claim) -> Fate:
    """Offer a delivery to the queue, which may know it."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    found = await admissions.admit(delivery.route, [Candidate(delivery, claims)], rate=None)
    assert isinstance(found, Admitted)
    return found.fates[0]


async def admit(redis: Redis, delivery: Delivery, *, traceparent: str = "") -> DeliveryId:
    """Queue a delivery."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    await admissions.admit(delivery.route, [Candidate(delivery, [])], rate=None, traceparent=traceparent)
    return delivery.id


async def admit_all(redis: Redis, deliveries: Sequence[Delivery]) -> None:
    """Queue many deliveries of one route in one call."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    candidates = [Candidate(delivery, []) for delivery in deliveries]
    for start in range(0, len(candidates), 500):
        await admissions.admit(deliveries[0].route, candidates[start : start + 500], rate=None)


async def admit_in_lane(redis: Redis, *names: str, lane: str = "x", path: RoutePath = PATH) -> None:
    """Queue deliveries of one entity in one call."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    candidates = [
        Candidate(sample_delivery(name, route=path), [Claim(ClaimId(name), 600)], lane=lane) for name in names
    ]
    await admissions.admit(path, candidates, rate=None)


async def admit_job(redis: Redis, name: str, *, traceparent: str = "") -> DeliveryId:
    """Queue a delivery that nobody reads."""
    return await admit(redis, sample_delivery(name), traceparent=traceparent)


async def lease(redis: Redis, *, worker: str = "w", lease_ms: int = 15_000, busy: int = 0) -> Lease:
    """Lease the next delivery as a worker does."""
    taken = await work_on(redis).lease(GROUP, worker=worker, lease_ms=lease_ms, wanted=1, busy=busy)
    return taken.leases[0]


async def lease_all(redis: Redis, *, worker: str = "w", crowded: Sequence[RoutePath] = ()) -> list[Lease]:
    """Lease all that is ready, one look after the other."""
    found: list[Lease] = []
    for _ in itertools.count():
        taken = await work_on(redis).lease(
            GROUP, worker=worker, lease_ms=60_000, wanted=1000, busy=len(found), crowded=crowded
        )
        if not taken.leases:
            break
        found += taken.leases
    return found


async def run_out(redis: Redis, *names: DeliveryId) -> None:
    """Let leases run out, as if their worker had not been heard of."""
    await redis.zadd(GROUP.running, dict.fromkeys(names, 1), xx=True)


async def run_all_out(redis: Redis) -> None:
    """The same of all that there are."""
    if running := await redis.zrange(GROUP.running, 0, -1):
        await run_out(redis, *(DeliveryId(name.decode()) for name in running))


async def lease_again(redis: Redis, name: DeliveryId, *, worker: str = "other") -> Lease:
    """Let a lease run out and another worker take the delivery."""
    await run_out(redis, name)
    found = await lease(redis, worker=worker)
    assert found.delivery == name
    return found


async def settle(
    redis: Redis, of: Lease, outcome: str = "succeeded", reason: str = "", *, kept: Retention = KEPT
) -> None:
    """End a delivery."""
    await work_on(redis).settle(of, outcome=outcome, reason=reason, detail="", retention=kept, fields={})


async def end(redis: Redis, name: str, outcome: str = "succeeded", *, kept: Retention = KEPT) -> DeliveryId:
    """Queue a delivery, begin it, save an answer for it and end it."""
    await admit_job(redis, name)
    taken = await lease(redis)
    assert taken.delivery == name
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).save(taken, b"{}")
    await settle(redis, taken, outcome, "sink" if outcome == "dead" else "", kept=kept)
    return taken.delivery


async def fields(redis: Redis, delivery: DeliveryId) -> dict[str, str]:
    """Read all that is known of a delivery, but for what is not text."""
    stored: dict[bytes, bytes] = await redis.hgetall(GROUP.delivery(delivery))
    return {name.decode(): value.decode() for name, value in stored.items()}


async def state(redis: Redis, delivery: DeliveryId) -> str:
    """Say where a delivery stands: `gone` without a record."""
    if not await redis.exists(GROUP.delivery(delivery)):
        return "gone"
    return str((await fields(redis, delivery)).get("state", "ready"))


async def ready(redis: Redis) -> list[DeliveryId]:
    """List what is ready, of all routes, in the order of acceptance."""
    found: list[tuple[bytes, float]] = []
    for name in await redis.keys(GROUP.ready(RoutePath("*"))):
        found += await redis.zrange(name, 0, -1, withscores=True)
    return [DeliveryId(member.decode()) for member, _ in sorted(found, key=lambda pair: pair[1])]


async def letters(redis: Redis, path: RoutePath = PATH) -> list[DeliveryId]:
    """List the dead letters of a route, the oldest first."""
    return [DeliveryId(member.decode()) for member in await redis.zrange(GROUP.dead(path), 0, -1)]


async def bury(redis: Redis, delivery: DeliveryId, *, reason: DeadReason = DeadReason.ATTEMPTS) -> None:
    """Let a worker take the delivery, which is next, and give it up."""
    taken = await lease(redis)
    assert taken.delivery == delivery
    await settle(redis, taken, "dead", reason)


async def depth(redis: Redis) -> int:
    """Count what is queued."""
    return int(await redis.hget(GROUP.usage, "depth") or 0)


async def dead_letters(redis: Redis) -> list[str]:
    """Name all dead letters, each route's oldest first."""
    names = sorted([key async for key in redis.scan_iter(match=GROUP.dead(RoutePath("*")), count=1000)])
    return [name.decode() for key in names for name in await redis.zrange(key, 0, -1)]


async def content(redis: Redis) -> dict[bytes, tuple[bytes, int]]:
    """Read all that Redis holds, byte for byte, and when each of it expires."""
    keys = [key async for key in redis.scan_iter(count=1000)]
    return {key: (await redis.dump(key), await redis.pexpiretime(key)) for key in keys}


async def clock_ms(redis: Redis) -> int:
    """Read Redis' clock."""
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000
