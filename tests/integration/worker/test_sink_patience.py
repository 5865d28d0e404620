"""Sinks have a patience of their own, from the answer on, and are known by their names."""

import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason
from eventroute.queue import scripts
from eventroute.route_table import RetryRule, StreamSink
from eventroute.runtime.scripts import ClientCaller
from eventroute_worker.answer import Passing
from eventroute_worker.attempt import Attempt, End, Later, Settled
from support.queue import GROUP, admit, fields, lease, settle, work_on
from support.runs import FakeClaude, FakeRoutes, build_runner, sample_delivery, worker_route

pytestmark = pytest.mark.real

NAME = sample_delivery().id
A, B, NEW = (StreamSink(name=name, stream=name, max_entries=100) for name in ("a", "b", "new"))


def _routes(*sinks: StreamSink, attempts: int = 8, deadline_s: int = 3600) -> FakeRoutes:
    return FakeRoutes(worker_route(sinks=sinks, retry=RetryRule(attempts=attempts, deadline_s=deadline_s)))


async def _attempt(redis: Redis, claude: FakeClaude, routes: FakeRoutes) -> End:
    taken = await lease(redis)
    found = await build_runner(redis, claude=claude, routes=routes)(Attempt(taken))
    if isinstance(found, Later):
        await work_on(redis).put_back(taken, pause_ms=0, counts=found.counts, error=found.detail)
    return found


async def _entries(redis: Redis, sink: StreamSink) -> list[str]:
    entries = await redis.xrange(GROUP.stream("team-a", sink.stream))
    return [found[b"idempotency_key"].decode() for _, found in entries]


async def _break(redis: Redis, sink: StreamSink) -> None:
    await redis.set(GROUP.stream("team-a", sink.stream), "no stream")


async def _mend(redis: Redis, sink: StreamSink) -> None:
    await redis.delete(GROUP.stream("team-a", sink.stream))


async def test_a_sink_that_fails_after_seven_overloads_and_an_answer_is_tried_again(redis: Redis) -> None:
    claude, routes = FakeClaude(*[Passing(detail="529")] * 7), _routes(A)
    await admit(redis, sample_delivery())
    await _break(redis, A)
    for _ in range(20):
        found = await _attempt(redis, claude, routes)
        assert isinstance(found, Later)
        assert not found.counts
    assert len(claude.asked) == 8
    await _mend(redis, A)
    assert isinstance(await _attempt(redis, claude, routes), Settled)
    assert await _entries(redis, A) == ["d-1:a"]


async def test_a_sink_inserted_in_front_while_a_delivery_waits_gets_the_answer_and_no_other_gets_it_twice(
    redis: Redis,
) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    await _break(redis, B)
    assert isinstance(await _attempt(redis, claude, _routes(A, B)), Later)
    await _mend(redis, B)
    assert isinstance(await _attempt(redis, claude, _routes(NEW, A, B)), Settled)
    assert [await _entries(redis, sink) for sink in (NEW, A, B)] == [["d-1:new"], ["d-1:a"], ["d-1:b"]]
    assert len(claude.asked) == 1


async def test_sinks_that_change_places_while_a_delivery_waits_get_the_answer_once_each(redis: Redis) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    await _break(redis, A)
    assert isinstance(await _attempt(redis, claude, _routes(A, B)), Later)
    await _mend(redis, A)
    assert isinstance(await _attempt(redis, claude, _routes(B, A)), Settled)
    assert [await _entries(redis, sink) for sink in (A, B)] == [["d-1:a"], ["d-1:b"]]


async def test_a_sink_that_fails_until_the_deadline_makes_a_dead_letter_that_says_so(redis: Redis) -> None:
    claude, routes = FakeClaude(), _routes(A, B, deadline_s=60)
    await admit(redis, sample_delivery())
    await redis.hincrby(GROUP.delivery(NAME), "at", -50_000)
    await _break(redis, B)
    assert isinstance(await _attempt(redis, claude, routes), Later)
    # The deadline of receipt has passed, the one from the answer on has not.
    await redis.hincrby(GROUP.delivery(NAME), "at", -50_000)
    assert isinstance(await _attempt(redis, claude, routes), Later)
    await redis.hincrby(GROUP.delivery(NAME), "saved", -61_000)
    found = await _attempt(redis, claude, routes)
    assert isinstance(found, Settled)
    assert found.reason is DeadReason.SINK
    assert "sink b: stream team-a/b: WRONGTYPE" in found.detail
    assert await _entries(redis, A) == ["d-1:a"]


@pytest.mark.parametrize("mode", ["resume", "sinks"])
async def test_a_dead_letter_of_a_sink_that_is_replayed_has_the_whole_deadline_again(redis: Redis, mode: str) -> None:
    claude, routes = FakeClaude(), _routes(A, deadline_s=60)
    await admit(redis, sample_delivery())
    await _break(redis, A)
    await _attempt(redis, claude, routes)
    await settle(redis, await lease(redis), "dead", "sink")
    await redis.hset(GROUP.delivery(NAME), mapping={"at": 1, "saved": 1})
    await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, [mode, NAME])
    assert isinstance(await _attempt(redis, claude, routes), Later)
    assert len(claude.asked) == 1


async def test_a_dead_letter_of_a_sink_that_is_sent_again_has_the_whole_deadline_again(redis: Redis) -> None:
    claude, routes = FakeClaude(), _routes(A, deadline_s=60)
    await admit(redis, sample_delivery())
    await _break(redis, A)
    await _attempt(redis, claude, routes)
    now = int((await fields(redis, NAME))["at"])
    # As a receiver leaves it that has met the claim of a dead letter.
    await redis.hset(GROUP.delivery(NAME), mapping={"saved": 1, "at": now, "since": now})
    assert isinstance(await _attempt(redis, claude, routes), Later)
    assert len(claude.asked) == 1
