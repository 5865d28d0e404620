"""Worker processes share a budget: they stop before it is overspent, and go on when it rises."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventroute.queue import Amount
from eventroute.route_table import WORKER, BudgetRule, ModelCall
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.simulator.server import serving
from support.budgets import budget, stands
from support.queue import GROUP, admit_all
from support.runs import PATH, prompt_rule, results, sample_delivery, worker_route
from support.waiting import until
from support.worker import until_empty
from support.worker_process import WorkerFleet, worker_fleet

pytestmark = pytest.mark.real

COUNT = 30
CALL = ModelCall(name="claude-haiku-5-5", max_tokens=200, timeout_s=5, thinking="disabled")


@pytest.fixture
def fleet(tmp_path: Path, valkey_url: str) -> Iterator[WorkerFleet]:
    with (
        serving() as claude,
        worker_fleet(tmp_path, redis_url=valkey_url, claude_url=claude.url, table_key=new_key_text()) as fleet,
    ):
        yield fleet


async def _publish(redis: Redis, fleet: WorkerFleet, rule: BudgetRule) -> None:
    routes = {PATH: worker_route(budgets=(rule,), prompts=(prompt_rule(model=CALL),))}
    await publish(redis, WORKER, routes, SealKey.from_text(fleet.table_key))


async def _paid(redis: Redis) -> Decimal:
    return sum((Decimal(entry["cost_usd"]) for entry in await results(redis)), Decimal(0)) * 1_000_000


async def test_two_workers_stop_before_their_budget_is_overspent_and_go_on_when_it_rises(
    redis: Redis, fleet: WorkerFleet
) -> None:
    rule = budget(micro_usd=400)
    await _publish(redis, fleet, rule)
    await admit_all(redis, [sample_delivery(f"d-{number:02}") for number in range(COUNT)])
    for name in ("one", "two"):
        fleet.start(name=name)

    async def is_at_rest() -> bool:
        spent, reserved = await stands(redis, rule)
        waiting = await redis.zcard(GROUP.parked(f"budget:{PATH}"))
        # Nothing is under way, and the next call, of some 170 millionths, has no room.
        return bool(waiting and spent.micro_usd > 235 and reserved == Amount(0, 0))

    await until(is_at_rest, timeout_s=60)
    spent, _ = await stands(redis, rule)
    assert await _paid(redis) <= spent.micro_usd <= 400
    await _publish(redis, fleet, budget(micro_usd=100_000))
    await until_empty(redis, timeout_s=30)
    assert sorted(entry["delivery"] for entry in await results(redis)) == [f"d-{number:02}" for number in range(COUNT)]
    spent, reserved = await stands(redis, rule)
    assert reserved == Amount(0, 0)
    assert await _paid(redis) <= spent.micro_usd < await _paid(redis) + COUNT, "each call is rounded up"
