"""Workers that ask, pay, stand still and are killed at any moment, in two groups of the queue: nothing is overspent.

The model keeps what Claude was really paid beside what the accounts should say. After every step the accounts agree
with it, and nothing that was paid in a period exceeds a budget, but for calls that were made by a worker that stood
still for so long that its reservation had counted as spent.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from eventroute.ids import RoutePath, route_path
from eventroute.queue import (
    Admissions,
    Amount,
    Candidate,
    Group,
    Lease,
    LeaseLost,
    Ledger,
    Limits,
    Work,
    group_of,
)
from eventroute.queue.ledger import NOTHING, home
from eventroute.route_table import INSTALLATION, BudgetRule
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import Argument, Caller, ClientCaller, Script
from support.budgets import budget
from support.queue import clock_ms
from support.runs import sample_delivery

pytestmark = pytest.mark.real

Value = TypeVar("Value")

GROUPS: Final = 2
PATHS: Final = [route_path("team-a", "x"), route_path("team-a", "y"), route_path("shop", "z")]
_UNITS: Final = ("micro_usd", "tokens")
LONG_MS: Final = 600_000


def _rules(path: RoutePath) -> tuple[BudgetRule, ...]:
    namespace = path.partition("/")[0]
    return (
        budget(path, micro_usd=1_000, tokens=300),
        budget(namespace, micro_usd=1_500, tokens=None),
        budget(INSTALLATION, micro_usd=2_000, tokens=500),
    )


class Killed(Exception):
    """The process is no more."""


class Mortal:
    """Calls scripts until its process is killed: before or after a certain call was carried out."""

    def __init__(self, call: Caller) -> None:
        self._call = call
        self.lives: float = float("inf")
        """How many calls are still carried out."""
        self.hears_the_last = True

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        if self.lives <= 0:
            raise Killed
        self.lives -= 1
        found = await self._call(script, key, args)
        if self.lives <= 0 and not self.hears_the_last:
            raise Killed
        return found


@dataclass
class Attempt:
    """What a worker believes in."""

    lease: Lease
    need: Amount
    is_valid: bool = True
    """Nobody else has the delivery."""
    is_alive: bool = True
    is_reserved: bool = False
    has_lapsed: bool = False
    paid: Amount = NOTHING

    @property
    def name(self) -> str:
        return f"{self.lease.delivery}:{self.lease.fence}"


@dataclass
class Books:
    """How one budget should stand, and what was really paid."""

    rule: BudgetRule
    group: Group
    spent: Counter[str] = field(default_factory=Counter)
    reserved: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    """In this period."""
    late: Counter[str] = field(default_factory=Counter)
    """Of it, by calls whose reservation had lapsed."""

    def fits(self, need: Amount) -> bool:
        return all(
            most is None or self.spent[unit] + self.reserved[unit] + want <= most
            for unit, want, most in zip(_UNITS, need, (self.rule.micro_usd, self.rule.tokens), strict=True)
        )


def _add(to: Counter[str], amount: Amount, sign: int = 1) -> None:
    for unit, count in zip(_UNITS, amount, strict=True):
        to[unit] += sign * count


class Spending(RuleBasedStateMachine):
    """The machine; `redis_url` is set by the test."""

    redis_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis: Redis = connect(self.redis_url)
        self.call = ClientCaller(self.redis)
        self.work, self.ledger = Work(self.call), Ledger(self.call)
        self.admissions = Admissions(self.call, limits=Limits(10_000, 0), groups=GROUPS)
        self.attempts: list[Attempt] = []
        self.count = 0
        self.books: dict[str, Books] = {}
        for path in PATHS:
            for each in _rules(path):
                self.books[each.scope] = Books(each, home(each.scope, group_of(path, GROUPS)))
        self.entries: dict[tuple[Group, str], tuple[list[str], Amount]] = {}
        """Reservations: in which group and by what name → of which budgets, how much."""

    def run(self, awaitable: Awaitable[Value]) -> Value:
        return self.loop.run_until_complete(_as_coroutine(awaitable))

    @initialize()
    def empty(self) -> None:
        self.run(self.redis.flushall())

    def teardown(self) -> None:
        self.settle_all()
        self.run(self.redis.aclose())
        self.loop.close()

    # --- workers ---

    @rule(path=st.sampled_from(PATHS), usd=st.integers(1, 700), tokens=st.integers(1, 200))
    def begin(self, path: RoutePath, usd: int, tokens: int) -> None:
        group = group_of(path, GROUPS)
        taken = self.run(self.work.lease(group, worker="w", lease_ms=LONG_MS, wanted=1, busy=0)).leases
        if not taken:
            self.count += 1
            letter = Candidate(sample_delivery(f"d-{self.count:03}", route=path), [])
            self.run(self.admissions.admit(path, [letter], rate=None))
            taken = self.run(self.work.lease(group, worker="w", lease_ms=LONG_MS, wanted=1, busy=0)).leases
        for lease in taken:
            self.run(self.work.begin(lease, traceparent=""))
            self.attempts.append(Attempt(lease, Amount(usd, tokens)))

    @precondition(lambda self: self._any_alive(is_reserved=False))
    @rule(data=st.data(), lives=st.sampled_from([0, 1, 2, 3, 9, 9, 9, 9]), hears=st.booleans(), twice=st.booleans())
    def reserve(self, data: st.DataObject, lives: int, hears: bool, twice: bool) -> None:
        attempt = self._draw(data, is_reserved=False)
        rules = _rules(attempt.lease.path)
        mortal = Mortal(self.call)
        mortal.lives, mortal.hears_the_last = lives, hears
        ledger = Ledger(mortal)
        fits = all(self.books[each.scope].fits(attempt.need) for each in rules)
        try:
            full = self.run(ledger.reserve(attempt.lease, rules, attempt.need, for_ms=LONG_MS))
            if twice:
                full = self.run(ledger.reserve(attempt.lease, rules, attempt.need, for_ms=LONG_MS))
        except LeaseLost:
            assert not attempt.is_valid
        except Killed:
            attempt.is_alive = False
        else:
            assert attempt.is_valid or full  # that the installation's is full can be seen without a lease
            assert (full is None) == fits
            attempt.is_reserved = fits
        self._take_over(attempt, rules)
        if attempt.is_reserved:
            assert sum(len(scopes) for (_, name), (scopes, _) in self.entries.items() if name == attempt.name) == 3
        elif attempt.is_alive:
            assert not any(name == attempt.name for _, name in self.entries)

    def _take_over(self, attempt: Attempt, rules: Sequence[BudgetRule]) -> None:
        """Note which parts of a reservation there are: one that was killed may have made none, one, or both."""
        for group in {self.books[each.scope].group for each in rules}:
            if (group, attempt.name) not in self.entries and self.run(self.redis.hexists(group.reserved, attempt.name)):
                scopes = [each.scope for each in rules if self.books[each.scope].group == group]
                self.entries[group, attempt.name] = (scopes, attempt.need)
                for scope in scopes:
                    assert self.books[scope].fits(attempt.need)
                    _add(self.books[scope].reserved, attempt.need)

    @precondition(lambda self: self._any_alive(is_reserved=True))
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Claude is paid, whatever becomes of the answer; once per attempt."""
        attempt = self._draw(data, is_reserved=True)
        if attempt.paid == NOTHING:
            attempt.paid = Amount(*(data.draw(st.integers(1, most)) for most in attempt.need))
            for each in _rules(attempt.lease.path):
                books = self.books[each.scope]
                _add(books.paid, attempt.paid)
                if attempt.has_lapsed:
                    _add(books.late, attempt.paid)

    @precondition(lambda self: self._any_alive(is_reserved=True))
    @rule(data=st.data(), twice=st.booleans())
    def pay(self, data: st.DataObject, twice: bool) -> None:
        """Say what it cost; nothing where nobody was asked. The delivery goes on elsewhere, or ends."""
        attempt = self._draw(data, is_reserved=True)
        for _ in range(1 + twice):
            self.run(self.ledger.pay(attempt.lease, _rules(attempt.lease.path), attempt.paid))
        for key in [key for key in self.entries if key[1] == attempt.name]:
            self._spend(key, attempt.paid)
        self._leave(attempt)

    @precondition(lambda self: self._any_alive(is_reserved=False))
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        self._leave(self._draw(data, is_reserved=False))

    def _leave(self, attempt: Attempt) -> None:
        attempt.is_alive = False
        try:
            self.run(self.work.put_back(attempt.lease, pause_ms=0, counts=False))
        except LeaseLost:
            assert not attempt.is_valid
        attempt.is_valid = False

    # --- what goes wrong, and what time does ---

    @precondition(lambda self: any(attempt.is_valid for attempt in self.attempts))
    @rule(data=st.data(), is_killed=st.booleans())
    def lose(self, data: st.DataObject, is_killed: bool) -> None:
        """A worker is killed, or stands still and will go on later: somebody else may take the delivery."""
        attempt = data.draw(st.sampled_from([each for each in self.attempts if each.is_valid]))
        self._lose(attempt)
        attempt.is_alive = attempt.is_alive and not is_killed

    def _lose(self, attempt: Attempt) -> None:
        group, name = attempt.lease.group, attempt.lease.delivery
        self.run(self.redis.zadd(group.running, {name: 0}, xx=True))
        self.run(self.redis.hset(group.delivery(name), "cuts", 0))  # no suspects, which are another matter
        self.run(self.redis.hset(group.delivery(name), "stage", "asking"))
        self.run(self.work.lease(group, worker="nobody", lease_ms=LONG_MS, wanted=0, busy=0))
        attempt.is_valid = False

    @rule()
    def lapse(self) -> None:
        """So much time passes that every call whose lease is lost must be over; those that go on are not."""
        over = {attempt.name for attempt in self.attempts if not attempt.is_valid}
        now_ms = self.run(clock_ms(self.redis))
        for (group, name), (scopes, need) in self.entries.items():
            if name in over:
                words = " ".join(f"{scope} {self.books[scope].rule.period_s * 1000}" for scope in scopes)
                said = f"{now_ms} {need.micro_usd} {need.tokens} {words}"
                self.run(self.redis.hset(group.reserved, name, said))
        for number in range(GROUPS):
            self.run(self.ledger.lapse(Group(number)))
        for key in [key for key in self.entries if key[1] in over]:
            self._spend(key, self.entries[key][1])
        for attempt in self.attempts:
            attempt.has_lapsed |= attempt.name in over and attempt.is_reserved

    @rule(scope=st.sampled_from([*PATHS, "team-a", "shop", INSTALLATION]))
    def turn(self, scope: str) -> None:
        books = self.books[scope]
        if self.run(self.redis.exists(books.group.budget(scope))):
            self.run(self.redis.hset(books.group.budget(scope), "ends", 1))
        for sums in (books.spent, books.paid, books.late):
            sums.clear()

    def _spend(self, key: tuple[Group, str], paid: Amount) -> None:
        scopes, need = self.entries.pop(key)
        for scope in scopes:
            _add(self.books[scope].reserved, need, -1)
            _add(self.books[scope].spent, paid)

    # --- what must hold ---

    @invariant()
    def no_more_is_paid_than_was_allowed(self) -> None:
        for books in self.books.values():
            for unit, most in zip(_UNITS, (books.rule.micro_usd, books.rule.tokens), strict=True):
                assert most is None or books.paid[unit] <= most + books.late[unit], books

    @invariant()
    def the_accounts_say_so(self) -> None:
        for number in range(GROUPS):
            here = [books for books in self.books.values() if books.group.number == number]
            found = self.run(self.ledger.account(Group(number), [books.rule for books in here]))
            for books, told in zip(here, found, strict=True):
                assert told.spent == Amount(*(books.spent[unit] for unit in _UNITS)), books
                assert told.reserved == Amount(*(books.reserved[unit] for unit in _UNITS)), books

    def settle_all(self) -> None:
        """Come to rest: nothing is reserved any more, and no less counts as spent than was paid."""
        for attempt in self.attempts:
            if attempt.is_valid:
                self._lose(attempt)
        paid = {scope: Counter(books.paid) - books.late for scope, books in self.books.items()}
        self.lapse()
        self.the_accounts_say_so()
        for scope, books in self.books.items():
            assert set(books.reserved.values()) <= {0}, scope
            assert all(books.spent[unit] >= count for unit, count in paid[scope].items()), scope
        for number in range(GROUPS):
            assert not self.run(self.redis.exists(Group(number).reserved))

    def _any_alive(self, *, is_reserved: bool) -> bool:
        return any(each.is_alive and each.is_reserved == is_reserved for each in self.attempts)

    def _draw(self, data: st.DataObject, *, is_reserved: bool) -> Attempt:
        found = [each for each in self.attempts if each.is_alive and each.is_reserved == is_reserved]
        return data.draw(st.sampled_from(found))


async def _as_coroutine(awaitable: Awaitable[Value]) -> Value:
    return await awaitable


def test_whatever_happens_no_budget_is_overspent_and_every_call_is_accounted_for(valkey_url: str) -> None:
    assert {group_of(path, GROUPS).number for path in PATHS} == {0, 1}, "near and far from the installation's budget"
    Spending.redis_url = valkey_url
    run_state_machine_as_test(
        Spending,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
