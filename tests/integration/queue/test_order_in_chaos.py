"""Many workers, crashes, stalls and troubles: each entity's deliveries end in order and run one at a time."""

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from eventroute.ids import Claim, ClaimId, DeliveryId
from eventroute.queue import (
    Admissions,
    Admitted,
    Again,
    Candidate,
    Lease,
    LeaseLost,
    Limit,
    Limits,
    Retention,
    Trouble,
    Upkeep,
    Work,
)
from eventroute.runtime import background
from eventroute.runtime.link import LinkCaller, LinkedRedis, open_link
from support.queue import GROUP
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

LEASE_MS = 80
STALL_S = 0.2
WORKERS = 12
MOST = 10
KEPT = Retention(body=3_600_000, answer=3_600_000, record=3_600_000)
TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")

ENDS = {"settle": 60, "dead": 4, "put back": 8, "pause": 4, "park": 4, "crash": 3, "crash while asking": 5, "stall": 5}
"""What becomes of an attempt, and how often."""


@dataclass
class Course:
    """What was accepted and what ended, in the order in which Redis said so: one connection keeps it."""

    chance: random.Random
    accepted: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    ended: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    entity_of: dict[str, str] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    """Entity → when the lease of its run is over, Unix ms of Redis."""
    dead: list[str] = field(default_factory=list)
    happened: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def begins(self, lease: Lease, now_ms: int) -> str:
        """Note that a run begins, and see that none of the same entity is under way."""
        entity = self.entity_of[lease.delivery]
        assert self.running.get(entity, 0) <= now_ms, f"two runs of {entity}"
        assert sum(until > now_ms for until in self.running.values()) < MOST
        self.running[entity] = now_ms + LEASE_MS
        return entity


async def _receive(admissions: Admissions, course: Course, *, deliveries: int, entities: int) -> None:
    """Admit events in random batches, and now and then send again what is dead."""
    for number in range(deliveries):
        batch = [f"d-{number}-{item}" for item in range(course.chance.choice([1, 1, 1, 3]))]
        again = [course.dead.pop()] if course.dead and course.chance.random() < 0.5 else []
        candidates = []
        for name in [*batch, *again]:
            entity = course.entity_of.setdefault(name, f"e-{course.chance.randrange(entities)}")
            candidates.append(Candidate(sample_delivery(name), [Claim(ClaimId(name), 3600)], lane=entity))
        found = await admissions.admit(PATH, candidates, rate=None)
        assert isinstance(found, Admitted)
        assert [isinstance(fate, Again) for fate in found.fates] == [name in again for name in (*batch, *again)]
        for name in (*batch, *again):
            course.accepted[course.entity_of[name]].append(name)
        await asyncio.sleep(0)


async def _work(work: Work, course: Course, worker: str) -> None:
    while not course.is_over.is_set():
        taken = await work.lease(GROUP, worker=worker, lease_ms=LEASE_MS, wanted=1, busy=0)
        if not taken.leases:
            await asyncio.sleep(0.005)
        for lease in taken.leases:
            entity = course.begins(lease, taken.now_ms)
            try:
                await _attempt(work, course, lease, entity)
            except LeaseLost:
                course.happened["lease lost"] += 1


async def _attempt(work: Work, course: Course, lease: Lease, entity: str) -> None:
    how = course.chance.choices([*ENDS], [*ENDS.values()])[0]
    course.happened[how] += 1
    await work.begin(lease, traceparent="")
    if how == "crash":
        return
    if how in {"crash while asking", "stall"}:
        await work.asking(lease)
    if how == "crash while asking":
        return
    if how == "stall":
        await asyncio.sleep(STALL_S)  # for longer than the lease: another worker may have it by now
    match how:
        case "put back" | "pause":
            await work.put_back(lease, pause_ms=20 if how == "pause" else 0, counts=True)
        case "park":
            await work.park(lease, TROUBLE, has_asked=True)
        case _:
            outcome = "dead" if how == "dead" else "succeeded"
            await work.settle(lease, outcome=outcome, reason="", detail="", retention=KEPT, fields={})
            course.ended[entity].append(lease.delivery)
            if how == "dead":
                course.dead.append(lease.delivery)
    course.running.pop(entity)


async def _keep(upkeep: Upkeep, course: Course) -> None:
    while not course.is_over.is_set():
        await upkeep.unpark(GROUP, TROUBLE.cause, count=100)
        await upkeep.keep(GROUP, worker="keeper", for_ms=1000, cursor=0, routes=100, count=100)
        await asyncio.sleep(0.02)


async def _all_ended(upkeep: Upkeep, receiving: "asyncio.Task[None]") -> None:
    await receiving
    while sum(await upkeep.load(GROUP)):
        await asyncio.sleep(0.05)


async def drive(url: str, *, deliveries: int, entities: int, seed: int) -> Course:
    """Let it all happen; returns what did."""
    course = Course(random.Random(seed))
    link = open_link(url, groups=1)
    redis, call = LinkedRedis(link), LinkCaller(link)
    work, upkeep = Work(call), Upkeep(redis, call)
    async with background.running(link.run):
        await link.until_up(10)
        await redis.flushall()
        await upkeep.limit(GROUP, {PATH: Limit(MOST)})
        admissions = Admissions(call, limits=Limits(1_000_000, 0))
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(_receive(admissions, course, deliveries=deliveries, entities=entities))
            for number in range(WORKERS):
                group.create_task(_work(work, course, f"w-{number}"))
            group.create_task(_keep(upkeep, course))
            await _all_ended(upkeep, receiving)
            course.is_over.set()
        left = [key async for key in redis.scan_iter(match="*lane:*")]
        assert not left
    return course


async def test_each_entitys_deliveries_end_in_the_order_of_acceptance_and_no_two_run_at_once(valkey_url: str) -> None:
    course = await drive(valkey_url, deliveries=400, entities=30, seed=7)
    assert course.ended == course.accepted
    assert set(course.happened) == {*ENDS, "lease lost"}
    assert all(DeliveryId(name) for name in course.entity_of)
