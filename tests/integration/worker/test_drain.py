"""Leaving: no new jobs, time to finish for running ones, and the rest back in the queue without a mark against it."""

import asyncio

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute_worker.attempt import Attempt, End
from support.queue import admit_job
from support.worker import DONE, Recorder, Stuck, record, running, until_empty

pytestmark = pytest.mark.real


async def test_a_running_job_finishes_within_the_grace_period(redis: Redis) -> None:
    started = asyncio.Event()

    async def slow(_: Attempt) -> End:
        started.set()
        await asyncio.sleep(0.3)
        return DONE

    name = await admit_job(redis, "d-1")
    async with running(redis, slow, grace_s=10):
        await started.wait()
    assert (await record(redis, name))["outcome"] == "succeeded"


async def test_no_job_is_picked_up_after_the_stop(redis: Redis) -> None:
    handler = Stuck()
    await admit_job(redis, "d-1")
    async with running(redis, handler, grace_s=0.3) as worker:
        await handler.started.wait()
        worker.stop()
        await admit_job(redis, "d-2")
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1"]


async def test_what_does_not_finish_in_time_is_run_by_another_worker_at_once(redis: Redis) -> None:
    stuck, next_one = Stuck(), Recorder()
    name = await admit_job(redis, "d-1")
    async with running(redis, stuck, grace_s=0.05):
        await stuck.started.wait()
    assert not await redis.exists(keys.lease(name))
    async with running(redis, next_one):
        await until_empty(redis, timeout_s=1)
    assert [attempt.number for attempt in next_one.attempts] == [1]


async def test_a_second_stop_does_not_wait(redis: Redis) -> None:
    handler = Stuck()
    await admit_job(redis, "d-1")
    async with asyncio.timeout(5), running(redis, handler, grace_s=60) as worker:
        await handler.started.wait()
        worker.stop()
