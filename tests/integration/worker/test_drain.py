"""Leaving: no new deliveries, time to finish for running ones, and the rest back in the queue without a mark."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.queue import Taken, Work
from eventroute_worker.attempt import Attempt, End
from support.queue import admit_job, fields, state, work_on
from support.worker import DONE, Recorder, Stuck, record, running, until_empty

pytestmark = pytest.mark.real


async def test_a_running_delivery_finishes_within_the_grace_period(redis: Redis) -> None:
    started = asyncio.Event()

    async def slow(_: Attempt) -> End:
        started.set()
        await asyncio.sleep(0.3)
        return DONE

    name = await admit_job(redis, "d-1")
    async with running(redis, slow, grace_s=10):
        await started.wait()
    assert (await record(redis, name))["outcome"] == "succeeded"


async def test_nothing_is_leased_after_the_stop(redis: Redis) -> None:
    handler = Stuck()
    await admit_job(redis, "d-1")
    async with running(redis, handler, grace_s=0.3) as worker:
        await handler.started.wait()
        worker.stop()
        await admit_job(redis, "d-2")
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1"]


async def test_what_does_not_finish_in_time_is_run_by_another_worker_at_once_and_at_no_cost(redis: Redis) -> None:
    next_one, started = Recorder(), asyncio.Event()
    name = await admit_job(redis, "d-1")

    async def stuck(attempt: Attempt) -> End:
        await work_on(redis).begin(attempt.lease, traceparent="")
        started.set()
        await asyncio.Event().wait()
        return DONE

    async with running(redis, stuck, grace_s=0.05):
        await started.wait()
        assert (await fields(redis, name))["attempts"] == "1"
    assert await state(redis, name) == "ready"
    assert (await fields(redis, name))["attempts"] == "0"
    async with running(redis, next_one):
        await until_empty(redis, timeout_s=2)
    assert [attempt.delivery for attempt in next_one.attempts] == [name]


async def test_a_second_stop_does_not_wait(redis: Redis) -> None:
    handler = Stuck()
    name = await admit_job(redis, "d-1")
    async with asyncio.timeout(5), running(redis, handler, grace_s=60) as worker:
        await handler.started.wait()
        worker.stop()
    assert await state(redis, name) == "ready"


async def test_what_was_leased_and_has_not_begun_when_the_stop_comes_is_given_back_at_once(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [await admit_job(redis, f"d-{number}") for number in range(3)]
    handler = Recorder()
    original = Work.lease
    async with asyncio.timeout(5), running(redis, handler, grace_s=60) as worker:
        leased: list[Taken] = []

        async def stopped_meanwhile(self: Work, *args: Any, **kwargs: Any) -> Taken:
            taken = await original(self, *args, **kwargs)
            leased.append(taken)
            worker.stop()
            return taken

        monkeypatch.setattr(Work, "lease", stopped_meanwhile)
        while not leased:
            await asyncio.sleep(0.01)
    assert [each.delivery for each in leased[0].leases] == names
    assert handler.attempts == []
    assert [await state(redis, name) for name in names] == ["ready"] * 3
    for name in names:
        assert "attempts" not in await fields(redis, name)
