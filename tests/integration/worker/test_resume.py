"""A run that is cut short anywhere goes on after what was saved: one paid call, and each sink and history once."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outcome import RunOutcome
from eventroute_worker import record
from eventroute_worker.attempt import Attempt, Settled
from eventroute_worker.history import History
from eventroute_worker.record import Begun, Records
from eventroute_worker.sinks import Sinks
from support.queue import admit
from support.runs import (
    HISTORY,
    STREAM,
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    results,
    sample_delivery,
    worker_route,
)
from support.worker import running, until_empty

pytestmark = pytest.mark.real

STEPS = [
    (Records, "begin", 1),
    (History, "recall", 1),
    (Records, "save_answer", 1),
    (Sinks, "send", 1),
    (Sinks, "send", 2),
    (History, "remember", 1),
]
"""Every step of a run that touches Redis, and which of its calls is cut short."""


class Killed(BaseException):
    """What a killed process looks like from inside: nothing is cleaned up."""


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
    two_sinks = (STREAM, STREAM)
    routes = FakeRoutes(worker_route(entity="payload.number", history=HISTORY, sinks=two_sinks))
    await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=claude, routes=routes)
    with pytest.raises(Killed):
        await runner(Attempt(DeliveryId("d-1"), "", 1))
    end = await runner(Attempt(DeliveryId("d-1"), "", 2))

    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    answer_was_lost = (step, when) == ("save_answer", "before")
    assert len(claude.asked) == (2 if answer_was_lost else 1)
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:0", "d-1:1"]
    [history] = [key async for key in redis.scan_iter("eventroute:history:*")]
    assert await redis.llen(history) == 1


async def test_when_two_workers_have_asked_the_answer_that_was_saved_first_counts(redis: Redis) -> None:
    records = Records(redis)
    kept = [await records.save_answer(DeliveryId("d-1"), answer(text)) for text in ("first", "second")]
    assert [found.text for found in kept] == ["first", "first"]


async def test_an_answer_is_kept_while_redis_is_away(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_SAVE_PAUSE_S", 0.01)
    claude = FakeClaude()
    runner = build_runner(redis, claude=claude)
    await admit(redis, sample_delivery())
    original = runner._records._save_answer
    failures = [ConnectionResetError(), TimeoutError()]

    async def flaky(*args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await original(*args)

    monkeypatch.setattr(runner._records, "_save_answer", flaky)
    async with running(redis, runner):
        await until_empty(redis)
    assert failures == []
    assert len(claude.asked) == 1
    assert len(await results(redis)) == 1


async def test_a_worker_that_stood_still_past_its_lease_does_nothing_twice(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = FakeRoutes(worker_route(entity="payload.number", history=HISTORY, sinks=(STREAM, STREAM)))
    claude = FakeClaude()
    delivery = sample_delivery()
    await admit(redis, delivery)
    suspended, other = (build_runner(redis, claude=claude, routes=routes) for _ in range(2))
    begun = await suspended._records.begin(delivery.id, traceparent="")
    await other(Attempt(delivery.id, "", 2))

    async def goes_on(*_: Any, **__: Any) -> Begun:
        return begun  # with what it had read before it was suspended

    monkeypatch.setattr(suspended._records, "begin", goes_on)
    end = await suspended(Attempt(delivery.id, "", 1))
    assert isinstance(end, Settled)
    assert [entry["text"] for entry in await results(redis)] == ["Answer 1.", "Answer 1."]
    [history] = [key async for key in redis.scan_iter("eventroute:history:*")]
    assert await redis.llen(history) == 1
