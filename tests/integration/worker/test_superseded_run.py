"""A run that is superseded: what it asks for is cut off or not begun, and costs what it may have cost."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.outcome import RunOutcome
from eventroute.prompt import Prompt
from eventroute.queue import Amount, scripts
from eventroute.route_table import ModelCall
from eventroute.runtime.scripts import Argument, ClientCaller, Script
from eventroute.secret import Secret
from eventroute.throttle import keys
from eventroute_worker.answer import Reply
from eventroute_worker.attempt import Attempt, End, Settled
from support.budgets import budget, stands
from support.queue import admit, lease
from support.runs import FakeClaude, FakeRoutes, build_runner, sample_delivery, worker_route

pytestmark = pytest.mark.real

BUCKET = "own:haiku-5-5"
NOTHING = Amount(0, 0)


class Silent(FakeClaude):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = asyncio.Event()

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:  # noqa: ARG002
        self.is_asked.set()
        await asyncio.Event().wait()
        raise AssertionError


def _is_superseded(end: End) -> bool:
    assert isinstance(end, Settled)
    return (end.outcome, end.detail) == (RunOutcome.SUPERSEDED, "by d-2")


async def _under_way(redis: Redis) -> int:
    return int(await redis.zcard(keys.places(BUCKET)))


async def _charged(redis: Redis) -> float:
    """Tell how many requests the throttle takes the API to have counted."""
    return float(await redis.hget(keys.state(BUCKET), "spent:requests") or 0)


async def test_a_call_that_is_cut_off_may_have_cost_as_much_as_was_reserved(redis: Redis) -> None:
    await admit(redis, sample_delivery())
    claude, attempt = Silent(), Attempt(await lease(redis))
    runner = build_runner(redis, claude=claude, routes=FakeRoutes(worker_route(budgets=(budget(),))))
    run = asyncio.create_task(runner(attempt))
    await claude.is_asked.wait()
    attempt.newer.tell("d-2")
    assert _is_superseded(await run)
    spent, reserved = await stands(redis, budget())
    assert reserved == NOTHING
    assert spent.tokens > 1000
    assert (await _under_way(redis), await _charged(redis)) == (0, 1)


@pytest.mark.parametrize("step", [scripts.BEGIN, scripts.RESERVE], ids=["begun", "reserved"])
async def test_one_that_hears_of_it_before_it_asks_costs_nothing(redis: Redis, step: Script) -> None:
    await admit(redis, sample_delivery())
    attempt, caller = Attempt(await lease(redis)), ClientCaller(redis)

    async def call(script: Script, key: str, args: Sequence[Argument]) -> Any:
        said = await caller(script, key, args)
        if script is step:
            attempt.newer.tell("d-2")
        return said

    claude = FakeClaude()
    routes = FakeRoutes(worker_route(budgets=(budget(),)))
    assert _is_superseded(await build_runner(redis, claude=claude, routes=routes, call=call)(attempt))
    assert claude.asked == []
    assert await stands(redis, budget()) == (NOTHING, NOTHING)
    assert (await _under_way(redis), await _charged(redis)) == (0, 0)
