"""What processes count by route adds up in Redis, outlives an outage, and is read back as it was told."""

import asyncio
import time

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute import keys
from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import LeftOut, Receipt, RunOutcome
from eventroute.runtime.redis import connect
from eventroute.runtime.stats import Effect, LastDelivery, RouteStats, Tally, read_stats, writing
from support.full_redis import no_memory
from support.own_valkey import own_valkey

TRIAGE, REVIEW = RouteUid("uid-triage"), RouteUid("uid-review")
TRACE = "0af7651916cd43dd8448eb211c80319c"
NOTHING = RouteStats(receipts={}, runs={}, last=None, secrets={})
LATER_MS = 1_790_000_000_123
EARLIER_MS = LATER_MS - 1


async def _stats(redis: Redis, route: RouteUid = TRIAGE) -> RouteStats:
    [stats] = await read_stats(redis, [route])
    return stats


def _accepted(number: int, *, time_ms: int) -> Tally:
    tally = Tally()
    tally.add_receipt(TRIAGE, Receipt.QUEUED)
    tally.add_accepted(TRIAGE, DeliveryId(f"d-{number}"), generation=1, time_ms=time_ms, trace_id=TRACE)
    tally.add_match(TRIAGE, "hook/secret", time_ms=time_ms)
    return tally


async def test_figures_are_read_as_they_were_counted(redis: Redis) -> None:
    tally = _accepted(1, time_ms=LATER_MS)
    tally.add_receipt(TRIAGE, Receipt.FILTERED, count=3)
    tally.add_run(REVIEW, RunOutcome.DEAD, DeliveryId("d-2"), trace_id="")
    await tally.flush(redis)
    triage, review = await read_stats(redis, [TRIAGE, REVIEW])
    assert triage.effect is not None
    assert msgspec.structs.replace(triage, effect=None) == RouteStats(
        receipts={"queued": 1, "filtered": 3},
        runs={},
        last=LastDelivery(LATER_MS, "queued", "d-1", TRACE),
        secrets={"hook/secret": LATER_MS},
    )
    assert review.runs == {"dead": 1}
    assert review.last is not None
    assert (review.last.outcome, review.last.delivery, review.last.trace_id) == ("dead", "d-2", "")


async def test_a_route_without_events_has_empty_figures(redis: Redis) -> None:
    assert await read_stats(redis, [TRIAGE, REVIEW]) == [NOTHING, NOTHING]
    assert await read_stats(redis, []) == []


async def test_processes_add_up(redis: Redis) -> None:
    for number in range(3):
        await _accepted(number, time_ms=LATER_MS).flush(redis)
    assert (await _stats(redis)).receipts == {"queued": 3}


async def test_what_was_written_is_not_written_again(redis: Redis) -> None:
    tally = _accepted(1, time_ms=LATER_MS)
    for _ in range(2):
        await tally.flush(redis)
    assert (await _stats(redis)).receipts == {"queued": 1}


async def test_who_writes_last_does_not_replace_what_happened_later(redis: Redis) -> None:
    for number, time_ms in [(1, LATER_MS), (2, EARLIER_MS)]:
        await _accepted(number, time_ms=time_ms).flush(redis)
    stats = await _stats(redis)
    assert stats.last is not None
    assert stats.last.delivery == "d-1"
    assert stats.secrets == {"hook/secret": LATER_MS}


async def test_figures_are_forgotten_a_month_after_the_last_event(redis: Redis) -> None:
    await _accepted(1, time_ms=LATER_MS).flush(redis)
    assert 30 * 86_400 - 5 < await redis.ttl(keys.stats(TRIAGE)) <= 30 * 86_400


@pytest.mark.parametrize("name", ["ab", "hook/a:b", "ключ/secret"])
async def test_any_name_of_a_secret_is_kept(redis: Redis, name: str) -> None:
    tally = Tally()
    tally.add_match(TRIAGE, name, time_ms=LATER_MS)
    await tally.flush(redis)
    assert (await _stats(redis)).secrets == {name: LATER_MS}


async def test_an_outage_loses_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with own_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        redis = connect(valkey.url)
        tally = _accepted(1, time_ms=EARLIER_MS)
        valkey.kill()
        with pytest.raises(RedisError):
            await tally.flush(redis)
        tally.add_receipt(TRIAGE, Receipt.QUEUED)
        tally.add_accepted(TRIAGE, DeliveryId("d-2"), generation=1, time_ms=LATER_MS, trace_id=TRACE)
        valkey.restart()
        await tally.flush(redis)
        stats = await _stats(redis)
        await redis.aclose()
    assert stats.receipts == {"queued": 2}
    assert stats.secrets == {"hook/secret": EARLIER_MS}
    assert stats.last is not None
    assert stats.last.delivery == "d-2"


async def test_a_full_redis_takes_them_too(redis: Redis) -> None:
    async with no_memory(redis):
        await _accepted(1, time_ms=LATER_MS).flush(redis)
    assert (await _stats(redis)).receipts == {"queued": 1}


async def test_what_was_refused_for_one_route_is_written_later_and_the_others_are_written(redis: Redis) -> None:
    tally = _accepted(1, time_ms=LATER_MS)
    tally.add_receipt(REVIEW, Receipt.FILTERED)
    await redis.set(keys.stats(TRIAGE), "of another kind")
    with pytest.raises(RedisError):
        await tally.flush(redis)
    assert (await _stats(redis, REVIEW)).receipts == {"filtered": 1}
    await redis.delete(keys.stats(TRIAGE))
    await tally.flush(redis)
    assert [stats.receipts for stats in await read_stats(redis, [TRIAGE, REVIEW])] == [{"queued": 1}, {"filtered": 1}]


async def test_a_program_that_ends_writes_what_it_has(redis: Redis) -> None:
    async with writing(_accepted(1, time_ms=LATER_MS), redis):
        await asyncio.sleep(0)
    assert (await _stats(redis)).receipts == {"queued": 1}


async def test_a_program_ends_without_redis_too_and_says_what_it_loses(capsys: pytest.CaptureFixture[str]) -> None:
    redis = connect("redis://127.0.0.1:1")
    async with asyncio.timeout(5), writing(_accepted(1, time_ms=LATER_MS), redis):
        await asyncio.sleep(0)
    await redis.aclose()
    assert "statistics_lost" in capsys.readouterr().out


# --- what has come of a generation's events ---


def _left(*types: str, cause: LeftOut = LeftOut.FILTERED, generation: int = 1) -> Tally:
    tally = Tally()
    tally.add_left(TRIAGE, cause, types, generation=generation)
    return tally


async def _effect(redis: Redis, *tallies: Tally) -> Effect:
    for tally in tallies:
        await tally.flush(redis)
    effect = (await _stats(redis)).effect
    assert effect is not None
    return effect


async def test_events_without_effect_add_up_by_cause_and_type(redis: Redis) -> None:
    asked = Tally()
    asked.add_asked(TRIAGE, generation=1)
    before_ms = time.time_ns() // 1_000_000
    written = (_left("push", "push", "ping"), _left("push"), _left("fork", cause=LeftOut.NO_PROMPT), asked)
    effect = await _effect(redis, *written, _accepted(1, time_ms=LATER_MS))
    assert effect.left == {LeftOut.FILTERED: {"push": 3, "ping": 1}, LeftOut.NO_PROMPT: {"fork": 1}}
    assert (effect.generation, effect.queued, effect.asked) == (1, 1, 1)
    assert before_ms <= effect.since_ms <= time.time_ns() // 1_000_000


async def test_a_newer_generation_begins_anew_and_an_older_one_tells_nothing_more(redis: Redis) -> None:
    written = (_left("push"), _left("fork", generation=2), _left("push"), _accepted(1, time_ms=LATER_MS))
    effect = await _effect(redis, *written)
    assert (effect.generation, effect.queued, effect.left) == (2, 0, {LeftOut.FILTERED: {"fork": 1}})


async def test_the_first_of_the_events_is_the_one_that_counts(redis: Redis) -> None:
    first = await _effect(redis, _left("push"))
    await asyncio.sleep(0.01)
    assert (await _effect(redis, _left("push"))).since_ms == first.since_ms


async def test_strangers_cannot_make_it_grow(redis: Redis) -> None:
    await _left(*(f"type-{number}" for number in range(100))).flush(redis)
    effect = await _effect(redis, _left(*(f"other-{number}" for number in range(100)), "x" * 200))
    types = effect.left[LeftOut.FILTERED]
    assert sum(types.values()) == 201
    assert (len(types), max(map(len, types)) <= 40) == (17, True)
    assert len(await redis.hget(keys.stats(TRIAGE), "effect")) < 2000


@pytest.mark.parametrize("text", [b"\xff", b"[]", b"{}", b'{"generation":1,"since_ms":"x"}', b'{"generation":{}}'])
async def test_what_nobody_understands_is_replaced(redis: Redis, text: bytes) -> None:
    await redis.hset(keys.stats(TRIAGE), "effect", text)
    assert (await _stats(redis)).effect is None
    assert (await _effect(redis, _left("push"))).left == {LeftOut.FILTERED: {"push": 1}}


async def test_an_outage_loses_none_of_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with own_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        redis = connect(valkey.url)
        tally = _left("push")
        valkey.kill()
        writing_it = asyncio.create_task(tally.flush(redis))
        await asyncio.sleep(0)  # what is being written is out of its hands
        tally.add_left(TRIAGE, LeftOut.FILTERED, ["push"], generation=1)
        with pytest.raises(RedisError):
            await writing_it
        tally.add_left(TRIAGE, LeftOut.FILTERED, ["push", "fork"], generation=1)
        valkey.restart()
        effect = await _effect(redis, tally)
        await redis.aclose()
    assert effect.left == {LeftOut.FILTERED: {"push": 3, "fork": 1}}
