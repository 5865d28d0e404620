"""When jobs start: at once when they are due, in every free slot, past all that are running, and not before."""

import asyncio
import contextlib
import time

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute_worker import scripts
from eventroute_worker import worker as worker_module
from eventroute_worker.attempt import Attempt, End, Later
from support.queue import admit_job
from support.worker import DONE, Recorder, Stuck, running, until_empty

pytestmark = pytest.mark.real


async def test_an_idle_worker_is_woken_rather_than_polling(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 4.0)
    handler = Recorder()
    async with running(redis, handler):
        await asyncio.sleep(0.1)
        await admit_job(redis, "d-1")
        await until_empty(redis, timeout_s=2)
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1"]


async def test_a_job_that_came_without_a_wake_up_is_found_anyway(redis: Redis) -> None:
    async with running(redis, Recorder()):
        await asyncio.sleep(0.1)
        await admit_job(redis, "d-1")
        await redis.delete(keys.WAKE)
        await until_empty(redis, timeout_s=3)


async def test_a_freed_slot_is_filled_at_once(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 10.0)
    most, now = 0, 0

    async def handler(_: Attempt) -> End:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return DONE

    for number in range(100):
        await admit_job(redis, f"d-{number}")
    async with running(redis, handler, slots=5):
        await until_empty(redis)
    assert most == 5


async def test_jobs_start_in_the_order_in_which_they_were_due(redis: Redis) -> None:
    handler = Recorder()
    for number in (3, 1, 2):
        await admit_job(redis, f"d-{number}", due_in_s=number - 10)
    async with running(redis, handler, slots=1):
        await until_empty(redis)
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1", "d-2", "d-3"]


async def test_a_deferred_job_starts_when_it_is_due_and_not_before(redis: Redis) -> None:
    handler = Recorder(Later(delay_s=0.3))
    started = time.monotonic()
    async with running(redis, handler):
        await admit_job(redis, "d-1")
        await until_empty(redis)
    assert time.monotonic() - started >= 0.3
    assert [attempt.number for attempt in handler.attempts] == [1, 2]


async def test_jobs_that_others_run_do_not_hide_those_behind_them(redis: Redis) -> None:
    for number in range(450):  # more than two pages of the script
        name = await admit_job(redis, f"d-{number:03}", due_in_s=-60)
        await redis.set(keys.lease(name), "another worker", ex=60)
    last = await admit_job(redis, "d-last")
    handler = Recorder()
    async with running(redis, handler):
        async with asyncio.timeout(5):
            while not handler.attempts:
                await asyncio.sleep(0.01)
    assert [attempt.delivery for attempt in handler.attempts] == [last]


async def test_two_workers_never_run_the_same_job(redis: Redis) -> None:
    handler = Recorder()
    async with running(redis, handler), running(redis, handler):
        await asyncio.gather(*(admit_job(redis, f"d-{number}") for number in range(200)))
        await until_empty(redis)
    assert sorted(attempt.delivery for attempt in handler.attempts) == sorted(f"d-{n}" for n in range(200))


async def test_a_worker_whose_slots_are_taken_leases_nothing_more(redis: Redis) -> None:
    handler = Stuck()
    for number in range(5):
        await admit_job(redis, f"d-{number}")
    async with running(redis, handler, slots=2):
        await asyncio.sleep(0.2)
        assert len([key async for key in redis.scan_iter("arq:in-progress:*")]) == 2


async def test_the_scripts_are_sent_again_after_the_server_forgot_them(redis: Redis) -> None:
    handler = Recorder()
    async with running(redis, handler):
        await admit_job(redis, "d-1")
        await until_empty(redis)
        await redis.script_flush()
        await admit_job(redis, "d-2")
        await until_empty(redis)
    assert len(handler.attempts) == 2


async def test_the_queue_is_worked_off_when_redis_is_full(redis: Redis) -> None:
    handler = Recorder(Later(delay_s=0))
    await admit_job(redis, "d-1")
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", 1)
    try:
        async with running(redis, handler):
            await until_empty(redis)
    finally:
        await redis.config_set("maxmemory", 0)
    assert len(handler.attempts) == 2


async def test_a_job_that_is_put_back_wakes_an_idle_worker(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 4.0)
    stuck, idle = Stuck(), Recorder()
    await admit_job(redis, "d-1")
    async with contextlib.AsyncExitStack() as leaving:
        await leaving.enter_async_context(running(redis, stuck))
        await stuck.started.wait()
        async with running(redis, idle):
            await asyncio.sleep(0.1)
            await leaving.aclose()
            await until_empty(redis, timeout_s=2)
    assert [attempt.number for attempt in idle.attempts] == [1]


async def test_wake_ups_that_mean_nothing_any_more_are_dropped_at_once(redis: Redis) -> None:
    await redis.lpush(keys.WAKE, *(["1"] * keys.WAKE_TOKENS))
    lease = scripts.load(redis, "lease")
    prefixes = ("arq:in-progress:", "arq:job:", "arq:retry:")
    name = await admit_job(redis, "d-1")
    assert (await lease([keys.QUEUE, keys.WAKE], [*prefixes, "one", 1000, 1, 100]))[2][0] == name.encode()
    assert await redis.llen(keys.WAKE) == keys.WAKE_TOKENS  # there may be more than the one that was wanted
    await lease([keys.QUEUE, keys.WAKE], [*prefixes, "other", 1000, 1, 100])
    assert not await redis.exists(keys.WAKE)
