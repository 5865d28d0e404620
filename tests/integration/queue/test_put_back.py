"""A delivery that was put back is as one that was never taken, but for what it has cost."""

import pytest
from redis.asyncio import Redis

from support.queue import GROUP, admit_job, fields, lease, state, work_on

pytestmark = pytest.mark.real


@pytest.mark.parametrize(("pause_ms", "wanted"), [(0, "ready"), (60_000, "later")])
async def test_neither_its_state_nor_its_stage_says_that_it_runs(redis: Redis, pause_ms: int, wanted: str) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).put_back(taken, pause_ms=pause_ms, counts=True, error="as told")
    assert await state(redis, name) == wanted
    told = await fields(redis, name)
    assert (told["attempts"], told["last_error"]) == ("1", "as told")
    assert not {"stage", "waits"} & told.keys()


async def test_a_lease_that_runs_out_before_the_next_attempt_makes_no_suspect_of_it(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).put_back(taken, pause_ms=0, counts=True)
    await lease(redis)
    await redis.zadd(GROUP.running, {name: 1})
    found = await lease(redis)
    assert not found.alone
    assert "cuts" not in await fields(redis, name)


async def test_what_costs_nothing_is_counted_as_a_wait_only_once_it_has_begun(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).put_back(await lease(redis), pause_ms=0, counts=False)
    assert not {"attempts", "waits"} & (await fields(redis, name)).keys()
    for number in (1, 2):
        taken = await lease(redis)
        await work_on(redis).begin(taken, traceparent="")
        await work_on(redis).put_back(taken, pause_ms=0, counts=False)
        told = await fields(redis, name)
        assert (told["attempts"], told["waits"]) == ("0", str(number))


async def test_what_was_said_before_stays_when_nothing_is_said(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    for error in ("as told", ""):
        await work_on(redis).put_back(await lease(redis), pause_ms=0, counts=True, error=error)
        assert (await fields(redis, name))["last_error"] == "as told"


async def test_what_was_put_back_until_later_is_ready_when_it_is_due(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await work_on(redis).put_back(await lease(redis), pause_ms=60_000, counts=True)
    await redis.zadd(GROUP.later, {name: 1})
    await work_on(redis).lease(GROUP, worker="w", lease_ms=60_000, wanted=0, busy=0)
    assert await state(redis, name) == "ready"
    assert not await redis.zcard(GROUP.later)
