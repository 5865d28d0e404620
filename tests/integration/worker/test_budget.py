"""Budgets: no call without room, what it cost is written down, and what waits goes on by itself, in order."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId, RoutePath, route_path
from eventroute.models import Models
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Prompt, prepare
from eventroute.queue import Amount, Group, Lease, LeaseLost, Ledger, Trouble, group_of
from eventroute.route_table import INSTALLATION, BudgetRule, ModelCall
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.scripts import ClientCaller, RedisAway
from eventroute.secret import Secret
from eventroute_worker import keeper as keeper_module
from eventroute_worker.answer import Failed, GivenUp, Passing, Reply, Standing, Usage
from eventroute_worker.attempt import Attempt, End, Parked, Settled
from eventroute_worker.pricing import Prices
from eventroute_worker.spending import Bill, Spending, Treasury
from eventroute_worker.troubles import Troubles
from support.budgets import DAY_S, NAMESPACE, OF_ALL, budget, ledger_of, stands, turn_period
from support.queue import (
    GROUP,
    admit,
    admit_all,
    clock_ms,
    dead_letters,
    depth,
    fields,
    lease,
    lease_again,
    state,
    upkeep_of,
    work_on,
)
from support.runs import PATH, FakeClaude, FakeRoutes, answer, build_runner, prompt_rule, results, sample_delivery
from support.runs import worker_route as _worker_route
from support.waiting import until
from support.worker import keeping, running, until_empty

pytestmark = pytest.mark.real

NOTHING = Amount(0, 0)
CALL = ModelCall(name="claude-haiku-5-5", max_tokens=1000, timeout_s=5)
OUTPUT_USD = 500  # a thousand tokens of Haiku's, in millionths
PAID = answer(usage=Usage(input=100, output=20), cost_usd=Decimal("0.0000205"))


def _routes(*budgets: BudgetRule, **changes: Any) -> FakeRoutes:
    return FakeRoutes(_worker_route(budgets=budgets, prompts=(prompt_rule(model=CALL),), **changes))


class Watched(FakeClaude):
    """Looks at the accounts while it is asked."""

    def __init__(self, redis: Redis, *replies: Reply) -> None:
        super().__init__(*replies)
        self.redis = redis
        self.reserved: list[Amount] = []

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        self.reserved.append((await stands(self.redis, budget()))[1])
        return await super().ask(call, prompt, api_key=api_key)


async def _run(redis: Redis, routes: FakeRoutes, *replies: Reply, **options: Any) -> End:
    name = DeliveryId("d-1")
    if await state(redis, name) == "gone":
        await admit(redis, sample_delivery())
    taken = await lease(redis)
    return await build_runner(redis, claude=FakeClaude(*replies), routes=routes, **options)(Attempt(taken))


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.05)


# --- what a call costs ---


async def test_a_call_is_reserved_at_its_worst_while_it_runs_and_paid_as_it_was(redis: Redis) -> None:
    claude, routes = Watched(redis, PAID), _routes(*(budget(rule.scope, micro_usd=10_000) for rule in OF_ALL))
    await admit(redis, sample_delivery())
    await build_runner(redis, claude=claude, routes=routes)(Attempt(await lease(redis)))
    [reserved] = claude.reserved
    length = sum(len(text.encode()) for text in claude.asked[0][:2])
    assert length + 1000 <= reserved.tokens <= length + 1200, "a token for each byte, and all of maxTokens"
    assert OUTPUT_USD + length * 0.2 <= reserved.micro_usd <= OUTPUT_USD + (length + 200) * 0.2
    assert [await stands(redis, rule) for rule in OF_ALL] == [(Amount(21, 120), NOTHING)] * 3


@pytest.mark.parametrize(
    ("reply", "is_paid"),
    [
        (Passing(detail="429"), False),
        (Passing(detail="the connection broke", may_be_paid=True), True),
        (Failed(detail="no answer", timed_out=True, may_be_paid=True), True),
        (Failed(detail="refused"), False),
        (Standing(reason=DeadReason.BILLING, detail="402", whole_key=True), False),
        (GivenUp(reason=DeadReason.INVALID_REQUEST, detail="400"), False),
    ],
)
async def test_a_call_without_an_answer_costs_nothing_unless_it_may_have_been_paid(
    redis: Redis, reply: Reply, *, is_paid: bool
) -> None:
    await _run(redis, _routes(budget(micro_usd=10_000)), reply)
    spent, reserved = await stands(redis, budget())
    assert reserved == NOTHING
    assert (spent.micro_usd > OUTPUT_USD, spent.tokens > 1000) == (is_paid, is_paid)
    assert (spent == NOTHING) is not is_paid


async def test_an_answer_that_is_of_no_use_is_paid_too(redis: Redis) -> None:
    await _run(redis, _routes(budget()), GivenUp(reason=DeadReason.CONTEXT_WINDOW, detail="full", paid=PAID))
    assert await stands(redis, budget()) == (Amount(21, 120), NOTHING)


async def test_an_answer_of_unknown_cost_counts_as_reserved(redis: Redis) -> None:
    await _run(redis, _routes(budget(micro_usd=10_000)), answer(cost_usd=None, usage=Usage(input=1, output=1)))
    spent, reserved = await stands(redis, budget())
    assert (reserved, spent.tokens) == (NOTHING, 2)
    assert spent.micro_usd > OUTPUT_USD


async def test_an_attempt_that_is_cancelled_while_it_asks_may_have_been_paid(redis: Redis) -> None:
    class Silent(FakeClaude):
        async def ask(self, *_: Any, **__: Any) -> Reply:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    asked = asyncio.Event()
    await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=Silent(), routes=_routes(budget(micro_usd=10_000)))
    task = asyncio.ensure_future(runner(Attempt(await lease(redis))))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    spent, reserved = await stands(redis, budget())
    assert reserved == NOTHING
    assert spent.micro_usd > OUTPUT_USD


async def test_a_worker_that_has_lost_its_lease_pays_all_the_same(redis: Redis) -> None:
    class Overtaken(FakeClaude):
        async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
            await lease_again(redis, DeliveryId("d-1"))
            return await super().ask(call, prompt, api_key=api_key)

    await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=Overtaken(PAID), routes=_routes(budget(micro_usd=10_000)))
    with pytest.raises(LeaseLost):
        await runner(Attempt(await lease(redis)))
    assert await stands(redis, budget()) == (Amount(21, 120), NOTHING)


async def test_each_call_of_an_attempt_is_reserved_and_paid(redis: Redis) -> None:
    """A refusal, and the answer of the fallback."""
    call = msgspec.structs.replace(CALL, fallback=msgspec.structs.replace(CALL, name="claude-sonnet-5-5"))
    refused = msgspec.structs.replace(PAID, outcome=RunOutcome.REFUSED, stop_reason="refusal")
    claude = Watched(redis, refused, PAID)
    routes = FakeRoutes(_worker_route(budgets=(budget(micro_usd=50_000),), prompts=(prompt_rule(model=call),)))
    await admit(redis, sample_delivery())
    await build_runner(redis, claude=claude, routes=routes)(Attempt(await lease(redis)))
    cheap, dear = claude.reserved
    assert 20 * cheap.micro_usd < dear.micro_usd + 1_000, "each at its own model's price"
    assert await stands(redis, budget()) == (Amount(42, 240), NOTHING)


async def test_a_second_call_waits_until_the_first_is_paid(redis: Redis) -> None:
    call = msgspec.structs.replace(CALL, fallback=msgspec.structs.replace(CALL, name="claude-sonnet-5-5"))
    refused = msgspec.structs.replace(PAID, outcome=RunOutcome.REFUSED, stop_reason="refusal")
    lost, claude = Flaky(redis), FakeClaude(refused, PAID)
    lost.refuses.add("pay")
    spending = Spending(Ledger(lost), Prices(Models.load()))
    routes = FakeRoutes(_worker_route(budgets=(budget(micro_usd=50_000),), prompts=(prompt_rule(model=call),)))
    await admit(redis, sample_delivery())
    with pytest.raises(RedisAway):
        await build_runner(redis, claude=claude, routes=routes, spending=spending)(Attempt(await lease(redis)))
    assert len(claude.asked) == 1
    lost.refuses.clear()
    await spending.settle()
    assert await stands(redis, budget()) == (Amount(21, 120), NOTHING)


async def test_without_a_budget_nothing_is_written_down(redis: Redis) -> None:
    end = await _run(redis, _routes())
    assert isinstance(end, Settled)
    assert await redis.keys("*budget*") == await redis.keys("*reserved*") == []


class Flaky(ClientCaller):
    """Loses the replies of some scripts, or never gets them through."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.loses: set[str] = set()
        self.refuses: set[str] = set()

    async def __call__(self, script: Any, key: str, args: Any) -> Any:
        if script.name in self.refuses:
            raise RedisAway("LOST", "no answer")
        found = await super().__call__(script, key, args)
        if script.name in self.loses:
            raise RedisAway("LOST", "no answer")
        return found


@pytest.mark.parametrize("way", ["loses", "refuses"])
async def test_what_redis_could_not_be_told_is_told_later_and_the_answer_does_not_wait(redis: Redis, way: str) -> None:
    call = Flaky(redis)
    getattr(call, way).add("pay")
    spending = Spending(Ledger(call), Prices(Models.load()))
    end = await _run(redis, _routes(budget(micro_usd=10_000)), PAID, spending=spending)
    assert isinstance(end, Settled)
    assert end.outcome is RunOutcome.SUCCEEDED
    call.loses.clear()
    call.refuses.clear()
    async with keeping(redis, routes=_routes(budget(micro_usd=10_000)), spending=spending) as keeper:
        await keeper.look()
    assert await stands(redis, budget()) == (Amount(21, 120), NOTHING)


@pytest.mark.parametrize("way", ["loses", "refuses"])
async def test_a_reservation_of_which_nobody_heard_is_given_back(redis: Redis, way: str) -> None:
    call, claude = Flaky(redis), FakeClaude()
    getattr(call, way).add("reserve")
    spending, routes = Spending(Ledger(call), Prices(Models.load())), _routes(budget(micro_usd=10_000))
    await admit(redis, sample_delivery())
    with pytest.raises(RedisAway):
        await build_runner(redis, claude=claude, routes=routes, spending=spending)(Attempt(await lease(redis)))
    async with keeping(redis, routes=routes, spending=spending) as keeper:
        await keeper.look()
    assert (await stands(redis, budget()), claude.asked) == ((NOTHING, NOTHING), [])


class Held(Flaky):
    """Holds the first reply of a script about a delivery back until it is told to go on."""

    def __init__(self, redis: Redis, script: str, delivery: str) -> None:
        super().__init__(redis)
        self.held = (script, delivery)
        self.is_reached, self.may_go = asyncio.Event(), asyncio.Event()

    async def __call__(self, script: Any, key: str, args: Any) -> Any:
        found = await super().__call__(script, key, args)
        if (script.name, args[0]) == self.held and not self.is_reached.is_set():
            self.is_reached.set()
            await self.may_go.wait()
        return found


COST = Amount(21, 120)
RULE = budget(micro_usd=50_000)


async def _reserve(spending: Spending, lease: Lease) -> None:
    assert isinstance(await spending.reserve(lease, [RULE], CALL, Prompt("", "", ())), Bill)


async def _owing(redis: Redis, call: Flaky, *names: str) -> tuple[Spending, list[Lease]]:
    """Let calls be made whose cost Redis could not be told."""
    spending = Spending(Ledger(call), Prices(Models.load()))
    await admit_all(redis, [sample_delivery(name) for name in names])
    leases = [await lease(redis, busy=number) for number in range(len(names))]
    call.refuses.add("pay")
    for each in leases:
        await _reserve(spending, each)
        await spending.pay(each, [RULE], COST)
    call.refuses.clear()
    return spending, leases


async def test_what_a_call_pays_while_others_debts_are_told_is_paid_once(redis: Redis) -> None:
    call = Held(redis, "pay", "d-1")
    spending, (_, second) = await _owing(redis, call, "d-1", "d-2")
    settling = asyncio.create_task(spending.settle())
    await call.is_reached.wait()
    await spending.pay(second, [RULE], COST)
    call.may_go.set()
    await settling
    assert await stands(redis, RULE) == (Amount(42, 240), NOTHING)


async def test_a_debt_that_was_made_while_the_last_one_was_told_is_not_forgotten(redis: Redis) -> None:
    call = Held(redis, "pay", "d-1")
    spending, [first] = await _owing(redis, call, "d-1")
    settling = asyncio.create_task(spending.settle())
    await call.is_reached.wait()
    await _reserve(spending, first)
    call.refuses.add("pay")
    await spending.pay(first, [RULE], COST)
    call.refuses.clear()
    call.may_go.set()
    await settling
    await spending.settle()
    assert await stands(redis, RULE) == (Amount(42, 240), NOTHING)


async def test_what_was_being_reserved_when_the_attempt_was_cancelled_is_given_back(redis: Redis) -> None:
    call = Held(redis, "reserve", "d-1")
    spending, claude = Spending(Ledger(call), Prices(Models.load())), FakeClaude()
    await admit(redis, sample_delivery())
    runner = build_runner(redis, claude=claude, routes=_routes(RULE), spending=spending)
    task = asyncio.ensure_future(runner(Attempt(await lease(redis))))
    await call.is_reached.wait()
    assert (await stands(redis, RULE))[1] != NOTHING
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await spending.settle()
    assert (await stands(redis, RULE), claude.asked) == ((NOTHING, NOTHING), [])


# --- a budget without room ---


async def test_reject_makes_a_dead_letter_that_costs_nothing(redis: Redis) -> None:
    full = budget(NAMESPACE, micro_usd=1_000, on_exceeded="reject")
    await redis.hset(GROUP.budget(NAMESPACE), mapping={"spent_usd": 900, "spent_tokens": 0, "ends": 2**48})
    end = await _run(redis, _routes(budget(), full))
    assert isinstance(end, Settled)
    assert (end.outcome, end.reason) == (RunOutcome.DEAD, DeadReason.BUDGET)
    assert end.detail.startswith("the budget of namespace team-a, USD 0.001, has no room; its period ends at ")
    assert (await stands(redis, budget()))[1] == NOTHING


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (budget(micro_usd=400), "all of the budget of route team-a/triage, USD 0.0004"),
        (budget(micro_usd=None, tokens=1000), "all of the budget of route team-a/triage, 1000 tokens"),
        (
            budget(INSTALLATION, micro_usd=400, tokens=9),
            "all of the budget of the installation, USD 0.0004 and 9 tokens",
        ),
    ],
)
async def test_a_call_that_fits_into_no_empty_budget_keeps_nobody_waiting(
    redis: Redis, rule: BudgetRule, says: str
) -> None:
    end = await _run(redis, _routes(rule))
    assert isinstance(end, Settled)
    assert (end.outcome, end.reason) == (RunOutcome.DEAD, DeadReason.BUDGET)
    assert end.detail.startswith("one call may cost USD 0.000")
    assert end.detail.endswith(f"which is more than {says}")


async def test_hold_parks_it_with_what_it_needs(redis: Redis) -> None:
    await redis.hset(GROUP.budget(PATH), mapping={"spent_usd": 900, "spent_tokens": 0, "ends": 2**48})
    troubles = Troubles()
    end = await _run(redis, _routes(budget()), troubles=troubles)
    assert isinstance(end, Parked)
    assert (end.trouble.cause, end.trouble.reason, end.has_asked) == (f"budget:{PATH}", "budget", True)
    midnight = datetime.fromtimestamp(await clock_ms(redis) / 1000 + DAY_S, UTC).strftime("%Y-%m-%dT00:00:00Z")
    said = f"the budget of route team-a/triage, USD 0.001, has no room; its period ends at {midnight}"
    assert end.trouble.detail == said
    assert end.need is not None
    assert end.need.micro_usd > OUTPUT_USD
    assert troubles.standing("own", CALL.name, [budget()]) == end.trouble
    assert troubles.standing("own", CALL.name, [budget(on_exceeded="reject"), budget(NAMESPACE)]) is None


async def test_a_price_that_nobody_knows_parks_for_the_model(redis: Redis) -> None:
    routes = FakeRoutes(
        _worker_route(budgets=(budget(),), prompts=(prompt_rule(model=ModelCall(name="m", max_tokens=9, timeout_s=1)),))
    )
    end = await _run(redis, routes)
    assert isinstance(end, Parked)
    assert (end.trouble.cause, end.trouble.detail) == (
        "own:m",
        "nobody knows what m costs, which a budget in USD needs",
    )


async def test_tokens_are_counted_where_nobody_knows_the_price(redis: Redis) -> None:
    rule = budget(micro_usd=None, tokens=100_000)
    routes = FakeRoutes(
        _worker_route(budgets=(rule,), prompts=(prompt_rule(model=ModelCall(name="m", max_tokens=9, timeout_s=1)),))
    )
    await _run(redis, routes, answer(cost_usd=None, usage=Usage(input=7, output=2)))
    assert await stands(redis, rule) == (Amount(0, 9), NOTHING)


# --- going on by itself ---

NAMES = [f"d-{number:02}" for number in range(12)]


async def _until_parked(redis: Redis, count: int, scope: str = PATH) -> None:
    async def is_parked() -> bool:
        return bool(await redis.zcard(GROUP.parked(f"budget:{scope}")) == count)

    await until(is_parked)


def _dear(count: int) -> list[Reply]:
    """Answers that cost as much as may be: then as many fit as at their worst."""
    return [answer(f"{number}", cost_usd=Decimal("0.00052"), usage=Usage(input=1, output=1)) for number in range(count)]


async def _told(redis: Redis) -> list[str]:
    return [entry["delivery"] for entry in await results(redis)]


async def test_what_is_held_costs_nothing_and_goes_on_in_order_when_the_period_turns(redis: Redis) -> None:
    rule = budget(micro_usd=2_000)
    routes, troubles, claude = _routes(rule), Troubles(), FakeClaude(*_dear(12))
    await admit_all(redis, [sample_delivery(name) for name in NAMES])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, routes=routes, troubles=troubles), running(redis, runner, slots=1):
        for done in (3, 6, 9):
            await _until_parked(redis, 12 - done)

            async def others_wait(count: int = done) -> bool:
                waiting = await fields(redis, DeliveryId(NAMES[count]))
                is_free = (waiting.get("state"), waiting.get("attempts", "0")) == ("held", "0")
                return is_free and len(await _told(redis)) == count

            await until(others_wait)
            await turn_period(redis, rule)
        await until_empty(redis)
    assert await _told(redis) == NAMES
    assert await dead_letters(redis) == []
    assert await upkeep_of(redis).standing(GROUP) == []


async def test_what_a_call_did_not_use_lets_the_next_one_go_on(redis: Redis) -> None:
    rule = budget(micro_usd=1_000)
    routes, troubles = _routes(rule), Troubles()
    await admit_all(redis, [sample_delivery(name) for name in NAMES])
    runner = build_runner(redis, claude=FakeClaude(), routes=routes, troubles=troubles)
    async with keeping(redis, routes=routes, troubles=troubles), running(redis, runner, slots=5):
        await until_empty(redis, timeout_s=20)
    assert sorted(await _told(redis)) == NAMES
    assert await stands(redis, rule) == (Amount(35 * 12, 15 * 12), NOTHING)


@pytest.mark.parametrize("change", ["more", "none"])
async def test_a_budget_that_rises_or_is_no_more_lets_them_go_on(redis: Redis, change: str) -> None:
    routes, troubles, claude = _routes(budget(micro_usd=1_000)), Troubles(), FakeClaude(*_dear(12))
    await admit_all(redis, [sample_delivery(name) for name in NAMES])
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, routes=routes, troubles=troubles), running(redis, runner, slots=1):
        await _until_parked(redis, 11)
        rules = (budget(micro_usd=20_000),) if change == "more" else ()
        routes._plans[PATH] = prepare(_worker_route(budgets=rules, prompts=(prompt_rule(model=CALL),)))
        await until_empty(redis)
    assert await _told(redis) == NAMES


async def test_one_that_a_lowered_budget_can_never_pay_is_a_dead_letter_and_the_next_one_goes_on(redis: Redis) -> None:
    routes, troubles, claude = _routes(budget(micro_usd=5_000)), Troubles(), FakeClaude()
    await ledger_of(redis).account(GROUP, list(routes._plans[PATH].route.budgets))
    await redis.hset(GROUP.budget(PATH), "spent_usd", 4_999)
    await admit(redis, sample_delivery("d-1", payload=b'"%s"' % (b"x" * 9_000)))
    await admit(redis, sample_delivery("d-2"))
    runner = build_runner(redis, claude=claude, routes=routes, troubles=troubles)
    async with keeping(redis, routes=routes, troubles=troubles), running(redis, runner, slots=1):
        await _until_parked(redis, 2)
        lowered = budget(micro_usd=1_000)
        routes._plans[PATH] = prepare(_worker_route(budgets=(lowered,), prompts=(prompt_rule(model=CALL),)))
        await turn_period(redis, lowered)
        await until_empty(redis)
    found = await fields(redis, DeliveryId("d-1"))
    assert (found["outcome"], found["reason"]) == ("dead", "budget")
    assert "more than all of the budget" in found["detail"]
    assert await _told(redis) == ["d-2"]


async def test_one_routes_budget_is_nothing_to_another_and_their_namespaces_is(redis: Redis) -> None:
    other = route_path("team-a", "other")
    shared, troubles = budget(NAMESPACE, micro_usd=1_500), Troubles()
    prompts = (prompt_rule(model=CALL),)
    routes = FakeRoutes(
        _worker_route(budgets=(budget(micro_usd=1_000), shared), prompts=prompts),
        _worker_route(path=other, budgets=(shared,), prompts=prompts),
    )
    await admit_all(redis, [sample_delivery(name) for name in NAMES[:4]])
    runner = build_runner(redis, claude=FakeClaude(*_dear(12)), routes=routes, troubles=troubles)
    async with keeping(redis, routes=routes, troubles=troubles), running(redis, runner, slots=1):
        await _until_parked(redis, 3)
        await admit_all(redis, [sample_delivery(f"e-{number}", route=other) for number in range(3)])
        await _until_parked(redis, 2, NAMESPACE)
    assert (await _told(redis), await depth(redis)) == ([NAMES[0], "e-0"], 5)


async def test_another_group_waits_for_the_installations_budget_in_the_first_one(redis: Redis) -> None:
    groups = [Group(0), Group(1)]
    path = RoutePath(PATH)
    assert group_of(path, 2) == groups[1]
    rule = budget(INSTALLATION, micro_usd=1_000)
    await redis.hset(GROUP.budget(INSTALLATION), mapping={"spent_usd": 900, "spent_tokens": 0, "ends": 2**48})
    name, troubles, routes = DeliveryId("d-1"), Troubles(), _routes(rule)
    await redis.hset(groups[1].delivery(name), mapping={"path": path, "seq": 1, "fence": 0})
    await redis.zadd(groups[1].parked("budget:*"), {name: 1})
    await redis.hset(
        groups[1].causes, "budget:*", '{"reason":"budget","detail":"","key_id":"","model":"","budget":"*"}'
    )
    await redis.hset(groups[1].delivery(name), "need", "600 1000")
    async with keeping(redis, routes=routes, troubles=troubles, groups=groups) as keeper:
        await keeper.look()
        assert await redis.zcard(groups[1].parked("budget:*")) == 1
        await turn_period(redis, rule)
        await keeper.look()
    assert await redis.zrange(groups[1].ready(path), 0, -1) == [b"d-1"]


async def test_nothing_goes_on_while_the_installation_is_stopped(redis: Redis) -> None:
    rule = budget(micro_usd=2_000)
    await admit(redis, sample_delivery())
    parked = await lease(redis)
    trouble = Trouble(reason="budget", detail="spent", budget=PATH)
    await work_on(redis).park(parked, trouble, has_asked=True, need=Amount(600, 1_000))
    ledger = Ledger(ClientCaller(redis))
    treasury = Treasury(ledger, Spending(ledger, Prices(Models.load())), rules=lambda: [rule], groups=1)
    standing = await upkeep_of(redis).standing(GROUP)
    for lets_go, where in ((False, "held"), (True, "ready")):
        await treasury.look(GROUP, standing, lets_go=lets_go)
        assert await state(redis, parked.delivery) == where


async def test_what_a_killed_worker_has_asked_is_counted_by_the_keeper(redis: Redis) -> None:
    rule = budget(micro_usd=2_000)
    await admit(redis, sample_delivery())
    killed = await lease(redis)
    await Ledger(ClientCaller(redis)).reserve(killed, [rule], Amount(600, 1_000), for_ms=0)
    await lease_again(redis, killed.delivery)
    async with keeping(redis, routes=_routes(rule)) as keeper:
        await keeper.look()
    assert await stands(redis, rule) == (Amount(600, 1_000), NOTHING)


# --- what is told ---


async def test_a_warning_and_how_much_is_spent_are_told(redis: Redis) -> None:
    def read(name: str) -> float:
        return REGISTRY.get_sample_value(name, {"scope": PATH}) or 0.0

    before = read("eventroute_worker_budget_warnings_total")
    routes = _routes(budget(micro_usd=1_000, tokens=10_000))
    await redis.hset(GROUP.budget(PATH), mapping={"spent_usd": 790, "spent_tokens": 0, "ends": 2**48})
    async with keeping(redis, routes=routes) as keeper:
        await keeper.look()
        assert read("eventroute_worker_budget_used_ratio") == pytest.approx(0.79)
        await redis.hset(GROUP.budget(PATH), mapping={"spent_tokens": 8_000})
        for _ in range(3):
            await keeper.look()
        assert read("eventroute_worker_budget_used_ratio") == pytest.approx(0.8)
        assert read("eventroute_worker_budget_warnings_total") == before + 1
