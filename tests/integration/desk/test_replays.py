"""Replays and discards at the desk, with a real worker behind the queue."""

import asyncio
import time

import pytest
from redis.asyncio import Redis

from eventroute.delivery import Delivery
from eventroute.ids import Claim, DeliveryId, RouteUid, claim_id
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Admissions, Admitted, Again, Candidate, Desk, Limits, Mode, Wanted
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute_worker.answer import GivenUp, encode_answer
from support.acl_users import AclUsers
from support.letters import bury, dead, end
from support.queue import GROUP, admit, fields
from support.runs import (
    PATH,
    STREAM,
    FakeClaude,
    FakeRoutes,
    answer,
    build_runner,
    prompt_rule,
    results,
    sample_delivery,
    worker_route,
)
from support.worker import Recorder, running, until_empty

pytestmark = pytest.mark.real

ONE = DeliveryId("d-1")
BAD = "{{ payload.number | truncate: 'x' }}"


async def run_with(redis: Redis, claude: FakeClaude, **route: object) -> None:
    """Let a worker empty the queue, with a route as it is now."""
    routes = FakeRoutes(worker_route(**route))
    async with running(redis, build_runner(redis, claude=claude, routes=routes)):
        await until_empty(redis)


async def outcome(redis: Redis) -> str:
    return (await fields(redis, ONE))["outcome"]


async def test_a_mended_template_and_a_replay_end_in_an_answer(redis: Redis, desk: Desk) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    await run_with(redis, claude, prompts=(prompt_rule(user=BAD),))
    (letter,) = (await desk.look(Wanted(states=frozenset({"dead"})))).lines
    assert (letter.reason, await dead(redis)) == (DeadReason.RENDER, 1)
    assert await desk.replay([ONE]) == {ONE: "ok"}
    await run_with(redis, claude)
    assert await outcome(redis) == RunOutcome.SUCCEEDED
    assert (len(await results(redis)), await dead(redis), (await fields(redis, ONE))["replays"]) == (1, 0, "1")


@pytest.mark.parametrize(("mode", "asked", "told"), [("resume", 1, 1), ("sinks", 1, 2), ("whole", 2, 2)])
async def test_a_replay_pays_and_tells_as_its_mode_says(
    redis: Redis, desk: Desk, mode: Mode, asked: int, told: int
) -> None:
    claude = FakeClaude()
    await admit(redis, sample_delivery())
    await run_with(redis, claude)
    assert await desk.replay([ONE], mode=mode) == {ONE: "ok"}
    await run_with(redis, claude)
    assert (len(claude.asked), len(await results(redis))) == (asked, told)
    assert await outcome(redis) == RunOutcome.SUCCEEDED


async def test_an_answer_that_no_sink_would_take_is_not_paid_for_again(redis: Redis, desk: Desk) -> None:
    claude = FakeClaude()
    stream = GROUP.stream("team-a", STREAM.stream)
    await redis.set(stream, "in the way")
    await admit(redis, sample_delivery())
    routes = FakeRoutes(worker_route())
    async with running(redis, build_runner(redis, claude=claude, routes=routes)):
        while not await redis.zcard(GROUP.later):
            await asyncio.sleep(0.01)
    await redis.hset(GROUP.delivery(ONE), mapping={"at": 1, "saved": 1})  # an hour ago and more
    await redis.zadd(GROUP.later, {ONE: 1})
    await run_with(redis, claude)
    assert (await fields(redis, ONE))["reason"] == DeadReason.SINK
    await redis.delete(stream)
    await desk.replay([ONE])
    await run_with(redis, claude)
    assert (len(claude.asked), len(await results(redis))) == (1, 1)


async def test_why_something_is_not_replayed_or_discarded(redis: Redis, desk: Desk) -> None:
    await end(redis, sample_delivery("d-1"))
    await end(redis, sample_delivery("d-shed"), outcome=RunOutcome.SUCCEEDED)
    await end(redis, sample_delivery("d-settled"), outcome=RunOutcome.SUCCEEDED)
    await redis.hdel(GROUP.delivery(DeliveryId("d-shed")), "body")
    await admit(redis, sample_delivery("d-queued"))
    names = [DeliveryId(name) for name in ("d-1", "d-shed", "d-settled", "d-queued", "d-unknown")]
    assert list((await desk.replay(names, mode="sinks")).values()) == [
        "no_answer",
        "no_body",
        "no_answer",
        "queued",
        "unknown",
    ]
    assert list((await desk.discard(names)).values()) == ["ok", "alive", "alive", "alive", "unknown"]
    assert await desk.show(ONE) is None


async def test_a_replay_that_is_asked_for_twice_runs_once(redis: Redis, desk: Desk) -> None:
    claude = FakeClaude(GivenUp(reason=DeadReason.INVALID_REQUEST, detail="no"))
    await admit(redis, sample_delivery())
    await run_with(redis, claude)
    await desk.replay([ONE])
    assert await desk.replay([ONE]) == {ONE: "queued"}  # somebody else was quicker, or the reply got lost
    await run_with(redis, claude)
    assert len(await results(redis)) == 1


async def test_what_its_sender_repeats_after_it_died_runs_again_as_a_replay_does(
    server: AclUsers, redis: Redis, desk: Desk
) -> None:
    claim = Claim(claim_id(RouteUid("uid-triage"), "id", b"p-1"), 3600)
    async with connect(server.url("receiver")) as own:
        admissions = Admissions(ClientCaller(own), limits=Limits(1_000_000, 0))
        first, again = sample_delivery(), sample_delivery("d-2", headers={"x-attempt": "2"})
        await admissions.admit(PATH, [Candidate(first, [claim])], rate=None)
        await run_with(redis, FakeClaude(GivenUp(reason=DeadReason.INVALID_REQUEST, detail="no")))
        await redis.hset(GROUP.delivery(ONE), mapping={"answer": encode_answer(answer()), "saved": 1})
        admitted = await admissions.admit(PATH, [Candidate(again, [claim])], rate=None)
    assert admitted == Admitted([Again(ONE)])
    assert int(await redis.hget(GROUP.route(PATH), "dead_bytes")) == 0  # though the repetition is longer
    assert int((await fields(redis, ONE))["saved"]) > 1  # the sinks' deadline counts anew
    await run_with(redis, FakeClaude())
    assert await outcome(redis) == RunOutcome.SUCCEEDED


async def test_discarding_frees_what_the_letters_took(redis: Redis, desk: Desk) -> None:
    names = await bury(redis, 250)
    assert int(await redis.hget(GROUP.route(PATH), "dead_bytes")) > 0
    assert set((await desk.discard(names)).values()) == {"ok"}
    assert (await dead(redis), int(await redis.hget(GROUP.route(PATH), "dead_bytes"))) == (0, 0)
    assert not [key async for key in redis.scan_iter(f"{GROUP.prefix}d:*")]


async def test_ten_thousand_are_replayed_while_new_ones_come(redis: Redis, desk: Desk) -> None:
    await bury(redis, 10_000)
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    slowest, stop = 0.0, asyncio.Event()

    async def new_ones_come() -> int:
        nonlocal slowest
        count = 0
        while not stop.is_set():
            started = time.monotonic()
            each: Delivery = sample_delivery(f"n-{count}")
            letter = (DeadReason.FILTER, "new") if count % 10 == 0 else None
            await admissions.admit(PATH, [Candidate(each, [], letter)], rate=None)
            slowest = max(slowest, time.monotonic() - started)
            count += 1
            await asyncio.sleep(0.005)
        return count

    coming = asyncio.create_task(new_ones_come())
    started = time.monotonic()
    chosen = [line.id for line in (await desk.look(Wanted(states=frozenset({"dead"})), limit=None)).lines]
    said = await desk.replay(chosen)
    took = time.monotonic() - started
    stop.set()
    count = await coming
    assert took < 20
    assert slowest < 0.5
    assert {word for name, word in said.items() if not name.startswith("n-")} <= {"ok", "unknown"}
    old_dead = 10_000 - sum(word == "ok" for name, word in said.items() if name.startswith("d-"))
    # New letters may have taken the place of the oldest: a route keeps so many.
    assert old_dead <= count
    recorder = Recorder()
    async with running(redis, recorder, slots=50):
        await until_empty(redis, timeout_s=60)
    ran = [attempt.delivery for attempt in recorder.attempts]
    assert len(ran) == len(set(ran))
    assert {name for name, word in said.items() if word == "ok"} <= set(ran)
