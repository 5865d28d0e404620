"""Tokens for idle workers: one for each delivery that becomes ready, never more than workers make sense of."""

import pytest
from redis.asyncio import Redis

from eventroute.queue import Admissions, Candidate, Limits, Trouble
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit_job, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")


async def tokens(redis: Redis) -> int:
    return int(await redis.llen(GROUP.wake))


async def admit(redis: Redis, count: int) -> None:
    candidates = [Candidate(sample_delivery(f"d-{number}"), []) for number in range(count)]
    await Admissions(ClientCaller(redis), limits=Limits(1000, 0)).admit(PATH, candidates, rate=None)


@pytest.mark.parametrize(("count", "wanted"), [(1, 1), (3, 3), (64, 64), (65, 64)])
async def test_one_for_each_that_is_admitted(redis: Redis, count: int, wanted: int) -> None:
    await admit(redis, count)
    assert await tokens(redis) == wanted


async def test_they_do_not_pile_up(redis: Redis) -> None:
    for number in range(70):
        await admit_job(redis, f"d-{number}")
    assert await tokens(redis) == 64


async def test_none_while_the_route_is_held_and_one_for_each_that_waits_when_it_is_released(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    await admit(redis, 3)
    assert await tokens(redis) == 0
    assert await upkeep_of(redis).release(GROUP, [PATH]) == 1
    assert await tokens(redis) == 3
    assert await upkeep_of(redis).release(GROUP, [PATH]) == 0


async def test_one_when_something_is_put_back_now_or_for_later(redis: Redis) -> None:
    for pause_ms in (0, 60_000):
        await admit_job(redis, f"d-{pause_ms}")
        taken = await lease(redis)
        await redis.delete(GROUP.wake)
        await work_on(redis).put_back(taken, pause_ms=pause_ms, counts=True)
        assert await tokens(redis) == 1
        await redis.flushall()


async def test_one_when_something_goes_on_that_was_parked(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), TROUBLE, has_asked=False)
    await redis.delete(GROUP.wake)
    await upkeep_of(redis).unpark(GROUP, TROUBLE.cause, count=9)
    assert await tokens(redis) == 1


@pytest.mark.parametrize("begins", [True, False])
async def test_one_when_a_lease_has_run_out(redis: Redis, *, begins: bool) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    if begins:
        await work_on(redis).begin(taken, traceparent="")
    await redis.delete(GROUP.wake)
    await redis.zadd(GROUP.running, {name: 1})
    await work_on(redis).lease(GROUP, worker="x", lease_ms=60_000, wanted=0, busy=0)
    assert await tokens(redis) == 1


async def test_none_are_left_when_a_worker_finds_nothing_more(redis: Redis) -> None:
    await admit(redis, 3)
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=60_000, wanted=3, busy=0)
    assert len(taken.leases) == 3
    await work_on(redis).lease(GROUP, worker="w", lease_ms=60_000, wanted=1, busy=3)
    assert await tokens(redis) == 0
