"""Budgets of a route, its namespace and the installation, and what the queue's ledger says of them."""

from typing import Any

from redis.asyncio import Redis

from eventroute.queue import Account, Amount, Group, Ledger
from eventroute.route_table import INSTALLATION, BudgetRule
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, clock_ms
from support.runs import PATH

NAMESPACE = PATH.partition("/")[0]
DAY_S = 86_400


def budget(scope: str = PATH, **changes: Any) -> BudgetRule:
    """Build a budget of 1,000 millionths of a US dollar a day."""
    fields: dict[str, Any] = {
        "scope": scope,
        "period_s": DAY_S,
        "micro_usd": 1_000,
        "tokens": None,
        "warn_at": 80,
        "on_exceeded": "hold",
    }
    return BudgetRule(**{**fields, **changes})


OF_ALL = (budget(), budget(NAMESPACE), budget(INSTALLATION))


def ledger_of(redis: Redis) -> Ledger:
    """Make the ledger's calls."""
    return Ledger(ClientCaller(redis))


async def account(redis: Redis, rule: BudgetRule, *, group: Group = GROUP) -> Account:
    """Read how a budget stands."""
    [found] = await ledger_of(redis).account(group, [rule])
    return found


async def stands(redis: Redis, rule: BudgetRule, *, group: Group = GROUP) -> tuple[Amount, Amount]:
    """Read what is spent and what is reserved, touching nothing."""
    names = ("spent_usd", "spent_tokens", "reserved_usd", "reserved_tokens")
    found = [int(each or 0) for each in await redis.hmget(group.budget(rule.scope), *names)]
    return Amount(found[0], found[1]), Amount(found[2], found[3])


async def turn_period(redis: Redis, rule: BudgetRule, *, group: Group = GROUP) -> None:
    """Let a budget's period be over."""
    await redis.hset(group.budget(rule.scope), "ends", await clock_ms(redis) - 1)
