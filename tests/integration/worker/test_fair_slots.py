"""A worker takes what it can begin, keeps room for other routes, and lets a suspect run alone."""

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.queue import Admissions, Candidate, Group, Limits, group_of
from eventroute.runtime.scripts import ClientCaller
from eventroute_worker.attempt import Attempt, End
from support.queue import GROUP, admit, admit_all, admit_job, lease, run_out, state, work_on
from support.runs import sample_delivery
from support.waiting import until
from support.worker import DONE, Stuck, running, until_empty

pytestmark = pytest.mark.real

HANGS, OTHER = route_path("team-a", "hangs"), route_path("team-a", "other")


async def _flood(redis: Redis, path: RoutePath, count: int) -> None:
    await admit_all(redis, [sample_delivery(f"{path}-{number:04}", route=path) for number in range(count)])


class Hanging:
    """Calls of one route hang; those of others end at once."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.started: Counter[RoutePath] = Counter()
        self.now: Counter[RoutePath] = Counter()
        self.most: Counter[RoutePath] = Counter()

    async def __call__(self, attempt: Attempt) -> End:
        path = attempt.lease.path
        self.started[path] += 1
        self.now[path] += 1
        self.most |= self.now
        try:
            if path == HANGS:
                await self.over.wait()
        finally:
            self.now[path] -= 1
        return DONE


async def test_a_worker_leases_only_what_it_can_begin(redis: Redis) -> None:
    handler = Stuck()
    for number in range(20):
        await admit_job(redis, f"d-{number}")
    async with running(redis, handler, slots=3):
        await until(lambda: len(handler.attempts) == 3)
        await asyncio.sleep(0.3)
        assert await redis.zcard(GROUP.running) == len(handler.attempts) == 3


async def test_what_one_worker_cannot_begin_is_begun_by_an_idle_one(redis: Redis) -> None:
    first, second = Stuck(), Stuck()
    for number in range(4):
        await admit_job(redis, f"d-{number}")
    async with running(redis, first, slots=2):
        await until(lambda: len(first.attempts) == 2)
        async with running(redis, second, slots=5):
            await until(lambda: len(second.attempts) == 2)


async def test_a_slot_is_free_for_the_next_one_while_the_answer_is_on_its_way(redis: Redis) -> None:
    began: list[str] = []
    over = asyncio.Event()

    async def answered(attempt: Attempt) -> End:
        began.append(attempt.delivery)
        attempt.free_slot()
        await over.wait()
        return DONE

    for number in range(6):
        await admit_job(redis, f"d-{number}")
    async with running(redis, answered, slots=2, begun=4, grace_s=5):
        await until(lambda: len(began) >= 4)
        over.set()
        await until_empty(redis)
    assert began == [f"d-{number}" for number in range(6)]


async def test_a_route_whose_calls_hang_leaves_one_slot_in_five_once_there_are_others(redis: Redis) -> None:
    handler, third = Hanging(), route_path("team-a", "third")
    await _flood(redis, HANGS, 50)
    await _flood(redis, OTHER, 30)
    async with running(redis, handler, slots=5):
        await until(lambda: handler.started[OTHER] == 30)
        assert handler.now[HANGS] == handler.most[HANGS] == 4
        await _flood(redis, third, 20)
        await until(lambda: handler.started[third] == 20)
        assert handler.now[HANGS] == handler.most[HANGS] == 4


async def test_a_flood_does_not_take_at_once_what_is_left_for_others(redis: Redis) -> None:
    handler = Hanging()
    await _flood(redis, HANGS, 3)
    await _flood(redis, OTHER, 1)
    async with running(redis, handler, slots=5):
        await until(lambda: (handler.started[OTHER], handler.now[HANGS]) == (1, 3))
        await admit_all(redis, [sample_delivery(f"more-{number}", route=HANGS) for number in range(10)])
        await until(lambda: handler.now[HANGS] >= 4)
        await asyncio.sleep(0.2)
        assert handler.most[HANGS] == 4


async def test_a_route_that_is_alone_has_all_slots(redis: Redis) -> None:
    handler = Hanging()
    await _flood(redis, HANGS, 50)
    async with running(redis, handler, slots=5):
        await until(lambda: handler.now[HANGS] == 5)


async def test_one_delivery_of_another_route_does_not_wait_for_a_flood(redis: Redis) -> None:
    order: list[RoutePath] = []

    async def handler(attempt: Attempt) -> End:
        order.append(attempt.lease.path)
        if len(order) == 10:
            await _flood(redis, OTHER, 1)
        return DONE

    await _flood(redis, HANGS, 1000)
    async with running(redis, handler, slots=1):
        await until(lambda: OTHER in order)
    assert order.index(OTHER) <= 12


async def test_a_worker_that_runs_something_takes_no_more_until_a_suspect_has_run_alone(redis: Redis) -> None:
    suspect = await admit_job(redis, "d-suspect")
    taken = await lease(redis, worker="killed")
    await work_on(redis).begin(taken, traceparent="")
    order: list[str] = []
    now: set[DeliveryId] = set()
    first_is_over = asyncio.Event()

    async def handler(attempt: Attempt) -> End:
        order.append(attempt.delivery)
        now.add(attempt.delivery)
        if attempt.delivery == "d-0":
            await first_is_over.wait()
        if attempt.delivery == suspect:
            assert attempt.lease.alone
            for number in range(5):
                await admit_job(redis, f"d-beside-{number}")
            await asyncio.sleep(0.2)
            assert now == {suspect}
        now.discard(attempt.delivery)
        return DONE

    async with running(redis, handler, slots=5):
        await admit_job(redis, "d-0")
        await until(lambda: order == ["d-0"])
        await run_out(redis, suspect)
        await admit_job(redis, "d-1")  # wakes the worker, which hears that it is to drain

        async def drains() -> bool:
            return bool(await redis.exists(GROUP.solo))

        await until(drains)
        await admit_job(redis, "d-2")
        await asyncio.sleep(0.2)
        assert order == ["d-0"]
        first_is_over.set()
        await until_empty(redis)
    assert order[1] == suspect
    assert sorted(order[2:]) == ["d-1", "d-2", *(f"d-beside-{number}" for number in range(5))]
    assert await state(redis, suspect) == "settled"


async def test_a_held_route_costs_the_others_nothing_and_goes_on_when_it_is_released(redis: Redis) -> None:
    handler = Hanging()
    handler.over.set()
    await _flood(redis, HANGS, 2000)
    await redis.hset(GROUP.held, HANGS, '{"reason":"withheld","detail":"","since":1}')
    await redis.zrem(GROUP.rotation, HANGS)
    async with running(redis, handler, slots=5):
        for number in range(20):
            await admit(redis, sample_delivery(f"o-{number}", route=OTHER))
        await until(lambda: handler.started[OTHER] == 20)
        assert handler.started[HANGS] == 0


async def test_a_group_of_the_queue_that_is_full_delays_no_other(redis: Redis) -> None:
    order: list[RoutePath] = []
    flooded, single = (_path_of(number) for number in (0, 1))

    async def handler(attempt: Attempt) -> End:
        order.append(attempt.lease.path)
        return DONE

    admissions = Admissions(ClientCaller(redis), limits=Limits(10_000, 0), groups=2)
    for path, count in ((flooded, 100), (single, 1)):
        deliveries = [sample_delivery(f"{path}-{number}", route=path) for number in range(count)]
        await admissions.admit(path, [Candidate(delivery, []) for delivery in deliveries], rate=None)
    async with running(redis, handler, slots=1, groups=[Group(0), Group(1)]):
        await until(lambda: len(order) == 101)
    assert order.index(single) <= 2


def _path_of(group: int) -> RoutePath:
    """Find a route of a group, of two."""
    paths = (route_path(f"team-{number}", "triage") for number in range(100))
    return next(path for path in paths if group_of(path, 2) == Group(group))
