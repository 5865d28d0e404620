"""Calls that a person has to approve: nothing is sent before, and what is sent is what the person has read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outcome import RunOutcome
from eventroute.queue import State, Wanted
from eventroute.route_table import RetryRule, TalkLimits
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served
from eventroute_worker.attempt import Attempt, Settled, Unapproved
from support.acting_worker import acting_routes
from support.approving import Approving, approving
from support.queue import GROUP, admit, fields, lease, lease_again, run_out, work_on
from support.runs import PATH, FakeRoutes, build_runner, prompt_rule, sample_delivery, worker_route

pytestmark = pytest.mark.real

DELIVERY = sample_delivery().id
USE = Fault(kind=FaultKind.TOOL_USE, tool="refund", input={"id": "re_1"})


@pytest.fixture
async def scene(redis: Redis, simulator: Served) -> AsyncIterator[Approving]:
    async with approving(redis, simulator) as found:
        simulator.simulator.faults.add([USE])
        await admit(redis, sample_delivery())
        yield found


def calls(end: Any) -> list[dict[str, Any]]:
    assert isinstance(end, Settled)
    assert end.outcome == RunOutcome.SUCCEEDED
    raw = end.fields["about"]
    assert isinstance(raw, bytes)
    found: list[dict[str, Any]] = msgspec.json.decode(raw)["calls"]
    return found


def told(scene: Approving) -> list[dict[str, Any]]:
    """Read the results that the last call to Claude brought."""
    found: list[dict[str, Any]] = scene.simulator.simulator.journal.entries()[-1].body["messages"][-1]["content"]
    return found


async def come_due(redis: Redis, name: DeliveryId = DELIVERY) -> None:
    """Let the time that a delivery waits for pass."""
    await redis.zadd(GROUP.later, {name: 1}, xx=True)


async def test_a_call_waits_for_a_person_and_is_made_once_as_it_was_shown(redis: Redis, scene: Approving) -> None:
    assert isinstance(await scene.attempt(), Unapproved)
    assert scene.service.journal == []
    record = await fields(redis, DELIVERY)
    assert (record["state"], record["asks"], record["attempts"]) == ("later", "1", "0")
    [waits] = await scene.waiting()
    assert (waits.line.id, waits.ask.tool) == (DELIVERY, "refund")
    assert waits.ask.call == f'POST {scene.service.url}/refunds\n{{"id":"re_1"}}'
    assert waits.ask.until_ms - waits.ask.asked_ms == 3_600_000
    assert not (await work_on(redis).lease(GROUP, worker="w", lease_ms=1000, wanted=1, busy=0)).leases
    assert (await scene.desk.load()).approvals == 1
    assert await scene.say(note="looked  at\nthe order") == "ok"
    assert await scene.waiting() == []
    assert (await scene.desk.load()).approvals == 0
    [call] = calls(await scene.attempt())
    [sent] = scene.service.journal
    assert (sent.method, sent.target, sent.body) == ("POST", "/refunds", b'{"id":"re_1"}')
    assert (call["outcome"], call["by"], call["note"]) == ("done", "kim@desk", "looked at the order")
    assert not [name for name in await fields(redis, DELIVERY) if name.startswith("talk") or name == "asks"]
    assert "kim" not in str(told(scene)), "who has said it is nothing for Claude"
    assert len(scene.simulator.simulator.journal.entries()) == 2, "no turn was paid for twice"


async def test_what_a_person_declines_is_not_made_and_claude_goes_on(scene: Approving) -> None:
    await scene.attempt()
    assert await scene.say(approved=False, note="too much") == "ok"
    [call] = calls(await scene.attempt())
    assert (call["outcome"], call["by"], call["note"]) == ("declined", "kim@desk", "too much")
    [result] = told(scene)
    assert (result["is_error"], scene.service.journal) == (True, [])
    assert "the person who was asked has declined it" in result["content"]
    assert "too much" not in result["content"]


async def test_what_nobody_approves_in_time_is_not_made(redis: Redis, scene: Approving) -> None:
    await scene.attempt(approval_s=1)
    [shown] = await scene.waiting()
    await asyncio.sleep(1.05)
    taken = await lease(redis)  # its time makes it ready by itself
    assert await scene.waiting() == []
    assert await scene.desk.decide(shown, approved=True, by="kim") == "not_asked"
    [call] = calls(await scene.attempt(taken, approval_s=1))
    assert (call["outcome"], call.get("by", "")) == ("declined", "")
    assert "nobody has approved it in time" in told(scene)[0]["content"]
    assert scene.service.journal == []


async def test_one_that_is_taken_too_early_goes_on_waiting(redis: Redis, scene: Approving) -> None:
    await scene.attempt()
    [before] = await scene.waiting()
    await come_due(redis)
    assert isinstance(await scene.attempt(), Unapproved)
    [after] = await scene.waiting()
    assert (after.shown, after.call) == (before.shown, before.call), "asked once, until the same time"
    assert await scene.desk.decide(before, approved=True, by="kim") == "ok"


async def test_a_turn_waits_for_all_of_its_calls_and_makes_the_others_meanwhile(scene: Approving) -> None:
    scene.simulator.simulator.faults.clear()
    scene.simulator.simulator.faults.add([msgspec.structs.replace(USE, calls=3)])
    await scene.attempt()
    assert [each.line.asks for each in await scene.waiting()] == [3, 3, 3]
    assert await scene.say() == "ok"
    assert await scene.say(approved=False) == "ok"
    assert len(await scene.waiting()) == 1
    assert scene.service.journal == []
    assert await scene.say() == "ok"
    assert sorted(call["outcome"] for call in calls(await scene.attempt())) == ["declined", "done", "done"]
    assert len(scene.service.journal) == 2


async def test_an_approval_is_for_the_bytes_that_were_shown(redis: Redis, scene: Approving) -> None:
    await scene.attempt()
    [shown] = await scene.waiting()
    assert await scene.desk.decide(shown, approved=True, by="kim") == "ok"
    elsewhere = scene.service.url + "/refunds?twice=true"
    assert isinstance(await scene.attempt(url=elsewhere), Unapproved), "the manifest was edited meanwhile"
    [anew] = await scene.waiting()
    assert elsewhere in anew.ask.call
    assert await scene.desk.decide(shown, approved=True, by="kim") == "changed"
    assert scene.service.journal == []
    assert await scene.desk.decide(anew, approved=True, by="kim") == "ok"
    calls(await scene.attempt(url=elsewhere))
    assert [each.target for each in scene.service.journal] == ["/refunds?twice=true"]


async def test_only_the_first_word_counts(redis: Redis, scene: Approving) -> None:
    await scene.attempt()
    [shown] = await scene.waiting()
    assert await scene.desk.decide(shown, approved=False, by="kim") == "ok"
    assert await scene.desk.decide(shown, approved=True, by="lee") == "decided"
    calls(await scene.attempt())
    assert await scene.desk.decide(shown, approved=True, by="lee") == "not_asked"
    await redis.unlink(GROUP.delivery(DELIVERY))
    assert await scene.desk.decide(shown, approved=True, by="lee") == "unknown"
    assert scene.service.journal == []


async def test_a_person_s_time_counts_against_neither_deadline_nor_limit(redis: Redis, scene: Approving) -> None:
    plan = acting_routes(scene.service.port, approval_s=60).get(PATH)
    assert plan is not None
    prompt = prompt_rule(tools=plan.route.prompts[0].tools, limits=TalkLimits(time_s=1))
    routes = FakeRoutes(worker_route(prompts=(prompt,), retry=RetryRule(attempts=1, deadline_s=1)))
    runner = build_runner(redis, claude=scene.claude, routes=routes, way=scene.way)
    taken = await lease(redis)
    end = await runner(Attempt(taken))
    assert isinstance(end, Unapproved)
    await work_on(redis).ask(taken, end.asks, until_ms=end.until_ms, error="")
    await asyncio.sleep(1.5)
    await scene.say()
    assert calls(await runner(Attempt(await lease(redis))))[0]["outcome"] == "done"
    assert len(scene.simulator.simulator.journal.entries()[-1].body["tools"]) == 1
    assert "limit" not in str(told(scene))


@pytest.mark.parametrize("approved", [True, False])
async def test_a_worker_that_dies_after_the_word_is_stood_in_for(
    redis: Redis, scene: Approving, approved: bool
) -> None:
    await scene.attempt()
    await scene.say(approved=approved)
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    calls(await scene.attempt(await lease_again(redis, DELIVERY)))
    assert len(scene.service.journal) == approved


async def test_a_worker_that_dies_before_it_could_ask_is_stood_in_for(redis: Redis, scene: Approving) -> None:
    taken = await lease(redis)
    routes = acting_routes(scene.service.port, approval_s=60)
    end = await build_runner(redis, claude=scene.claude, routes=routes, way=scene.way)(Attempt(taken))
    assert isinstance(end, Unapproved)
    await run_out(redis, DELIVERY)  # nothing was written of it
    assert isinstance(await scene.attempt(await lease(redis, worker="other")), Unapproved)
    assert len(scene.simulator.simulator.journal.entries()) == 1


async def test_what_a_newer_event_supersedes_asks_nobody(redis: Redis, scene: Approving) -> None:
    await scene.attempt()
    await redis.hset(GROUP.delivery(DELIVERY), "superseded_by", "d-2")
    await redis.rpush(GROUP.outdone, DELIVERY)
    end = await scene.attempt()
    assert isinstance(end, Settled)
    assert end.outcome == RunOutcome.SUPERSEDED
    assert await redis.zcard(GROUP.approvals) == 0
    assert scene.service.journal == []


async def test_lists_say_that_it_waits_for_a_person(scene: Approving) -> None:
    await scene.attempt()
    [line] = (await scene.desk.look(Wanted(states=frozenset({State.LATER})))).lines
    assert line.asks == 1
    assert line.last_error == "a person is to approve: refund (`eventroute approvals`)"
