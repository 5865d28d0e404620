"""An event is told of what came before it, in the order of receipt, whichever was answered first."""

import pytest
from redis.asyncio import Redis

from eventroute_worker.answer import Passing
from eventroute_worker.attempt import Attempt, Later, Settled
from support.queue import GROUP, admit, lease, lease_again, settle, work_on
from support.runs import HISTORY, FakeClaude, FakeRoutes, build_runner, sample_delivery, worker_route

pytestmark = pytest.mark.real

ROUTES = FakeRoutes(worker_route(entity="payload.who", history=HISTORY))


async def test_an_event_that_is_answered_late_is_not_told_of_a_later_one(redis: Redis) -> None:
    claude = FakeClaude(Passing(detail="529"))
    runner = build_runner(redis, claude=claude, routes=ROUTES)
    for name in ("d-1", "d-2", "d-3"):
        await admit(redis, sample_delivery(name, payload=b'{"who":"ada"}'))
    first, second, third = [await lease(redis) for _ in range(3)]
    assert isinstance(await runner(Attempt(first)), Later)
    await work_on(redis).put_back(first, pause_ms=0, counts=False)
    assert isinstance(await runner(Attempt(second)), Settled)  # Answer 2.
    again = await lease(redis)
    assert again.delivery == first.delivery
    assert isinstance(await runner(Attempt(again)), Settled)  # Answer 3.
    assert isinstance(await runner(Attempt(third)), Settled)  # Answer 4.
    assert "Answer 2." not in claude.asked[2].user
    told = claude.asked[3].user
    assert told.index("Answer 3.") < told.index("Answer 2."), "the first event's conclusion comes first"


async def test_what_is_kept_are_the_latest_by_receipt(redis: Redis) -> None:
    claude = FakeClaude()
    runner = build_runner(redis, claude=claude, routes=ROUTES)
    for number in range(5):
        await admit(redis, sample_delivery(f"d-{number}", payload=b'{"who":"ada"}'))
    leases = [await lease(redis) for _ in range(5)]
    for taken in (leases[4], leases[0], leases[3], leases[1], leases[2]):
        await runner(Attempt(taken))
    [history] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    kept = [entry.partition(b" ")[0].decode() for entry in await redis.zrange(history, 0, -1)]
    assert kept == ["d-2", "d-3", "d-4"]


async def test_a_conclusion_is_remembered_once_however_often_its_run_is_repeated(redis: Redis) -> None:
    runner = build_runner(redis, routes=ROUTES)
    name = await admit(redis, sample_delivery(payload=b'{"who":"ada"}'))
    await runner(Attempt(await lease(redis)))
    again = await lease_again(redis, name)
    await runner(Attempt(again))
    await settle(redis, again)
    [history] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    assert await redis.zcard(history) == 1
