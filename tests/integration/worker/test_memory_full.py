"""A Redis that fills up: what has ended makes room, in its order, and what is queued is worked off all the same."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, route_path
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Candidate, Limits, Renewed, Retention
from eventroute.route_table import LogSink
from eventroute.runtime.scripts import ClientCaller, RedisAway
from eventroute_worker.answer import Failed, Passing, Standing
from eventroute_worker.attempt import Attempt, Parked
from support.queue import GROUP, admit, clock_ms, dead_letters, fields, lease, settle, state, upkeep_of, work_on
from support.runs import (
    HISTORY,
    PATH,
    STREAM,
    FakeClaude,
    FakeRoutes,
    build_runner,
    results,
    sample_delivery,
    worker_route,
)
from support.worker import keeping, running, until_empty

pytestmark = pytest.mark.real

DAY_MS = 86_400_000
KEPT = Retention(body=30 * DAY_MS, answer=30 * DAY_MS, record=30 * DAY_MS)
BULK = b"x" * 20_000


@contextlib.asynccontextmanager
async def _memory(redis: Redis, most: int) -> AsyncIterator[None]:
    await redis.config_set("maxmemory-policy", "noeviction")
    await redis.config_set("maxmemory", most)
    try:
        yield
    finally:
        await redis.config_set("maxmemory", 0)


async def _used(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])


async def _ended(redis: Redis, name: str, outcome: str = "succeeded") -> DeliveryId:
    """End a delivery with a large body and a large answer."""
    delivery = sample_delivery(name, payload=b'{"bulk":"%s"}' % BULK)
    await admit(redis, delivery)
    taken = await lease(redis)
    await work_on(redis).save(taken, b"[%s]" % BULK)
    await settle(redis, taken, outcome, "sink" if outcome == "dead" else "", kept=KEPT)
    return delivery.id


async def _having(redis: Redis, names: list[DeliveryId], field: str) -> int:
    return sum([await redis.hexists(GROUP.delivery(name), field) for name in names])


async def test_bodies_go_before_answers_and_no_more_than_needed(redis: Redis) -> None:
    names = [await _ended(redis, f"d-{number:03}") for number in range(150)]
    dead = await _ended(redis, "d-dead", "dead")
    bodies = 150 * len(BULK)
    # Full by about half of what the bodies hold.
    async with _memory(redis, int((await _used(redis) - bodies // 2) / 0.7)), keeping(redis) as keeper:
        await keeper.look()
    assert await _having(redis, names, "body") == 0
    assert await _having(redis, names, "answer") == 150
    assert {"body", "answer"} <= (await fields(redis, dead)).keys()


async def test_nothing_goes_while_there_is_room(redis: Redis) -> None:
    names = [await _ended(redis, f"d-{number}") for number in range(5)]
    async with _memory(redis, int(await _used(redis) / 0.6)), keeping(redis) as keeper:
        await keeper.look()
    assert await _having(redis, names, "body") == 5


async def test_then_answers_then_records_older_than_a_day_and_never_what_waits_or_is_dead(redis: Redis) -> None:
    old, young = [await _ended(redis, f"d-{age}") for age in ("old", "young")]
    dead = await _ended(redis, "d-dead", "dead")
    waiting = await admit(redis, sample_delivery("d-waiting"))
    now = await clock_ms(redis)
    await redis.zadd(GROUP.finished("bodies", PATH), {old: now - DAY_MS - 60_000, young: now - DAY_MS + 60_000})
    async with _memory(redis, 1), keeping(redis) as keeper:
        await keeper.look()
    assert await state(redis, old) == "gone"
    assert not {"body", "answer"} & (await fields(redis, young)).keys()
    assert await state(redis, young) == "settled"
    assert await dead_letters(redis) == [dead]
    assert {"body", "answer"} <= (await fields(redis, dead)).keys()
    assert "body" in await fields(redis, waiting)


async def test_a_real_run_is_finished_in_a_full_redis_whatever_it_meets(redis: Redis) -> None:
    claude = FakeClaude(Passing(detail="529", after_s=0), Failed(detail="unreadable"))
    sinks = (STREAM, LogSink(name="log"))
    routes = FakeRoutes(worker_route(entity="payload.number", history=HISTORY, sinks=sinks))
    await admit(redis, sample_delivery("d-1"))
    await admit(redis, sample_delivery("d-2"))
    async with _memory(redis, 1), running(redis, build_runner(redis, claude=claude, routes=routes), slots=1):
        await until_empty(redis, timeout_s=15)
    assert len(claude.asked) == 4, "no answer was lost and paid again"
    assert sorted(entry["delivery"] for entry in await results(redis)) == ["d-1", "d-2"]
    assert [await state(redis, DeliveryId(name)) for name in ("d-1", "d-2")] == ["settled"] * 2
    [history] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    assert await redis.zcard(history) == 2


async def test_everything_but_admission_works_in_a_full_redis(redis: Redis) -> None:
    for number in range(4):
        await admit(redis, sample_delivery(f"d-{number}"))
    upkeep, work = upkeep_of(redis), work_on(redis)
    other = route_path("team-a", "other")
    async with _memory(redis, 1):
        taken = [await lease(redis) for _ in range(4)]
        assert await work.renew(GROUP, taken, lease_ms=30_000) == Renewed([], {})
        reply = Standing(reason=DeadReason.BILLING, detail="402", whole_key=True)
        end = await build_runner(redis, claude=FakeClaude(reply))(Attempt(taken[0]))
        assert isinstance(end, Parked)
        await work.park(taken[0], end.trouble, has_asked=True)
        await work.put_back(taken[1], pause_ms=60_000, counts=True, error="x")
        await settle(redis, taken[2])
        await settle(redis, taken[3], "dead", "sink")
        assert await upkeep.hold(GROUP, other, "withheld")
        assert await upkeep.release(GROUP, [other]) == 1
        assert await upkeep.unpark(GROUP, "own:*", count=10) == 0
        assert await upkeep.keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=10, count=10) is not None
        assert (await upkeep.load(GROUP)).ready == 1
        admissions = Admissions(ClientCaller(redis), limits=Limits(100, 0))
        with pytest.raises(RedisAway) as refused:
            await admissions.admit(PATH, [Candidate(sample_delivery("d-new"), [])], rate=None)
        assert refused.value.word == "OOM"
        assert await state(redis, DeliveryId("d-new")) == "gone"
