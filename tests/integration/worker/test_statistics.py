"""What the status of a route tells of its runs: counted once each, when the end has been written."""

from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import DeadReason, LeftOut, RunOutcome
from eventroute.route_table import PromptRule
from eventroute.runtime import tracing
from eventroute.runtime.stats import RouteStats, Tally, read_stats
from eventroute_worker.answer import GivenUp, Passing
from eventroute_worker.attempt import Attempt, End, Handler, Later
from support.queue import GROUP, admit, admit_job, lease_again, run_out
from support.runs import FakeClaude, FakeRoutes, build_runner, prompt_rule, sample_delivery, worker_route
from support.worker import DONE, Recorder, running, until_empty

pytestmark = pytest.mark.real

ROUTE = RouteUid("uid-triage")
RECEIPT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _stats(redis: Redis, handler: Handler) -> RouteStats:
    tally = Tally()
    async with running(redis, handler, tally=tally):
        await until_empty(redis)
    await tally.flush(redis)
    [stats] = await read_stats(redis, [ROUTE])
    return stats


async def test_an_answered_delivery_is_counted_and_told_with_its_trace(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "tracer", lambda: TracerProvider().get_tracer("test"))
    await admit(redis, sample_delivery(), traceparent=RECEIPT)
    stats = await _stats(redis, build_runner(redis))
    assert stats.runs == {"succeeded": 1}
    assert stats.last is not None
    assert (stats.last.outcome, stats.last.delivery) == ("succeeded", "d-1")
    assert stats.last.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert stats.receipts == {}


@pytest.mark.parametrize(
    ("claude", "routes", "outcome"),
    [
        (FakeClaude(GivenUp(reason=DeadReason.BILLING, detail="402")), None, RunOutcome.DEAD),
        (FakeClaude(), FakeRoutes(worker_route(prompts=(prompt_rule(events=("push",)),))), RunOutcome.DISCARDED),
    ],
    ids=["dead", "discarded"],
)
async def test_other_ends_are_counted_as_what_they_are(
    redis: Redis, claude: FakeClaude, routes: FakeRoutes | None, outcome: RunOutcome
) -> None:
    await admit(redis, sample_delivery())
    assert (await _stats(redis, build_runner(redis, claude=claude, routes=routes))).runs == {outcome: 1}


async def test_an_attempt_that_is_to_be_repeated_is_no_end(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    claude = FakeClaude(Passing(detail="529", after_s=0))
    assert (await _stats(redis, build_runner(redis, claude=claude))).runs == {"succeeded": 1}


async def test_an_end_that_another_worker_has_written_is_not_counted_here(redis: Redis) -> None:
    name = await admit_job(redis, "d-1")

    async def overtaken(attempt: Attempt) -> End:
        if attempt.lease.fence == 1:
            await lease_again(redis, name)
            await run_out(redis, name)
            return replace(DONE, route=ROUTE)
        return replace(DONE, outcome=RunOutcome.REFUSED, route=ROUTE)

    assert (await _stats(redis, overtaken)).runs == {"refused": 1}


async def test_a_delivery_that_could_not_be_read_belongs_to_no_route(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    assert (await _stats(redis, Recorder(Later(delay_s=0), DONE))).runs == {}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (prompt_rule(events=("push",)), {LeftOut.NO_PROMPT: {"pull_request.opened": 1}}),
        (prompt_rule(when="false"), {LeftOut.WHEN: {"pull_request.opened": 1}}),
        (prompt_rule(when="payload.gone == 1"), {LeftOut.WHEN: {"pull_request.opened": 1}}),
        (prompt_rule(), {}),
    ],
    ids=["type", "false", "fails", "found"],
)
async def test_whether_there_is_a_prompt_is_told_by_type(
    redis: Redis, rule: PromptRule, left: dict[LeftOut, dict[str, int]]
) -> None:
    await admit(redis, sample_delivery())
    tally = Tally()
    runner = build_runner(redis, routes=FakeRoutes(worker_route(generation=4, prompts=(rule,))), tally=tally)
    async with running(redis, runner, tally=tally):
        await until_empty(redis)
    await tally.flush(redis)
    [stats] = await read_stats(redis, [ROUTE])
    assert stats.effect is not None
    assert (stats.effect.generation, stats.effect.asked, stats.effect.left) == (4, int(not left), left)


async def test_each_event_that_was_collected_to_a_run_without_a_prompt_is_told(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    key = GROUP.delivery(DeliveryId("d-1"))
    await redis.hset(key, "body", b"\x1e".join([await redis.hget(key, "body")] * 3))
    tally = Tally()
    runner = build_runner(redis, routes=FakeRoutes(worker_route(prompts=(prompt_rule(events=("push",)),))), tally=tally)
    async with running(redis, runner, tally=tally):
        await until_empty(redis)
    await tally.flush(redis)
    [stats] = await read_stats(redis, [ROUTE])
    assert stats.effect is not None
    assert stats.effect.left == {LeftOut.NO_PROMPT: {"pull_request.opened": 3}}


@pytest.mark.parametrize("served", [3, 4], ids=["former", "same"])
async def test_what_former_prompts_answer_counts_for_the_generation_that_was_received(
    redis: Redis, served: int
) -> None:
    await admit(redis, sample_delivery(generation=4))
    tally = Tally()
    runner = build_runner(redis, routes=FakeRoutes(worker_route(generation=served)), tally=tally)
    async with running(redis, runner, tally=tally):
        await until_empty(redis)
    await tally.flush(redis)
    [stats] = await read_stats(redis, [ROUTE])
    assert stats.effect is not None
    assert (stats.effect.generation, stats.effect.asked) == (4, 1)
