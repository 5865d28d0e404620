"""Deliveries in the queue, put there by the receiver's own call, and what the queue says of them."""

from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId, RoutePath
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Admissions, Candidate, Group, Lease, Limits, Upkeep, Work
from eventroute.runtime.scripts import ClientCaller
from eventroute_worker.attempt import DEFAULT_RETENTION
from support.runs import PATH, sample_delivery

GROUP = Group(0)


def work_on(redis: Redis) -> Work:
    """Make a worker's calls."""
    return Work(ClientCaller(redis))


def upkeep_of(redis: Redis) -> Upkeep:
    """Make the calls that concern no single delivery."""
    return Upkeep(redis, ClientCaller(redis))


async def admit(redis: Redis, delivery: Delivery, *, traceparent: str = "") -> DeliveryId:
    """Queue a delivery."""
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    await admissions.admit(delivery.route, [Candidate(delivery, [])], rate=None, traceparent=traceparent)
    return delivery.id


async def admit_job(redis: Redis, name: str, *, traceparent: str = "") -> DeliveryId:
    """Queue a delivery that nobody reads."""
    return await admit(redis, sample_delivery(name), traceparent=traceparent)


async def lease(redis: Redis, *, worker: str = "w", lease_ms: int = 15_000, busy: int = 0) -> Lease:
    """Lease the next delivery as a worker does."""
    taken = await work_on(redis).lease(GROUP, worker=worker, lease_ms=lease_ms, wanted=1, busy=busy)
    return taken.leases[0]


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
    await end(redis, taken, outcome=RunOutcome.DEAD, reason=reason)


async def end(
    redis: Redis, taken: Lease, *, outcome: RunOutcome = RunOutcome.SUCCEEDED, reason: DeadReason | None = None
) -> None:
    """End a delivery as a worker does."""
    await work_on(redis).settle(
        taken, outcome=outcome, reason=reason or "", detail="as told", retention=DEFAULT_RETENTION, fields={}
    )
