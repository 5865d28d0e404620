"""Who runs a delivery: one worker at a time, and another one soon after the first has died."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import Renewed
from eventroute.runtime.metrics import REGISTRY
from eventroute_worker.attempt import Attempt, End
from support.queue import GROUP, admit_job, clock_ms, fields, lease, lease_again, run_out, state, work_on
from support.waiting import until
from support.worker import DONE, Recorder, Stuck, record, running, until_empty

pytestmark = pytest.mark.real

LEASE_S = 0.6


async def _until_renewed(redis: Redis, name: DeliveryId) -> None:
    async def is_renewed() -> bool:
        return int(await redis.zscore(GROUP.running, name) or 0) > await clock_ms(redis)

    await until(is_renewed)


async def test_a_lease_is_renewed_for_as_long_as_the_attempt_runs(redis: Redis) -> None:
    second = Recorder()

    async def slow(_: Attempt) -> End:
        await asyncio.sleep(3 * LEASE_S)
        return DONE

    name = await admit_job(redis, "d-1")
    async with running(redis, slow, slots=1, lease_s=LEASE_S):
        await _until_renewed(redis, name)
        async with running(redis, second, lease_s=LEASE_S):
            await until_empty(redis)
    assert second.attempts == []
    assert (await record(redis, name))["fence"] == "1"


async def test_a_lease_lasts_as_long_as_it_was_asked_for(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    before = await clock_ms(redis)
    taken = await lease(redis, lease_ms=40_000)
    assert before + 40_000 <= await redis.zscore(GROUP.running, name) <= await clock_ms(redis) + 40_000
    before = await clock_ms(redis)
    assert await work_on(redis).renew(GROUP, [taken], lease_ms=50_000) == Renewed([], {})
    assert before + 50_000 <= await redis.zscore(GROUP.running, name) <= await clock_ms(redis) + 50_000


async def test_a_dead_workers_delivery_runs_elsewhere_when_its_lease_has_run_out_and_not_before(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    killed = await lease(redis, worker="killed", lease_ms=400)
    await work_on(redis).begin(killed, traceparent="")
    over = await redis.zscore(GROUP.running, name)
    began: list[int] = []

    async def handler(attempt: Attempt) -> End:
        began.append(await clock_ms(redis))
        assert (await work_on(redis).begin(attempt.lease, traceparent="")).attempts == 2
        return DONE

    async with running(redis, handler):
        await until_empty(redis)
    assert len(began) == 1
    assert began[0] >= over


async def test_a_lease_whose_reply_was_lost_costs_no_attempt_and_makes_no_suspect(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await lease(redis, lease_ms=200)
    handler = Recorder()
    async with running(redis, handler):
        await until_empty(redis)
    assert [attempt.lease.alone for attempt in handler.attempts] == [False]
    assert "cuts" not in await record(redis, name)


async def test_a_delivery_that_another_worker_took_is_given_up(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    handler = Stuck()
    async with running(redis, handler, slots=1, lease_s=LEASE_S) as worker:
        await handler.started.wait()
        other = await lease_again(redis, name)
        await until(lambda: not worker.tasks)
        found = await fields(redis, name)
        assert (found["state"], found["fence"]) == ("running", str(other.fence))
    assert len(handler.attempts) == 1


async def test_a_lease_that_ran_out_unnoticed_is_renewed(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    handler = Stuck()
    async with running(redis, handler, slots=1, lease_s=LEASE_S):
        await handler.started.wait()
        await run_out(redis, name)
        await _until_renewed(redis, name)
        assert len(handler.attempts) == 1


async def test_a_worker_whose_loop_stood_still_cannot_settle_what_another_has(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    lost = REGISTRY.get_sample_value("eventroute_worker_leases_lost_total") or 0

    async def overtaken(_: Attempt) -> End:
        await lease_again(redis, name)
        return DONE

    async with running(redis, overtaken, slots=1) as worker:
        await until(lambda: REGISTRY.get_sample_value("eventroute_worker_leases_lost_total") == lost + 1)
        await until(lambda: not worker.tasks)
    found = await fields(redis, name)
    assert (found["state"], found["fence"]) == ("running", "2")
    assert "outcome" not in found


async def test_a_worker_that_leases_again_what_it_still_runs_ends_the_first_attempt_before_the_second(
    redis: Redis,
) -> None:
    name = await admit_job(redis, "d-1")
    now, fences, started = 0, [], asyncio.Event()

    async def handler(attempt: Attempt) -> End:
        nonlocal now
        now += 1
        assert now == 1, "two attempts at the same time"
        fences.append(attempt.lease.fence)
        started.set()
        try:
            if len(fences) == 1:
                await asyncio.Event().wait()
        finally:
            now -= 1
        return DONE

    async with running(redis, handler, lease_s=60):
        await started.wait()
        await run_out(redis, name)
        await until_empty(redis)
    assert len(fences) == 2
    assert await state(redis, name) == "settled"
