"""When deliveries start: at once when they are ready, in every free slot, in order, and not before they are due."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis

from eventroute_worker import worker as worker_module
from eventroute_worker.attempt import Attempt, End, Later
from support.queue import GROUP, admit_job, clock_ms, lease, work_on
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


async def test_a_delivery_that_came_without_a_wake_up_is_found_anyway(redis: Redis) -> None:
    async with running(redis, Recorder()):
        await asyncio.sleep(0.1)
        await admit_job(redis, "d-1")
        await redis.delete(GROUP.wake)
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


async def test_deliveries_of_a_route_start_in_the_order_of_their_acceptance(redis: Redis) -> None:
    handler = Recorder(Later(delay_s=0))
    for number in (3, 1, 2):
        await admit_job(redis, f"d-{number}")
    async with running(redis, handler, slots=1):
        await until_empty(redis)
    started = [attempt.delivery for attempt in handler.attempts]
    assert list(dict.fromkeys(started)) == ["d-3", "d-1", "d-2"]
    assert started.count(started[0]) == 2


async def test_what_was_put_back_starts_when_it_is_due_and_not_before(redis: Redis) -> None:
    began: list[int] = []

    async def handler(_: Attempt) -> End:
        began.append(await clock_ms(redis))
        return Later(delay_s=0.3) if len(began) == 1 else DONE

    async with running(redis, handler):
        await admit_job(redis, "d-1")
        await until_empty(redis)
    assert len(began) == 2
    assert began[1] - began[0] >= 300


async def test_two_workers_never_run_the_same_delivery(redis: Redis) -> None:
    handler = Recorder()
    async with running(redis, handler), running(redis, handler):
        await asyncio.gather(*(admit_job(redis, f"d-{number}") for number in range(200)))
        await until_empty(redis)
    assert sorted(attempt.delivery for attempt in handler.attempts) == sorted(f"d-{n}" for n in range(200))


async def test_the_scripts_are_sent_again_after_the_server_forgot_them(redis: Redis) -> None:
    handler = Recorder()
    async with running(redis, handler):
        await admit_job(redis, "d-1")
        await until_empty(redis)
        await redis.script_flush()
        await admit_job(redis, "d-2")
        await until_empty(redis)
    assert len(handler.attempts) == 2


async def test_a_delivery_that_is_put_back_wakes_an_idle_worker(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert [attempt.delivery for attempt in idle.attempts] == ["d-1"]


async def test_an_idle_worker_waits_for_what_another_one_has_put_back(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_LOOK_S", 10.0)
    idle = Recorder()
    await admit_job(redis, "d-1")
    taken = await lease(redis)
    async with running(redis, idle):
        await asyncio.sleep(0.2)  # it waits by now
        await work_on(redis).put_back(taken, pause_ms=300, counts=False)
        await until_empty(redis, timeout_s=4)
    assert [attempt.delivery for attempt in idle.attempts] == ["d-1"]


async def test_wake_ups_that_mean_nothing_any_more_are_dropped_at_once(redis: Redis) -> None:
    await redis.lpush(GROUP.wake, *(["1"] * 64))
    await admit_job(redis, "d-1")
    await lease(redis, worker="one")
    assert await redis.llen(GROUP.wake) == 64  # there may be more than the one that was wanted
    with pytest.raises(IndexError):
        await lease(redis, worker="other")
    assert not await redis.exists(GROUP.wake)
