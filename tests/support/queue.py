"""Deliveries in the queue, put there by the receiver's own call, and what the queue says of them."""

from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import DeliveryId
from eventroute.queue import Admissions, Candidate, Group, Lease, Limits, Upkeep, Work
from eventroute.runtime.scripts import ClientCaller
from support.runs import sample_delivery

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
