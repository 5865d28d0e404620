"""What calls cost: reserved before each of them in all budgets that it counts in, paid after it, by Redis' clock.

    reserve ──▶ reserved ──pay──▶ spent ──(the period turns)──▶ nothing
                    └──lapse──▶ spent: nobody has paid, and the lease is lost

What is reserved and what is spent never exceed a budget together, and a call costs no more than was reserved for it: so
nothing is overspent. A reservation is named by delivery and fence. It is made in the same step in which the attempt
notes that it asks, so that one without a call is hardly possible; until it is paid, by whoever asked, lease or not, it
takes room; and if it never is, it counts as spent in full. Both of two workers that ask for one delivery count.

A route's and its namespace's budget stand in the group of their deliveries, the installation's in the first one. Where
those are two, the installation's is reserved first, and given back when the others have no room or the lease is lost. A
worker that is killed between the two steps leaves a call that was never made: it counts as spent when it lapses.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from eventroute.queue import scripts
from eventroute.queue.keys import FIRST, Group
from eventroute.queue.work import Amount, Lease, LeaseLost, budget_cause
from eventroute.route_table import INSTALLATION, BudgetRule
from eventroute.runtime.scripts import Argument, Caller

NOTHING: Final = Amount(0, 0)

_LAPSED: Final = 100  # reservations per call, about; arbitrary


class Exceeded(NamedTuple):
    """A budget has no room for a call."""

    rule: BudgetRule
    ends_ms: int
    """When its period ends, Unix milliseconds."""


class Account(NamedTuple):
    """How a budget stands."""

    spent: Amount
    reserved: Amount
    ends_ms: int
    """When its period ends, Unix milliseconds."""
    is_warned: bool = False
    """It is to be warned of; told once a period."""

    def room(self, rule: BudgetRule) -> tuple[int | None, int | None]:
        """Count the millionths of USD and the tokens that are neither spent nor reserved; None = any."""
        taken = (self.spent.micro_usd + self.reserved.micro_usd, self.spent.tokens + self.reserved.tokens)
        usd, tokens = (
            None if most is None else max(most - own, 0)
            for most, own in zip((rule.micro_usd, rule.tokens), taken, strict=True)
        )
        return usd, tokens


class Ledger:
    """The calls. All raise `RedisAway` or `RedisForbids`."""

    def __init__(self, call: Caller, *, looking: Caller | None = None) -> None:
        """Take what calls scripts, and what does so where no single delivery is meant; None = the same."""
        self._call = call
        self._look = looking or call

    async def reserve(self, lease: Lease, rules: Sequence[BudgetRule], need: Amount, *, for_ms: int) -> Exceeded | None:
        """Reserve what a call may cost at most in all of these budgets, and note that Claude is about to be asked.

        for_ms   longer than the call can take: after that it counts as spent if the lease is lost
        returns  the first budget without room; then nothing is reserved, nor noted
        raises   `LeaseLost`
        """
        near = [rule for rule in rules if home(rule.scope, lease.group) == lease.group]
        far = [rule for rule in rules if rule not in near]
        if far and (exceeded := await self._reserve(FIRST, lease, far, need, for_ms=for_ms)):
            return exceeded
        exceeded = None
        is_reserved = False
        try:
            exceeded = await self._reserve(lease.group, lease, near, need, for_ms=for_ms)
            is_reserved = exceeded is None
        finally:
            if far and not is_reserved:
                await self._pay(FIRST, lease, NOTHING)
        return exceeded

    async def pay(self, lease: Lease, rules: Iterable[BudgetRule], paid: Amount | None) -> None:
        """Say what a call has cost: None = what was reserved for it. A second time changes nothing."""
        for group in sorted({home(rule.scope, lease.group) for rule in rules}, key=lambda group: group.number):
            await self._pay(group, lease, paid)

    async def account(self, group: Group, rules: Sequence[BudgetRule], *, are_all: bool = False) -> list[Account]:
        """Tell how a group's budgets stand, and note their limits for people; where these are all, no others."""
        args: list[Argument] = [int(are_all)]
        for rule in rules:
            args += (*_limits(rule), rule.warn_at)
        return [
            Account(Amount(spent_usd, spent_tokens), Amount(reserved_usd, reserved_tokens), ends_ms, bool(is_warned))
            for spent_usd, reserved_usd, spent_tokens, reserved_tokens, ends_ms, is_warned in await self._look(
                scripts.ACCOUNT, group.prefix, args
            )
        ]

    async def afford(self, group: Group, rule: BudgetRule, room: tuple[int | None, int | None], *, count: int) -> int:
        """Make deliveries ready that wait for a budget, in their order, as far as its room goes; returns how many."""
        limits = (*room, rule.micro_usd, rule.tokens)
        args: list[Argument] = [budget_cause(rule.scope), count, *("" if each is None else each for each in limits)]
        ready, _ = await self._look(scripts.AFFORD, group.prefix, args)
        return int(ready)

    async def lapse(self, group: Group) -> int:
        """Count as spent what was not paid in time by those who have lost their leases; returns how many calls."""
        cursor, done = 0, 0
        while True:
            following, count = await self._look(scripts.LAPSE, group.prefix, [cursor, _LAPSED])
            cursor, done = int(following), done + int(count)
            if not cursor:
                return done

    async def _reserve(
        self, group: Group, lease: Lease, rules: Sequence[BudgetRule], need: Amount, *, for_ms: int
    ) -> Exceeded | None:
        args: list[Argument] = [lease.delivery, lease.fence, int(group == lease.group), *need, for_ms]
        for rule in rules:
            args += _limits(rule)
        word, *said = await self._call(scripts.RESERVE, group.prefix, args)
        if word == b"lost":
            raise LeaseLost(f"delivery {lease.delivery}: another worker has it by now")
        if word == b"ok":
            return None
        scope, ends_ms = said
        return Exceeded(next(rule for rule in rules if rule.scope == scope.decode()), int(ends_ms))

    async def _pay(self, group: Group, lease: Lease, paid: Amount | None) -> None:
        args: list[Argument] = [lease.delivery, lease.fence, *(paid or ("", ""))]
        await self._call(scripts.PAY, group.prefix, args)


def home(scope: str, group: Group) -> Group:
    """Find where a budget stands, of a route or namespace of this group or of the installation."""
    return FIRST if scope == INSTALLATION else group


def _limits(rule: BudgetRule) -> Sequence[Argument]:
    most = ("" if each is None else each for each in (rule.micro_usd, rule.tokens))
    return (rule.scope, rule.period_s * 1000, *most)
