"""What calls cost is reserved before them and paid after them, in all of their budgets or in none, and once."""

from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath, route_path
from eventroute.queue import Amount, Exceeded, Group, Lease, LeaseLost, Trouble
from eventroute.route_table import INSTALLATION
from support.budgets import DAY_S, NAMESPACE, OF_ALL, account, budget, ledger_of, stands, turn_period
from support.queue import (
    GROUP,
    admit,
    admit_job,
    clock_ms,
    content,
    fields,
    lease,
    lease_again,
    lease_all,
    run_out,
    upkeep_of,
    work_on,
)
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

NOTHING, CALL = Amount(0, 0), Amount(400, 70)
LONG_MS = 600_000


async def _leased(redis: Redis, name: str = "d-1", *, path: RoutePath = PATH) -> Lease:
    await admit(redis, sample_delivery(name, route=path))
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    return taken


async def test_a_call_is_reserved_in_all_of_its_budgets_and_the_attempt_asks(redis: Redis) -> None:
    own = await _leased(redis)
    assert await ledger_of(redis).reserve(own, OF_ALL, CALL, for_ms=LONG_MS) is None
    assert [await stands(redis, rule) for rule in OF_ALL] == [(NOTHING, CALL)] * 3
    assert (await fields(redis, own.delivery))["stage"] == "asking"


@pytest.mark.parametrize("paid", [Amount(150, 30), NOTHING, None])
async def test_what_it_cost_takes_the_place_of_what_was_reserved_and_only_once(
    redis: Redis, paid: Amount | None
) -> None:
    own = await _leased(redis)
    await ledger_of(redis).reserve(own, OF_ALL, CALL, for_ms=LONG_MS)
    for _ in range(2):
        await ledger_of(redis).pay(own, OF_ALL, paid)
        assert [await stands(redis, rule) for rule in OF_ALL] == [(CALL if paid is None else paid, NOTHING)] * 3
    assert not await redis.exists(GROUP.reserved)


async def test_a_reservation_whose_reply_got_lost_is_the_same_one(redis: Redis) -> None:
    own = await _leased(redis)
    for _ in range(2):
        assert await ledger_of(redis).reserve(own, OF_ALL, CALL, for_ms=LONG_MS) is None
    assert await stands(redis, OF_ALL[0]) == (NOTHING, CALL)


@pytest.mark.parametrize("full", range(3))
async def test_one_budget_without_room_leaves_the_others_as_they_were(redis: Redis, full: int) -> None:
    rules = [budget(rule.scope, micro_usd=399) if at == full else rule for at, rule in enumerate(OF_ALL)]
    own = await _leased(redis)
    ends_ms = (await clock_ms(redis) // (DAY_S * 1000) + 1) * DAY_S * 1000
    assert await ledger_of(redis).reserve(own, rules, CALL, for_ms=LONG_MS) == Exceeded(rules[full], ends_ms)
    assert [await stands(redis, rule) for rule in rules] == [(NOTHING, NOTHING)] * 3
    assert (await fields(redis, own.delivery))["stage"] == "begun"


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        ({"micro_usd": 1_200}, 3),
        ({"micro_usd": 1_199}, 2),
        ({"micro_usd": None, "tokens": 140}, 2),
        ({"micro_usd": None, "tokens": 139}, 1),
        ({"micro_usd": 4_000, "tokens": 140}, 2),
        ({"micro_usd": 400, "tokens": 1_400}, 1),
        ({"micro_usd": None, "tokens": None}, 5),
    ],
)
async def test_spent_and_reserved_never_exceed_a_limit_together(
    redis: Redis, limits: dict[str, Any], calls: int
) -> None:
    rule, done = budget(**limits), 0
    for number in range(5):
        own = await _leased(redis, f"d-{number}")
        if await ledger_of(redis).reserve(own, [rule], CALL, for_ms=LONG_MS) is None:
            done += 1
            if number % 2:
                await ledger_of(redis).pay(own, [rule], None)
    assert done == calls


async def test_a_worker_that_has_lost_its_lease_reserves_nothing(redis: Redis) -> None:
    late = await _leased(redis)
    await lease_again(redis, late.delivery)
    before = await content(redis)
    with pytest.raises(LeaseLost):
        await ledger_of(redis).reserve(late, OF_ALL, CALL, for_ms=LONG_MS)
    assert await content(redis) == before


async def test_of_two_that_ask_for_one_delivery_both_pay(redis: Redis) -> None:
    first = await _leased(redis)
    await ledger_of(redis).reserve(first, OF_ALL, CALL, for_ms=LONG_MS)
    second = await lease_again(redis, first.delivery)
    await ledger_of(redis).reserve(second, OF_ALL, CALL, for_ms=LONG_MS)
    assert await stands(redis, OF_ALL[0]) == (NOTHING, Amount(800, 140))
    await ledger_of(redis).pay(second, OF_ALL, Amount(100, 10))
    await ledger_of(redis).pay(first, OF_ALL, Amount(200, 20))
    assert [await stands(redis, rule) for rule in OF_ALL] == [(Amount(300, 30), NOTHING)] * 3


async def test_what_a_killed_worker_has_reserved_counts_as_spent_once_its_call_must_be_over(redis: Redis) -> None:
    own = await _leased(redis)
    await ledger_of(redis).reserve(own, OF_ALL, CALL, for_ms=LONG_MS)
    await run_out(redis, own.delivery)
    await lease_again(redis, own.delivery)
    assert await ledger_of(redis).lapse(GROUP) == 0, "its call may still be under way"
    name = f"{own.delivery}:{own.fence}"
    said = (await redis.hget(GROUP.reserved, name)).decode().split()
    await redis.hset(GROUP.reserved, name, " ".join([str(await clock_ms(redis)), *said[1:]]))
    assert await ledger_of(redis).lapse(GROUP) == 1
    assert [await stands(redis, rule) for rule in OF_ALL] == [(CALL, NOTHING)] * 3
    await ledger_of(redis).pay(own, OF_ALL, Amount(1, 1))
    assert await stands(redis, OF_ALL[0]) == (CALL, NOTHING), "it was counted already"


async def test_a_call_that_takes_longer_than_it_may_is_waited_for_while_its_lease_holds(redis: Redis) -> None:
    own = await _leased(redis)
    await ledger_of(redis).reserve(own, OF_ALL, CALL, for_ms=0)
    assert await ledger_of(redis).lapse(GROUP) == 0
    await ledger_of(redis).pay(own, OF_ALL, Amount(1, 1))
    assert await stands(redis, OF_ALL[0]) == (Amount(1, 1), NOTHING)


async def test_many_lapse_in_one_sweep(redis: Redis) -> None:
    leases = [await _leased(redis, f"d-{number:03}") for number in range(350)]
    rule = budget(micro_usd=None)
    for own in leases:
        await ledger_of(redis).reserve(own, [rule], CALL, for_ms=0)
    await run_out(redis, *(own.delivery for own in leases))
    await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=0)
    await work_on(redis).lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=0)
    assert await ledger_of(redis).lapse(GROUP) == 350
    assert await stands(redis, rule) == (Amount(350 * 400, 350 * 70), NOTHING)


# --- periods ---


async def test_what_was_spent_is_forgotten_when_the_period_turns_and_what_is_in_flight_is_not(redis: Redis) -> None:
    rule = budget()
    paid, own = await _leased(redis, "d-1"), await _leased(redis, "d-2")
    for each in (paid, own):
        await ledger_of(redis).reserve(each, [rule], CALL, for_ms=LONG_MS)
    await ledger_of(redis).pay(paid, [rule], None)
    await turn_period(redis, rule)
    assert (await account(redis, rule))[:2] == (NOTHING, CALL)
    await ledger_of(redis).pay(own, [rule], Amount(300, 7))
    assert await stands(redis, rule) == (Amount(300, 7), NOTHING), "it counts in the period in which it is known"


async def test_a_payment_turns_a_period_that_is_over(redis: Redis) -> None:
    rule = budget()
    own = await _leased(redis)
    await ledger_of(redis).reserve(own, [rule], CALL, for_ms=LONG_MS)
    await redis.hset(GROUP.budget(rule.scope), "spent_usd", 999)
    await turn_period(redis, rule)
    await ledger_of(redis).pay(own, [rule], Amount(300, 7))
    assert await stands(redis, rule) == (Amount(300, 7), NOTHING)


async def test_all_periods_of_a_length_turn_at_the_same_time(redis: Redis) -> None:
    ends = {(await account(redis, budget(scope, period_s=3600))).ends_ms for scope in (PATH, NAMESPACE)}
    [one] = ends
    assert one % 3_600_000 == 0
    assert 0 < one - await clock_ms(redis) <= 3_600_000


async def test_programs_that_know_two_lengths_of_a_period_do_not_turn_it(redis: Redis) -> None:
    own = await _leased(redis)
    long, short = budget(period_s=31 * DAY_S), budget(period_s=60)
    await ledger_of(redis).reserve(own, [long], CALL, for_ms=LONG_MS)
    await ledger_of(redis).pay(own, [long], None)
    ends_ms = (await account(redis, short)).ends_ms
    assert ends_ms - await clock_ms(redis) <= 60_000
    for rule in (long, short, long):
        found = await account(redis, rule)
        assert (found.spent, found.ends_ms) == (CALL, ends_ms)


async def test_an_account_outlives_its_period_by_a_day(redis: Redis) -> None:
    rule = budget(period_s=3600)
    ends_ms = (await account(redis, rule)).ends_ms
    assert abs(await redis.pexpiretime(GROUP.budget(rule.scope)) - ends_ms - DAY_S * 1000) < 1000


async def test_what_is_paid_after_its_account_was_forgotten_makes_no_room(redis: Redis) -> None:
    own = await _leased(redis)
    await ledger_of(redis).reserve(own, [budget()], CALL, for_ms=LONG_MS)
    await redis.delete(GROUP.budget(PATH))
    await ledger_of(redis).pay(own, [budget()], Amount(300, 7))
    assert await stands(redis, budget()) == (Amount(300, 7), NOTHING)


async def test_a_budget_that_is_no_more_is_not_listed_and_what_it_has_spent_is_known(redis: Redis) -> None:
    own, gone = budget(), budget(NAMESPACE)
    await ledger_of(redis).account(GROUP, [gone])
    await ledger_of(redis).account(GROUP, [own])
    assert await redis.smembers(GROUP.budgets) == {own.scope.encode(), gone.scope.encode()}
    await redis.hset(GROUP.budget(gone.scope), "spent_usd", 7)
    await ledger_of(redis).account(GROUP, [own], are_all=True)
    assert await redis.smembers(GROUP.budgets) == {own.scope.encode()}
    assert (await account(redis, gone)).spent == Amount(7, 0)


# --- warnings ---


@pytest.mark.parametrize(
    ("limits", "spent", "warns"),
    [
        ({"micro_usd": 500}, Amount(399, 0), False),
        ({"micro_usd": 500}, Amount(400, 0), True),
        ({"micro_usd": None, "tokens": 100}, Amount(0, 79), False),
        ({"micro_usd": None, "tokens": 100}, Amount(0, 80), True),
        ({"micro_usd": 500, "tokens": 100}, Amount(0, 80), True),
        ({"micro_usd": None, "tokens": None}, Amount(400, 70), False),
    ],
)
async def test_a_budget_is_warned_of_once_a_period(
    redis: Redis, limits: dict[str, Any], spent: Amount, *, warns: bool
) -> None:
    rule = budget(**limits)
    for _ in range(2):
        own = await _leased(redis, f"d-{await clock_ms(redis)}")
        await ledger_of(redis).reserve(own, [rule], Amount(400, 80), for_ms=LONG_MS)
        assert not (await account(redis, rule)).is_warned, "nothing is spent yet"
        await ledger_of(redis).pay(own, [rule], spent)
        assert [(await account(redis, rule)).is_warned for _ in range(3)] == [warns, False, False]
        await turn_period(redis, rule)


# --- deliveries that wait ---


async def _parked(redis: Redis, name: str, need: Amount | None, *, path: RoutePath = PATH) -> None:
    own = await _leased(redis, name, path=path)
    trouble = Trouble(reason="budget", detail="spent", budget=PATH)
    await work_on(redis).park(own, trouble, has_asked=need is not None, need=need)


async def _afforded(redis: Redis, room: tuple[int | None, int | None], *, count: int = 100) -> list[str]:
    done = await ledger_of(redis).afford(GROUP, budget(), room, count=count)
    found = await redis.zrange(GROUP.ready(PATH), 0, -1)
    assert len(found) == done
    return [name.decode() for name in found]


@pytest.mark.parametrize(
    ("room", "ready"),
    [
        ((399, None), []),
        ((400, None), ["d-1"]),
        ((1_199, None), ["d-1", "d-2"]),
        ((9_000, None), ["d-1", "d-2", "d-3", "d-4"]),
        ((None, 69), []),
        ((None, 140), ["d-1", "d-2"]),
        ((9_000, 70), ["d-1"]),
        ((None, None), ["d-1", "d-2", "d-3", "d-4"]),
    ],
)
async def test_as_many_go_on_as_there_is_room_for_in_their_order(
    redis: Redis, room: tuple[int | None, int | None], ready: list[str]
) -> None:
    for name, need in (("d-1", CALL), ("d-2", None), ("d-3", CALL), ("d-4", Amount(1, 1))):
        await _parked(redis, name, need)
    assert await _afforded(redis, room) == ready
    assert await redis.hexists(GROUP.causes, f"budget:{PATH}") == (len(ready) < 4)


async def test_one_that_does_not_fit_keeps_smaller_ones_behind_it(redis: Redis) -> None:
    await _parked(redis, "d-1", Amount(900, 1))
    await _parked(redis, "d-2", Amount(1, 1))
    assert await _afforded(redis, (899, None)) == []
    assert await _afforded(redis, (901, None), count=1) == ["d-1"]


async def test_the_first_ones_need_is_taken_from_the_next_where_it_has_never_asked(redis: Redis) -> None:
    await _parked(redis, "d-1", None)
    await _parked(redis, "d-2", CALL)
    assert await _afforded(redis, (399, None)) == []
    assert await _afforded(redis, (400, None)) == ["d-1"]


async def test_one_that_needs_more_than_the_whole_budget_is_in_the_way_of_nobody(redis: Redis) -> None:
    for name, need in (("d-1", Amount(1_001, 1)), ("d-2", None), ("d-3", CALL), ("d-4", CALL)):
        await _parked(redis, name, need)
    assert await _afforded(redis, (799, None)) == ["d-1", "d-2"], "the second one needs as much as the third"
    found = await work_on(redis).begin(await lease(redis), traceparent="")
    assert found.probes == f"budget:{PATH}", "it is judged anew"


async def test_those_of_a_held_route_take_no_room_and_keep_nobody_waiting(redis: Redis) -> None:
    other = route_path("team-a", "other")
    await _parked(redis, "d-1", Amount(900, 1))
    await _parked(redis, "e-1", CALL, path=other)
    await upkeep_of(redis).hold(GROUP, PATH, "suspended")
    assert await ledger_of(redis).afford(GROUP, budget(), (400, None), count=9) == 2
    assert [each.delivery for each in await lease_all(redis)] == ["e-1"]
    assert await redis.zrange(GROUP.ready(PATH), 0, -1) == [b"d-1"]


async def test_it_comes_back_as_a_probe_of_its_budget(redis: Redis) -> None:
    await _parked(redis, "d-1", CALL)
    await _afforded(redis, (400, None))
    found = await work_on(redis).begin(await lease(redis), traceparent="")
    assert (found.probes, b"need" in found.fields, b"cause" in found.fields) == (f"budget:{PATH}", False, False)


# --- several groups ---


async def test_the_installations_budget_stands_in_the_first_group(redis: Redis) -> None:
    group = Group(1)
    rules = (budget(), budget(INSTALLATION, micro_usd=500))
    ledger = ledger_of(redis)
    leases = []
    for number, path in enumerate((PATH, route_path("team-a", "other"))):
        name = await admit(redis, sample_delivery(f"d-{number}", route=path))
        await redis.rename(GROUP.delivery(name), group.delivery(name))
        await redis.hset(group.delivery(name), mapping={"fence": 1, "stage": "begun"})
        await redis.zadd(group.running, {name: 2**48})
        leases.append(Lease(name, path, 1, group))
    first, second = leases
    assert await ledger.reserve(first, rules, CALL, for_ms=LONG_MS) is None
    assert await stands(redis, rules[0], group=group) == (NOTHING, CALL)
    assert await stands(redis, rules[1]) == (NOTHING, CALL)
    assert await redis.hget(group.delivery(first.delivery), "stage") == b"asking"
    full = await ledger.reserve(second, rules, CALL, for_ms=LONG_MS)
    assert full is not None
    assert full.rule is rules[1]
    assert await stands(redis, rules[0], group=group) == (NOTHING, CALL), "the second one has reserved nothing"
    await ledger.pay(first, rules, Amount(5, 5))
    assert await stands(redis, rules[0], group=group) == (Amount(5, 5), NOTHING)
    assert await stands(redis, rules[1]) == (Amount(5, 5), NOTHING)


@pytest.mark.parametrize("why", ["the others are full", "the lease is lost"])
async def test_the_installations_budget_gets_back_what_the_others_do_not_want(redis: Redis, why: str) -> None:
    group, name = Group(1), (await admit_job(redis, "d-1"))
    await redis.rename(GROUP.delivery(name), group.delivery(name))
    await redis.hset(group.delivery(name), "fence", 1)
    await redis.zadd(group.running, {name: 2**48})
    rules = (budget(micro_usd=399), budget(INSTALLATION))
    own = Lease(name, PATH, 1 if why == "the others are full" else 0, group)
    if why == "the others are full":
        full = await ledger_of(redis).reserve(own, rules, CALL, for_ms=LONG_MS)
        assert full is not None
        assert full.rule is rules[0]
    else:
        with pytest.raises(LeaseLost):
            await ledger_of(redis).reserve(own, rules, CALL, for_ms=LONG_MS)
    assert await stands(redis, rules[1]) == (NOTHING, NOTHING)
    assert not await redis.exists(GROUP.reserved)
