"""Who runs a job: one worker at a time, and another one soon after the first has died."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import DeliveryId
from eventroute_worker.attempt import Attempt, End
from support.queue import admit_job
from support.waiting import until
from support.worker import DONE, Recorder, Stuck, record, running, until_empty

pytestmark = pytest.mark.real

LEASE_S = 0.6


async def test_a_lease_is_renewed_for_as_long_as_the_job_runs(redis: Redis) -> None:
    second = Recorder()

    async def slow(_: Attempt) -> End:
        await asyncio.sleep(3 * LEASE_S)
        return DONE

    name = await admit_job(redis, "d-1")
    async with running(redis, slow, slots=1, lease_s=LEASE_S) as first:
        await until(lambda: redis.exists(keys.lease(name)))
        assert await redis.get(keys.lease(name)) == first.id.encode()
        async with running(redis, second, lease_s=LEASE_S):
            await until_empty(redis)
    assert second.attempts == []
    assert (await record(redis, name))["attempts"] == "1"


async def test_a_dead_workers_job_runs_elsewhere_when_its_lease_has_run_out(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    await redis.set(keys.lease(name), "a worker that was killed", px=300)
    await redis.set(keys.tries(name), 1)
    handler = Recorder()
    async with running(redis, handler):
        await asyncio.sleep(0.1)
        assert handler.attempts == []
        await until_empty(redis)
    assert [attempt.number for attempt in handler.attempts] == [2]


async def test_a_job_that_another_worker_took_is_given_up(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    handler = Stuck()
    async with running(redis, handler, lease_s=LEASE_S) as worker:
        await handler.started.wait()
        await redis.set(keys.lease(name), "another worker", px=60_000)

        await until(lambda: not worker.tasks)
    assert await redis.get(keys.lease(name)) == b"another worker"
    assert await redis.zscore(keys.QUEUE, name) is not None
    assert await redis.get(keys.tries(name)) == b"1"


async def test_a_lease_that_ran_out_unnoticed_is_taken_again(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    handler = Stuck()
    async with running(redis, handler, slots=1, lease_s=LEASE_S) as worker:
        await handler.started.wait()
        await redis.delete(keys.lease(name))
        await until(lambda: redis.exists(keys.lease(name)))
        assert await redis.get(keys.lease(name)) == worker.id.encode()
        assert len(handler.attempts) == 1


@pytest.mark.parametrize("change", ["settled", "deferred"])
async def test_a_lease_is_not_taken_again_once_another_worker_has_decided(redis: Redis, change: str) -> None:
    name = await admit_job(redis, "d-1")
    handler = Stuck()
    async with running(redis, handler, lease_s=LEASE_S) as worker:
        await handler.started.wait()
        await redis.delete(keys.lease(name))
        if change == "settled":
            await redis.zrem(keys.QUEUE, name)
        else:
            await redis.zadd(keys.QUEUE, {name: (time.time() + 60) * 1000})

        await until(lambda: not worker.tasks)
    assert not await redis.exists(keys.lease(name))


async def test_a_worker_whose_loop_stood_still_cannot_settle_what_another_has_settled(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")
    entered = asyncio.Event()

    async def blocks(_: Attempt) -> End:
        entered.set()
        await redis.set(keys.lease(name), "another worker", px=60_000)
        return DONE

    async with running(redis, blocks):
        await entered.wait()
        await asyncio.sleep(0.1)
    assert await redis.get(keys.lease(name)) == b"another worker"
    assert await redis.exists(keys.job(name), keys.QUEUE) == 2
    assert await record(redis, name) == {}


async def test_a_job_whose_lease_was_granted_by_a_lost_reply_starts_at_once_and_as_its_first_attempt(
    redis: Redis,
) -> None:
    handler = Recorder()
    async with running(redis, handler) as worker:
        await asyncio.sleep(0.05)
        name = DeliveryId("d-1")
        await redis.set(keys.lease(name), worker.id, ex=60)
        await redis.set(keys.tries(name), 1)
        await admit_job(redis, name)
        await until_empty(redis, timeout_s=2)
    assert [attempt.number for attempt in handler.attempts] == [1]


async def test_a_worker_does_not_lease_again_what_it_runs(redis: Redis) -> None:
    handler = Stuck()
    name = await admit_job(redis, "d-1")
    async with running(redis, handler, lease_s=60):
        await handler.started.wait()
        await redis.delete(keys.lease(name))
        await admit_job(redis, "d-2")
        await until(lambda: len(handler.attempts) == 2)
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1", "d-2"]
