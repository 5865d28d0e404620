"""A run that is cut short anywhere goes on after what was saved: one paid call, and each sink and history once."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outcome import RunOutcome
from eventroute.queue import Begun, LeaseLost, Work
from eventroute_worker.attempt import Attempt, Settled
from eventroute_worker.history import History
from eventroute_worker.sinks import LocalSinks
from support.queue import GROUP, admit, lease, lease_again, settle
from support.runs import HISTORY, STREAM, FakeClaude, FakeRoutes, build_runner, results, sample_delivery, worker_route

pytestmark = pytest.mark.real

STEPS = [
    (Work, "begin", 1),
    (History, "recall", 1),
    (Work, "asking", 1),
    (Work, "save", 1),
    (LocalSinks, "send", 1),
    (Work, "add_to_stream", 2),
    (LocalSinks, "send", 2),
    (History, "remember", 1),
]
"""Every step of a run that touches Redis, and which of its calls is cut short."""

SECOND = msgspec.structs.replace(STREAM, name="again")
NAME = DeliveryId("d-1")


class Killed(BaseException):
    """What a killed process looks like from inside: nothing is cleaned up."""


def _routes() -> FakeRoutes:
    return FakeRoutes(worker_route(entity="payload.number", history=HISTORY, sinks=(STREAM, SECOND)))


async def _assert_told_once(redis: Redis) -> None:
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:results", "d-1:again"]
    [history] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    assert await redis.zcard(history) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "step", "call"), STEPS)
async def test_a_run_that_was_cut_short_is_finished_by_the_next_attempt(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, owner: type, step: str, call: int, when: str
) -> None:
    calls = 0
    original: Callable[..., Awaitable[Any]] = getattr(owner, step)

    async def cut_short(self: object, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and when == "before":
            raise Killed
        result = await original(self, *args, **kwargs)
        if calls == call:
            raise Killed
        return result

    monkeypatch.setattr(owner, step, cut_short)
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=claude, routes=_routes())
    with pytest.raises(Killed):
        await runner(Attempt(await lease(redis)))
    end = await runner(Attempt(await lease_again(redis, NAME)))

    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    answer_was_lost = (step, when) == ("save", "before")
    assert len(claude.asked) == (2 if answer_was_lost else 1)
    await _assert_told_once(redis)


async def test_a_worker_that_stood_still_past_its_lease_does_nothing_twice(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    suspended, other = (build_runner(redis, claude=claude, routes=_routes()) for _ in range(2))
    first = await lease(redis)
    begun = await suspended._queue.begin(first, traceparent="")
    second = await lease_again(redis, NAME)
    await other(Attempt(second))
    await settle(redis, second)

    async def goes_on(*_: Any, **__: Any) -> Begun:
        return begun  # with what it had read before it was suspended

    monkeypatch.setattr(suspended._queue, "begin", goes_on)
    with pytest.raises(LeaseLost):
        await suspended(Attempt(first))
    assert len(claude.asked) == 1
    await _assert_told_once(redis)
