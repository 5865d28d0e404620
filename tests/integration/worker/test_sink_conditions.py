"""A sink gets the answers for which its condition holds, and what cannot be judged is lost to nobody."""

from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Group
from eventroute.route_table import StreamSink
from eventroute_worker.attempt import Attempt, Settled
from support.queue import admit, lease
from support.runs import FakeClaude, FakeRoutes, answer, build_runner, prompt_rule, sample_delivery, worker_route

pytestmark = pytest.mark.real

SCHEMA = {"type": "object", "properties": {"level": {"type": "integer"}}, "additionalProperties": False}


def stream(name: str, when: str | None) -> StreamSink:
    return StreamSink(name=name, stream=name, max_entries=100, when=when)


async def told(redis: Redis, name: str) -> int:
    return int(await redis.xlen(Group(0).stream("team-a", name)))


async def run(redis: Redis, *sinks: StreamSink, reply: str = "All is well.", **route: Any) -> Settled:
    routes = FakeRoutes(worker_route(sinks=sinks, **route))
    await admit(redis, sample_delivery("d-1"))
    end = await build_runner(redis, claude=FakeClaude(answer(reply)), routes=routes)(Attempt(await lease(redis)))
    assert isinstance(end, Settled)
    return end


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        (None, True),
        ('answer.text.contains("well")', True),
        ('answer.text.contains("ill")', False),
        ('answer.outcome == "succeeded" && answer.model.startsWith("claude-")', True),
        ("payload.number == 7", True),
        ('event == "push"', False),
        ('entity == "7"', True),
        ("payload.gone == 1", False),
    ],
)
async def test_a_sink_gets_the_answers_for_which_its_condition_holds(
    redis: Redis, when: str | None, *, holds: bool
) -> None:
    end = await run(redis, stream("some", when), stream("all", None), entity="payload.number")
    assert end.outcome is RunOutcome.SUCCEEDED
    assert (await told(redis, "some"), await told(redis, "all")) == (int(holds), 1)


@pytest.mark.parametrize(("level", "count"), [(3, 1), (2, 0)])
async def test_a_condition_looks_into_a_structured_answer(redis: Redis, level: int, count: int) -> None:
    sinks = (stream("urgent", "answer.value.level > 2"),)
    await run(redis, *sinks, reply=f'{{"level":{level}}}', prompts=(prompt_rule(output_schema=SCHEMA),))
    assert await told(redis, "urgent") == count


async def test_what_a_condition_cannot_judge_is_a_dead_letter_and_goes_to_no_sink_yet(redis: Redis) -> None:
    end = await run(redis, stream("all", None), stream("odd", "payload.number / 0 == 1"))
    assert (end.outcome, end.reason, end.detail) == (RunOutcome.DEAD, DeadReason.SINK, "sink odd: when: arithmetic")
    assert await told(redis, "all") == 0
    assert await redis.hexists(Group(0).delivery(sample_delivery("d-1").id), "answer"), "which a replay goes on from"
