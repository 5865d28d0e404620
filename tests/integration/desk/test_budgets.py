"""`eventroute budget`: what is spent, reserved and left of each budget, as the workers keep it."""

import asyncio
import json
from typing import Any

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from eventroute.queue import Amount, Desk, Group
from eventroute.runtime.redis import connect
from eventroute_cli.__main__ import app
from eventroute_cli.desk.story import clock
from support.acl_users import AclUsers
from support.budgets import DAY_S, NAMESPACE, OF_ALL, account, budget, ledger_of, turn_period
from support.queue import GROUP, admit_job, clock_ms, lease
from support.runs import PATH

pytestmark = pytest.mark.real

RULES = (budget(micro_usd=20_000_000), budget(NAMESPACE, micro_usd=None, tokens=1_000), OF_ALL[2])


async def _typed(server: AclUsers, *words: str) -> Any:
    """Type the command, which has a loop of its own."""
    arguments = ["budget", *words, "--redis-url", server.url("desk")]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def _spend(redis: Redis) -> None:
    """One call is paid, and another one under way."""
    await ledger_of(redis).account(GROUP, RULES, are_all=True)
    for number in range(2):
        await admit_job(redis, f"d-{number}")
        own = await lease(redis)
        await ledger_of(redis).reserve(own, RULES, Amount(400, 70), for_ms=60_000)
        if not number:
            await ledger_of(redis).pay(own, RULES, Amount(150, 30))


async def test_the_desk_reads_how_budgets_stand(redis: Redis, desk: Desk) -> None:
    assert await desk.budgets() == []
    await _spend(redis)
    of_all, of_namespace, of_route = await desk.budgets()
    assert [of_all.scope, of_namespace.scope, of_route.scope] == ["*", NAMESPACE, PATH]
    assert (of_route.micro_usd, of_route.tokens, of_route.period_ms) == (20_000_000, None, DAY_S * 1000)
    assert (of_route.spent_micro_usd, of_route.reserved_micro_usd, of_route.left_micro_usd) == (150, 400, 19_999_450)
    assert (of_route.left_tokens, of_namespace.left_micro_usd) == (None, None)
    assert (of_namespace.spent_tokens, of_namespace.reserved_tokens, of_namespace.left_tokens) == (30, 70, 900)
    assert of_all.ends_ms == (await account(redis, RULES[2])).ends_ms


async def test_of_a_period_that_is_over_nothing_is_spent_though_no_worker_has_turned_it(
    redis: Redis, desk: Desk
) -> None:
    await _spend(redis)
    await turn_period(redis, RULES[1])
    found = (await desk.budgets())[1]
    assert (found.spent_tokens, found.reserved_tokens, found.left_tokens) == (0, 70, 930)
    assert found.ends_ms == (await clock_ms(redis) // (DAY_S * 1000) + 1) * DAY_S * 1000


async def test_a_budget_of_every_group_is_listed(server: AclUsers, redis: Redis) -> None:
    await ledger_of(redis).account(Group(0), [RULES[2]])
    await ledger_of(redis).account(Group(1), [RULES[0]])
    async with connect(server.url("desk")) as client:
        assert [each.scope for each in await Desk({Group(0): client, Group(1): client}).budgets()] == ["*", PATH]


async def test_the_command_prints_a_line_for_each_limit(server: AclUsers, redis: Redis) -> None:
    await _spend(redis)
    turns = clock((await account(redis, RULES[0])).ends_ms)
    said = await _typed(server)
    assert said.exit_code == 0
    lines = [" ".join(line.split()) for line in said.output.splitlines()]
    assert lines == [
        "budget of period limit spent reserved left turns",
        f"the installation 24 h USD 0.001 USD 0.00015 USD 0.0004 USD 0.00045 {turns}",
        f"namespace team-a 24 h 1,000 tokens 30 tokens 70 tokens 900 tokens {turns}",
        f"route team-a/triage 24 h USD 20 USD 0.00015 USD 0.0004 USD 19.99945 {turns}",
    ]


async def test_programs_get_all_of_it(server: AclUsers, redis: Redis) -> None:
    await _spend(redis)
    said = await _typed(server, "-o", "json")
    found = {each["scope"]: each for each in json.loads(said.output)}
    assert found[NAMESPACE]["usd"] is None
    assert found[NAMESPACE]["tokens"] == {"limit": 1000, "spent": 30, "reserved": 70, "left": 900}
    assert found[PATH]["usd"] == {"limit": "20", "spent": "0.00015", "reserved": "0.0004", "left": "19.99945"}
    assert found[PATH]["tokens"] is None
    assert found["*"]["period_ms"] == DAY_S * 1000


async def test_without_budgets_it_says_so(server: AclUsers, redis: Redis) -> None:
    await redis.ping()
    said = await _typed(server)
    assert said.output == "no route has a budget, as far as the workers here know\n"
