"""A worker that dies in the middle of a conversation is stood in for: nothing is asked, or done, a second time."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.secret import Secret
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault, FaultKind
from eventroute_cli.simulator.server import Served
from eventroute_worker.attempt import Attempt, Settled
from eventroute_worker.claude import Claude
from eventroute_worker.outbound import Outbound
from eventroute_worker.pricing import Prices
from support.acting_worker import Step, acting_routes
from support.queue import admit, fields, lease_again
from support.runs import build_runner, results, sample_delivery
from support.tool_server import ToolServer, serving_tools

pytestmark = pytest.mark.real

USE = Fault(kind=FaultKind.TOOL_USE, tool="refund", input={"id": "re_1"})
TESTS = Path(__file__).parents[2]
DELIVERY = sample_delivery().id


@pytest.fixture
async def service() -> AsyncIterator[ToolServer]:
    async with serving_tools() as running:
        yield running


async def _die_after(step: Step, *, valkey_url: str, simulator: Served, service: ToolServer) -> None:
    words = ("-m", "support.acting_worker", valkey_url, simulator.url, str(service.port), step)
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = await asyncio.create_subprocess_exec(sys.executable, *words, env=environ)
    assert await process.wait() == -signal.SIGKILL


async def _go_on(redis: Redis, simulator: Served, service: ToolServer, **tool: object) -> Settled:
    prices = Prices(Models.load())
    async with (
        Claude(
            api_key=Secret(DEFAULT_KEY.encode()), base_url=simulator.url, propagate_trace=False, prices=prices
        ) as claude,
        Outbound(OutboundRules.model_validate({"mode": "dev", "ports": (service.port,)})) as way,
    ):
        routes = acting_routes(service.port, **tool)
        runner = build_runner(redis, claude=claude, routes=routes, way=way)
        end = await runner(Attempt(await lease_again(redis, DELIVERY)))
    assert isinstance(end, Settled)
    return end


@pytest.mark.parametrize(
    ("step", "done", "is_unknown"),
    [
        (Step.TURN_SAVED, 1, False),
        (Step.INTENT_SAVED, 0, True),
        (Step.CALLED, 1, True),
        (Step.RESULT_SAVED, 1, False),
        (Step.ANSWER_SAVED, 1, False),
    ],
)
async def test_the_next_worker_goes_on_where_the_last_one_died(
    redis: Redis,
    valkey_url: str,
    simulator: Served,
    service: ToolServer,
    step: Step,
    done: int,
    is_unknown: bool,
) -> None:
    simulator.simulator.faults.add([USE])
    await admit(redis, sample_delivery())
    await _die_after(step, valkey_url=valkey_url, simulator=simulator, service=service)
    end = await _go_on(redis, simulator, service)
    assert (end.outcome, len(service.journal)) == (RunOutcome.SUCCEEDED, done)
    first, second = simulator.simulator.journal.entries()  # neither turn was paid for twice
    assert second.body["messages"][0] == first.body["messages"][0]
    assert second.body["tools"] == first.body["tools"]
    [result] = second.body["messages"][-1]["content"]
    assert ("not known" in result["content"]) is is_unknown
    assert len(await results(redis)) == 1
    assert not [name for name in await fields(redis, DELIVERY) if name.startswith("talk")]


@pytest.mark.parametrize("step", [Step.INTENT_SAVED, Step.CALLED])
async def test_where_people_are_to_look_it_is_a_dead_letter_each_time_until_somebody_decides(
    redis: Redis, valkey_url: str, simulator: Served, service: ToolServer, step: Step
) -> None:
    simulator.simulator.faults.add([USE])
    await admit(redis, sample_delivery())
    await _die_after(step, valkey_url=valkey_url, simulator=simulator, service=service)
    called = len(service.journal)
    for _ in range(2):
        end = await _go_on(redis, simulator, service, on_unknown="fail")
        assert (end.outcome, end.reason) == (RunOutcome.DEAD, DeadReason.TOOL_UNKNOWN)
    assert len(service.journal) == called
    assert (await _go_on(redis, simulator, service)).outcome is RunOutcome.SUCCEEDED
    assert len(service.journal) == called


async def test_a_call_without_side_effect_is_made_again(
    redis: Redis, valkey_url: str, simulator: Served, service: ToolServer
) -> None:
    """It is the manifest of now that says so; its service sees the same key."""
    simulator.simulator.faults.add([USE])
    await admit(redis, sample_delivery())
    await _die_after(Step.TURN_SAVED, valkey_url=valkey_url, simulator=simulator, service=service)
    await _go_on(redis, simulator, service, side_effect=False)
    assert len(service.journal) == 1
    assert service.journal[0].headers["idempotency-key"].startswith(f"{DELIVERY}:toolu_")


async def test_a_tool_that_the_manifest_has_no_longer_is_not_called(
    redis: Redis, valkey_url: str, simulator: Served, service: ToolServer
) -> None:
    simulator.simulator.faults.add([USE])
    await admit(redis, sample_delivery())
    await _die_after(Step.TURN_SAVED, valkey_url=valkey_url, simulator=simulator, service=service)
    end = await _go_on(redis, simulator, service, when="false")
    assert (end.outcome, service.journal) == (RunOutcome.SUCCEEDED, [])
