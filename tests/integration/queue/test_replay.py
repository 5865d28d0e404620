"""Running again what has ended, three ways, and removing dead letters for good."""

from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import scripts
from eventroute.runtime.scripts import ClientCaller
from eventroute_worker.answer import Failed
from eventroute_worker.attempt import Attempt
from support.queue import (
    GROUP,
    admit,
    admit_job,
    clock_ms,
    dead_letters,
    depth,
    end,
    fields,
    lease,
    lease_again,
    settle,
    state,
)
from support.runs import HISTORY, PATH, FakeClaude, FakeRoutes, build_runner, results, sample_delivery, worker_route
from support.worker import running, until_empty

pytestmark = pytest.mark.real

NAME = DeliveryId("d-1")


async def _replay(redis: Redis, mode: str, *names: str) -> list[str]:
    return [said.decode() for said in await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, [mode, *names])]


async def _discard(redis: Redis, *names: str) -> list[str]:
    return [said.decode() for said in await ClientCaller(redis)(scripts.DISCARD, GROUP.prefix, names)]


@pytest.mark.parametrize(
    ("mode", "asked", "told"),
    [("resume", 1, ["Answer 1."]), ("whole", 2, ["Answer 1.", "Answer 2."]), ("sinks", 1, ["Answer 1.", "Answer 1."])],
)
@pytest.mark.parametrize("outcome", ["succeeded", "dead"])
async def test_each_mode_repeats_what_it_says_and_no_more(
    redis: Redis, mode: str, asked: int, told: list[str], outcome: str
) -> None:
    claude = FakeClaude()
    routes = FakeRoutes(worker_route(entity="payload.number", history=HISTORY))
    runner = build_runner(redis, claude=claude, routes=routes)
    await admit(redis, sample_delivery())
    taken = await lease(redis)
    await runner(Attempt(taken))
    await settle(redis, taken, outcome, "attempts" if outcome == "dead" else "")
    ended = await fields(redis, NAME)

    before = await clock_ms(redis)
    assert await _replay(redis, mode, NAME) == ["ok"]
    found = await fields(redis, NAME)
    assert await state(redis, NAME) == "ready"
    assert before <= int(found["since"]) <= await clock_ms(redis)
    assert (found["at"], found["seq"], found["replays"]) == (ended["at"], ended["seq"], "1")
    assert not {"outcome", "reason", "finished", "attempts", "state"} & found.keys()
    assert await redis.pttl(GROUP.delivery(NAME)) == -1
    assert await dead_letters(redis) == []
    assert not await redis.exists(GROUP.finished("bodies", PATH))
    assert await depth(redis) == 1

    async with running(redis, runner):
        await until_empty(redis)
    assert len(claude.asked) == asked
    assert [entry["text"] for entry in await results(redis)] == told
    assert (await fields(redis, NAME))["outcome"] == "succeeded"
    for key in (GROUP.usage, GROUP.route(PATH)):
        assert await redis.hmget(key, "depth", "bytes") == [b"0", b"0"]
    assert int(await redis.hget(GROUP.route(PATH), "dead_bytes") or 0) == 0
    [history] = [key async for key in redis.scan_iter(GROUP.history("*"))]
    [entry] = await redis.zrange(history, 0, -1)
    assert told[-1].encode() in entry, "it is remembered once, as it ended last"


async def test_a_replayed_delivery_has_all_its_attempts_and_its_whole_deadline_again(redis: Redis) -> None:
    name = await end(redis, "d-1", "dead")
    await redis.hdel(GROUP.delivery(name), "answer")
    await redis.hset(GROUP.delivery(name), mapping={"attempts": 3, "at": 1})
    await _replay(redis, "resume", name)
    runner = build_runner(redis, claude=FakeClaude(*[Failed(detail="x")] * 3))
    ends: list[Any] = [await runner(Attempt(await lease(redis)))]
    ends += [await runner(Attempt(await lease_again(redis, name))) for _ in range(2)]
    assert [type(each).__name__ for each in ends] == ["Later", "Later", "Settled"]
    assert ends[2].reason == "attempts"


async def test_what_cannot_be_replayed_says_why_and_stays_as_it_is(redis: Redis) -> None:
    settled, bare = await end(redis, "d-settled"), await end(redis, "d-bare")
    await redis.hdel(GROUP.delivery(bare), "body")
    answerless = await end(redis, "d-answerless", "dead")
    await redis.hdel(GROUP.delivery(answerless), "answer")
    running_one, waiting = await admit_job(redis, "d-running"), await admit_job(redis, "d-waiting")
    await lease(redis)
    names = [running_one, waiting, "d-nobody", bare, answerless, settled]
    said = ["queued", "queued", "unknown", "no_body", "no_answer", "ok"]
    assert await _replay(redis, "sinks", *names) == said
    assert [await state(redis, DeliveryId(name)) for name in names] == [
        "running",
        "ready",
        "gone",
        "settled",
        "dead",
        "ready",
    ]
    assert await _replay(redis, "resume", settled) == ["queued"]
    assert await depth(redis) == 3


async def test_only_dead_letters_are_discarded_and_their_share_is_free(redis: Redis) -> None:
    dead, settled = await end(redis, "d-dead", "dead"), await end(redis, "d-settled")
    waiting = await admit_job(redis, "d-waiting")
    assert await _discard(redis, dead, settled, waiting, "d-nobody") == ["ok", "alive", "alive", "unknown"]
    assert [await state(redis, name) for name in (dead, settled, waiting)] == ["gone", "settled", "ready"]
    assert await dead_letters(redis) == []
    assert await redis.hget(GROUP.route(PATH), "dead_bytes") == b"0"
    assert await _discard(redis, dead) == ["unknown"]
