"""A route that supersedes answers an entity's newest event alone: what waits is skipped, a running call is cut off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.models import Models
from eventroute.prompt import Prompt
from eventroute.queue import Amount, Ledger
from eventroute.route_table import BudgetRule, ModelCall
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.scripts import ClientCaller
from eventroute.secret import Secret
from eventroute_worker.answer import Reply
from eventroute_worker.pricing import Prices
from eventroute_worker.spending import Spending
from support.budgets import budget, stands
from support.queue import fields
from support.receiving import Receiving, signed
from support.runs import FakeClaude, FakeRoutes, build_runner, results, worker_route
from support.sample_routes import receiver_route
from support.waiting import until
from support.worker import running, until_empty

pytestmark = pytest.mark.real

ENTITY = "payload.pull_request.user"
ROUTE = receiver_route(entity=ENTITY, supersede=True)
BUDGET = budget(micro_usd=1_000_000)


class Slow(FakeClaude):
    """Does not answer its first call; `before_answer` happens while it answers another one."""

    def __init__(self, *, hangs: int = 1) -> None:
        super().__init__()
        self.hangs = hangs
        self.cut_off = 0
        self.answering, self.go_on = asyncio.Event(), asyncio.Event()

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        reply = await super().ask(call, prompt, api_key=api_key)
        self.hangs -= 1
        if self.hangs >= 0:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cut_off += 1
                raise
        if self.hangs < -1 or not self.go_on.is_set():
            self.answering.set()
            await self.go_on.wait()
        return reply


async def _send(receiver: Receiving, number: int, *, user: str = "ann") -> DeliveryId:
    body = {"number": number, "pull_request": {"user": user}}
    answer = await receiver.post(signed("github", body, event="pull_request", delivery=f"gh-{number}"))
    found: dict[str, str] = answer.json()
    assert found["status"] == "queued"
    return DeliveryId(found["delivery"])


@asynccontextmanager
async def _working(redis: Redis, claude: FakeClaude, *budgets: BudgetRule, lease_s: float = 3) -> AsyncIterator[None]:
    routes = FakeRoutes(worker_route(entity=ENTITY, budgets=budgets))
    spending = Spending(Ledger(ClientCaller(redis)), Prices(Models.load()))
    async with running(redis, build_runner(redis, claude=claude, routes=routes, spending=spending), lease_s=lease_s):
        yield


async def _about(redis: Redis, name: DeliveryId) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((await fields(redis, name))["about"])
    return found


async def _end(redis: Redis, name: DeliveryId) -> tuple[str, str]:
    found = await fields(redis, name)
    return found["outcome"], found["detail"]


def _superseded_runs() -> float:
    return REGISTRY.get_sample_value("eventroute_worker_runs_total", {"outcome": "superseded", "reason": ""}) or 0


async def test_claude_is_asked_about_the_newest_of_those_that_wait_alone(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(ROUTE)
    before = _superseded_runs()
    first, second, third = [await _send(receiver, number) for number in (1, 2, 3)]
    other = await _send(receiver, 4, user="bob")
    claude = FakeClaude()
    async with _working(redis, claude):
        await until_empty(redis)
    assert sorted(prompt.user.count('"number":3') for prompt in claude.asked) == [0, 1]
    assert {each["delivery"] for each in await results(redis)} == {third, other}
    assert await _end(redis, first) == ("superseded", f"by {second}")
    assert await _end(redis, second) == ("superseded", f"by {third}")
    assert _superseded_runs() - before == 2


async def test_a_call_under_way_is_cut_off_and_counts_as_much_as_it_may_have_cost(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(ROUTE)
    claude = Slow()
    claude.go_on.set()
    async with _working(redis, claude, BUDGET):
        first = await _send(receiver, 1)
        await until(lambda: len(claude.asked) == 1)
        reserved = (await stands(redis, BUDGET))[1]
        assert reserved != Amount(0, 0)
        second = await _send(receiver, 2)
        await until_empty(redis)
    assert claude.cut_off == 1
    assert await _end(redis, first) == ("superseded", f"by {second}")
    assert [each["delivery"] for each in await results(redis)] == [second]
    spent, left = await stands(redis, BUDGET)
    assert left == Amount(0, 0)
    assert spent == Amount(reserved.micro_usd + 35, reserved.tokens + 15)  # what the second one has cost


async def test_an_answer_that_comes_after_a_newer_event_is_paid_and_no_sink_gets_it(
    receiver: Receiving, redis: Redis
) -> None:
    await receiver.serve(ROUTE)
    claude = Slow(hangs=0)
    async with _working(redis, claude, BUDGET, lease_s=60):
        first = await _send(receiver, 1)
        await claude.answering.wait()
        second = await _send(receiver, 2)
        claude.go_on.set()
        await until_empty(redis)
    assert await _end(redis, first) == ("superseded", f"by {second}")
    about = await _about(redis, first)
    assert (about["input_tokens"], about["output_tokens"], about["cost_usd"]) == (10, 5, "0.000035")
    assert [each["delivery"] for each in await results(redis)] == [second]
    assert (await stands(redis, BUDGET))[0] == Amount(70, 30)


async def test_without_the_field_each_event_runs_for_itself(receiver: Receiving, redis: Redis) -> None:
    await receiver.serve(receiver_route(entity=ENTITY, per_entity=True))
    sent = [await _send(receiver, number) for number in (1, 2)]
    async with _working(redis, FakeClaude()):
        await until_empty(redis)
    assert [each["delivery"] for each in await results(redis)] == sent
