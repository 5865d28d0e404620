"""What calls cost: reserved before each in all of its route's budgets, paid after it; and those that wait for room.

A call is reserved at its worst: a token for every byte of the prompt, as no token is shorter than that, and all of
`maxTokens`; so it never costs more. It is reserved last, right before the call, when nothing else can keep the call
waiting (a shared rate limit gives its go first, and gets its place back when a budget has no room): what is reserved is
in flight. What a call has cost is what its answer says. One that was refused costs nothing; where Claude may have
answered and nobody heard it, what was reserved is spent.

A call that could not fit into an empty budget is the delivery's own fault; any other one waits for room where the
budget says `hold`, behind those that wait already.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Final, NamedTuple, Self

import structlog

from eventroute.ids import RoutePath
from eventroute.outcome import DeadReason
from eventroute.prompt import Prompt
from eventroute.queue import FIRST, Account, Amount, Exceeded, Group, Lease, Ledger, Trouble, group_of
from eventroute.queue.ledger import NOTHING
from eventroute.queue.upkeep import Standing as Parked
from eventroute.route_table import INSTALLATION, BudgetRule, ModelCall, whose
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute_worker import metrics
from eventroute_worker.answer import Answer, Failed, GivenUp, Passing, Reply, Standing
from eventroute_worker.pricing import Prices

_MILLION: Final = 1_000_000
_OVERHEAD: Final = 100
"""Tokens that the API adds to the texts of a prompt: a few in truth; arbitrary."""
_MARGIN_S: Final = 60.0  # from the end of a call to when its cost has long been written down; arbitrary
_AFFORDED: Final = 200  # deliveries per call, some 2 ms of Redis' time

_log = structlog.get_logger()


class _Debt(NamedTuple):
    """What Redis was not told of a call, or may not have heard."""

    rules: Sequence[BudgetRule]
    paid: Amount | None
    """None = what was reserved."""


class NoRoom(NamedTuple):
    """A budget has no room for a call."""

    rule: BudgetRule
    need: Amount
    detail: str
    is_hopeless: bool
    """Not even if it were empty."""

    @property
    def trouble(self) -> Trouble:
        """Say why deliveries wait."""
        return Trouble(reason=DeadReason.BUDGET, detail=self.detail, budget=self.rule.scope)


class Bill:
    """What one call costs: an asynchronous context that the call is made in."""

    def __init__(
        self, spending: "Spending", lease: Lease, rules: Sequence[BudgetRule] = (), need: Amount = NOTHING
    ) -> None:
        """Take what was reserved; nothing without budgets."""
        self._spending = spending
        self._lease = lease
        self._rules = rules
        self._need = need
        self._paid: Amount | None = NOTHING

    def begin(self) -> None:
        """Note that the call begins: from here on it may cost all that was reserved."""
        self._paid = None

    def take(self, reply: Reply) -> None:
        """Note what the call has cost; without a word, it may be all that was reserved."""
        answer = reply.paid if isinstance(reply, GivenUp) else reply
        if isinstance(answer, Answer):
            usd = self._need.micro_usd if answer.cost_usd is None else _micro(answer.cost_usd)
            self._paid = Amount(usd, answer.usage.prompt + answer.usage.output)
        elif not (isinstance(reply, Passing | Failed) and reply.may_be_paid):
            self._paid = NOTHING

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rules:
            await self._spending.pay(self._lease, self._rules, self._paid)


class Spending:
    """Reserves and pays."""

    def __init__(self, ledger: Ledger, prices: Prices) -> None:
        """Take the ledger, and what models cost."""
        self._ledger = ledger
        self._prices = prices
        self._owed: dict[Lease, _Debt] = {}
        """What Redis could not be told."""

    async def reserve(
        self, lease: Lease, rules: Sequence[BudgetRule], call: ModelCall, prompt: Prompt
    ) -> Bill | NoRoom | Standing:
        """Reserve what a call costs at the very most, and note that Claude is about to be asked.

        returns  the bill, or why there is none: then nothing is reserved, and the model's price may be what is missing
        raises   `LeaseLost`, `RedisAway` and `RedisForbids`
        """
        tokens = prompt.size + _OVERHEAD
        usd = self._prices.most(call.name, prompt=tokens, output=call.max_tokens)
        if usd is None and any(rule.micro_usd is not None for rule in rules):
            detail = f"nobody knows what {call.name} costs, which a budget in USD needs"
            return Standing(reason=DeadReason.BUDGET, detail=detail, whole_key=False)
        need = Amount(_micro(usd or Decimal(0)), tokens + call.max_tokens)
        for_ms = int((call.timeout_s + _MARGIN_S) * 1000)
        await self._settle(lease)  # or an earlier call's reservation would stand for this one's
        try:
            full = await self._ledger.reserve(lease, rules, need, for_ms=for_ms)
        except (RedisAway, RedisForbids, asyncio.CancelledError):
            self._owed[lease] = _Debt(rules, NOTHING)  # it may have been reserved all the same
            raise
        return Bill(self, lease, rules, need) if full is None else _no_room(full, need)

    async def pay(self, lease: Lease, rules: Sequence[BudgetRule], paid: Amount | None) -> None:
        """Say what a call has cost, now or, when Redis is away, once it is back: an answer does not wait for that."""
        self._owed[lease] = _Debt(rules, paid)
        with contextlib.suppress(RedisAway, RedisForbids):
            await self._settle(lease)

    async def settle(self) -> None:
        """Say again what Redis could not be told; raises `RedisAway` and `RedisForbids`."""
        for lease in list(self._owed):
            await self._settle(lease)

    async def _settle(self, lease: Lease) -> None:
        """Say what is owed, if anything is; meanwhile another call may say so too, and owe something new."""
        debt = self._owed.get(lease)
        if debt is None:
            return
        await self._ledger.pay(lease, debt.rules, debt.paid)
        if self._owed.get(lease) is debt:
            del self._owed[lease]


class Treasury:
    """The keeper's part: what nobody has paid, how budgets stand, who may go on."""

    def __init__(
        self, ledger: Ledger, spending: Spending, *, rules: Callable[[], Iterable[BudgetRule]], groups: int
    ) -> None:
        """Take the collaborators, what names the budgets of all routes, and how many groups the queue has."""
        self.settle = spending.settle
        self._ledger = ledger
        self._rules = rules
        self._groups = groups

    async def look(self, group: Group, standing: Sequence[Parked], *, lets_go: bool) -> Mapping[str, float]:
        """Keep a group's accounts, and let go of what waits as far as there is room.

        lets_go  anything may be taken
        returns  scope → the part of its budget that is spent
        """
        await self._ledger.lapse(group)
        rules = {rule.scope: rule for rule in self._rules()}
        here = [rule for rule in rules.values() if _home(rule.scope, self._groups) == group]
        accounts = await self._accounts(group, here, are_all=True)
        for trouble, waiting, _ in standing if lets_go else ():
            rule = rules.get(trouble.budget)
            if rule and rule.scope not in accounts:
                accounts |= await self._accounts(FIRST, [rule])
            if rule and waiting:
                await self._ledger.afford(group, rule, accounts[rule.scope].room(rule), count=_AFFORDED)
        return {rule.scope: _used(rule, accounts[rule.scope]) for rule in here}

    async def _accounts(
        self, group: Group, rules: Sequence[BudgetRule], *, are_all: bool = False
    ) -> dict[str, Account]:
        found = await self._ledger.account(group, rules, are_all=are_all)
        for rule, account in zip(rules, found, strict=True):
            if account.is_warned:
                metrics.BUDGET_WARNINGS.labels(rule.scope).inc()
                _log.warning("budget_nearly_spent", scope=rule.scope, percent=int(_used(rule, account) * 100))
        return {rule.scope: account for rule, account in zip(rules, found, strict=True)}


def _home(scope: str, groups: int) -> Group:
    return FIRST if scope == INSTALLATION else group_of(RoutePath(scope), groups)


def _used(rule: BudgetRule, account: Account) -> float:
    parts = ((account.spent.micro_usd, rule.micro_usd), (account.spent.tokens, rule.tokens))
    return max((own / most for own, most in parts if most), default=0.0)


def _no_room(full: Exceeded, need: Amount) -> NoRoom:
    rule = full.rule
    is_hopeless = (rule.micro_usd is not None and need.micro_usd > rule.micro_usd) or (
        rule.tokens is not None and need.tokens > rule.tokens
    )
    limits = " and ".join(
        [
            *([f"USD {Decimal(rule.micro_usd) / _MILLION:f}"] if rule.micro_usd is not None else []),
            *([f"{rule.tokens} tokens"] if rule.tokens is not None else []),
        ]
    )
    budget = f"the budget of {whose(rule.scope)}, {limits}"
    if is_hopeless:
        most = f"USD {Decimal(need.micro_usd) / _MILLION:f} and {need.tokens} tokens"
        return NoRoom(rule, need, f"one call may cost {most}, which is more than all of {budget}", is_hopeless)
    turns = datetime.fromtimestamp(full.ends_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return NoRoom(rule, need, f"{budget}, has no room; its period ends at {turns}", is_hopeless)


def _micro(usd: Decimal) -> int:
    return math.ceil(usd * _MILLION)
