"""Debouncing: an entity's events are collected to one delivery, until it is quiet or has waited for long enough."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from eventroute.delivery import decode_delivery, encode_delivery
from eventroute.ids import Claim, ClaimId, DeliveryId, RoutePath
from eventroute.queue import (
    Admissions,
    Admitted,
    Again,
    Candidate,
    Fate,
    Full,
    Joined,
    Lease,
    Limits,
    New,
    Repeat,
    scripts,
)
from eventroute.route_table import DebounceRule, RateLimit
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, clock_ms, depth, fields, lease, lease_all, settle, state, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

RULE = DebounceRule(quiet_s=30, max_s=300)


def _candidate(name: str, *, whom: str = "x", lane: str = "", payload: bytes = b"1") -> Candidate:
    delivery = sample_delivery(name, payload=payload, provider_id=name)
    return Candidate(delivery, [Claim(ClaimId(name), 600)], lane=lane, whom=whom)


async def _admit(redis: Redis, *candidates: Candidate, limits: Limits = Limits(1_000_000, 0)) -> Sequence[Fate]:
    found = await Admissions(ClientCaller(redis), limits=limits).admit(PATH, candidates, rate=None, debounce=RULE)
    assert isinstance(found, Admitted)
    return found.fates


async def _send(redis: Redis, *names: str, whom: str = "x", lane: str = "") -> None:
    for name in names:
        await _admit(redis, _candidate(name, whom=whom, lane=lane))


async def _passes(redis: Redis, name: str) -> list[Lease]:
    """Let the time come for which a delivery waits."""
    await redis.zadd(GROUP.later, {name: 1}, xx=True)
    return await lease_all(redis)


async def _events(redis: Redis, of: Lease) -> list[str]:
    begun = await work_on(redis).begin(of, traceparent="")
    assert begun.body
    delivery = decode_delivery(begun.body, id=of.delivery, route=of.path, received_ms=1)
    return [each.provider_id for each in (*delivery.earlier, delivery)]


async def _due_in(redis: Redis, name: str) -> float:
    return float(await redis.zscore(GROUP.later, name) or 0) - await clock_ms(redis)


async def test_later_events_join_the_first_one_and_all_run_as_one_in_order(redis: Redis) -> None:
    assert await _admit(redis, _candidate("d-1")) == [New(DeliveryId("d-1"))]
    assert await _admit(redis, _candidate("d-2")) == [Joined(DeliveryId("d-1"))]
    assert await _admit(redis, _candidate("d-3")) == [Joined(DeliveryId("d-1"))]
    assert await lease_all(redis) == []
    [taken] = await _passes(redis, "d-1")
    assert await _events(redis, taken) == ["d-1", "d-2", "d-3"]
    assert [await state(redis, DeliveryId(name)) for name in ("d-2", "d-3")] == ["gone", "gone"]


async def test_it_runs_when_it_was_quiet_and_at_the_latest_so_long_after_the_first(redis: Redis) -> None:
    await _send(redis, "d-1")
    assert 29_000 < await _due_in(redis, "d-1") <= 30_000
    key = GROUP.collecting(PATH, "x")
    await redis.hincrby(key, "since", -200_000)
    await redis.zadd(GROUP.later, {"d-1": await clock_ms(redis) + 1})
    await _send(redis, "d-2")
    assert 29_000 < await _due_in(redis, "d-1") <= 30_000, "quiet begins anew"
    await redis.hincrby(key, "since", -90_000)
    await _send(redis, "d-3")
    assert 9_000 < await _due_in(redis, "d-1") <= 10_000, "300 s after the first one"
    assert (await fields(redis, DeliveryId("d-1")))["due"] == f"{await redis.zscore(GROUP.later, 'd-1'):.0f}"


async def test_entities_are_collected_apart_and_what_has_none_runs_at_once(redis: Redis) -> None:
    await _send(redis, "a-1", whom="a")
    await _send(redis, "b-1", whom="b")
    assert await _admit(redis, _candidate("c-1", whom="")) == [New(DeliveryId("c-1"))]
    assert [each.delivery for each in await lease_all(redis)] == ["c-1"]
    assert await redis.zcard(GROUP.later) == 2


async def test_what_comes_once_it_has_begun_is_the_first_of_the_next(redis: Redis) -> None:
    await _send(redis, "d-1", "d-2")
    [taken] = await _passes(redis, "d-1")
    assert await _admit(redis, _candidate("d-3")) == [New(DeliveryId("d-3"))]
    assert await _admit(redis, _candidate("d-4")) == [Joined(DeliveryId("d-3"))]
    await settle(redis, taken)
    [following] = await _passes(redis, "d-3")
    assert await _events(redis, following) == ["d-3", "d-4"]
    await settle(redis, following)
    assert not await redis.keys("*collect*")


async def test_a_batch_is_collected_in_its_order(redis: Redis) -> None:
    fates = await _admit(redis, _candidate("d-1"), _candidate("e-1", whom="e"), _candidate("d-2"), _candidate("d-1"))
    first = DeliveryId("d-1")
    assert fates == [New(first), New(DeliveryId("e-1")), Joined(first), Repeat(first)]
    [taken] = await _passes(redis, "d-1")
    assert await _events(redis, taken) == ["d-1", "d-2"]


async def test_any_of_them_that_is_sent_again_names_the_delivery_that_stands_for_it(redis: Redis) -> None:
    await _send(redis, "d-1", "d-2")
    first = DeliveryId("d-1")
    for _ in range(2):
        assert await _admit(redis, _candidate("d-2"), _candidate("d-1")) == [Repeat(first), Repeat(first)]
        for taken in await _passes(redis, "d-1"):
            assert await _events(redis, taken) == ["d-1", "d-2"]
            await settle(redis, taken)


@pytest.mark.parametrize("again", ["d-1", "d-2"])
async def test_a_dead_letter_of_several_runs_again_with_all_of_them(redis: Redis, again: str) -> None:
    await _send(redis, "d-1", "d-2")
    [taken] = await _passes(redis, "d-1")
    await settle(redis, taken, "dead", "timeout")
    assert await _admit(redis, _candidate(again, payload=b"12345")) == [Again(DeliveryId("d-1"))]
    [taken] = await lease_all(redis)
    assert await _events(redis, taken) == ["d-1", "d-2"]
    await settle(redis, taken)
    assert await redis.hmget(GROUP.route(PATH), "depth", "bytes", "dead_bytes") == [b"0", b"0", b"0"]


@pytest.mark.parametrize("end", ["succeeded", "dead"])
async def test_the_bytes_of_all_are_charged_and_freed(redis: Redis, end: str) -> None:
    await _send(redis, "d-1", "d-2", "d-3")
    one = len(encode_delivery(sample_delivery("d-1", payload=b"1", provider_id="d-1")))
    charged = [b"1", str(3 * one + 2).encode()]
    assert await redis.hmget(GROUP.route(PATH), "depth", "bytes") == charged
    [taken] = await _passes(redis, "d-1")
    assert await redis.hmget(GROUP.usage, "depth", "bytes") == charged
    await settle(redis, taken, end, "timeout" if end == "dead" else "")
    assert await redis.hmget(GROUP.route(PATH), "depth", "bytes") == [b"0", b"0"]
    if end == "dead":
        assert await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, ["resume", "d-1"]) == [b"ok"]
        assert await redis.hmget(GROUP.route(PATH), "depth", "bytes") == charged


async def test_a_route_with_all_its_bytes_collects_no_more(redis: Redis) -> None:
    await _send(redis, "d-1")
    admissions = Admissions(ClientCaller(redis), limits=Limits(100, 2))
    assert isinstance(await admissions.admit(PATH, [_candidate("d-2")], rate=None, debounce=RULE), Full)
    assert await redis.llen(GROUP.collected(DeliveryId("d-1"))) == 0
    assert (await _admit(redis, _candidate("d-2"), limits=Limits(1, 0))) == [Joined(DeliveryId("d-1"))]
    assert await depth(redis) == 1, "it is no further delivery"


async def test_each_event_costs_a_token(redis: Redis) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(100, 0))
    rate = RateLimit(per_second=0.001, burst=2)
    answers = [
        await admissions.admit(PATH, [_candidate(f"d-{number}")], rate=rate, debounce=RULE) for number in range(3)
    ]
    assert [isinstance(each, Admitted) for each in answers] == [True, True, False]


async def test_a_hundred_events_run_at_once_and_the_next_one_begins_anew(redis: Redis) -> None:
    await _admit(redis, *(_candidate(f"d-{number}") for number in range(60)))
    fates = await _admit(redis, *(_candidate(f"e-{number}") for number in range(41)))
    assert fates[-2:] == [Joined(DeliveryId("d-0")), New(DeliveryId("e-40"))]
    [taken] = await lease_all(redis)
    events = await _events(redis, taken)
    assert (taken.delivery, len(events), events[0], events[-1]) == ("d-0", 100, "d-0", "e-39")
    assert await _admit(redis, _candidate("f-1")) == [Joined(DeliveryId("e-40"))]


async def test_a_mebibyte_runs_at_once(redis: Redis) -> None:
    large = b'"' + b"x" * 600_000 + b'"'
    await _admit(redis, _candidate("d-1", payload=large))
    assert await _admit(redis, _candidate("d-2", payload=large)) == [New(DeliveryId("d-2"))]
    assert (await lease(redis)).delivery == "d-1"
    assert await lease_all(redis) == []


async def test_lanes_keep_what_was_collected_in_order(redis: Redis) -> None:
    await _send(redis, "d-1", lane="x")
    [first] = await _passes(redis, "d-1")
    await _send(redis, "d-2", "d-3", lane="x")
    assert await _passes(redis, "d-2") == []
    assert await state(redis, DeliveryId("d-2")) == "behind"
    await settle(redis, first)
    [second] = await lease_all(redis)
    assert await _events(redis, second) == ["d-2", "d-3"]


async def test_what_somebody_removed_collects_nothing(redis: Redis) -> None:
    await _send(redis, "d-1", "d-2")
    await redis.delete(GROUP.delivery(DeliveryId("d-1")))
    assert await _admit(redis, _candidate("d-3")) == [New(DeliveryId("d-3"))]
    assert await _passes(redis, "d-1") == []
    assert not await redis.exists(GROUP.collected(DeliveryId("d-1")))
    [taken] = await _passes(redis, "d-3")
    assert await _events(redis, taken) == ["d-3"]
    assert taken.path == RoutePath(PATH)


async def test_its_deadline_counts_from_when_it_may_run(redis: Redis) -> None:
    await _send(redis, "d-1", "d-2")
    await redis.hset(GROUP.delivery(DeliveryId("d-1")), mapping={"at": 1, "due": 5_000})
    [taken] = await _passes(redis, "d-1")
    begun = await work_on(redis).begin(taken, traceparent="")
    assert (begun.accepted_ms, begun.since_ms) == (1, 5_000)


async def test_one_call_gathers_no_more_than_redis_can_do_beside_others_and_the_next_goes_on(redis: Redis) -> None:
    large = b'"' + b"x" * 480_000 + b'"'
    names = [f"d-{number:02}" for number in range(12)]
    for name in names:
        await _admit(redis, *(_candidate(f"{name}{at}", whom=name, payload=large) for at in ("", "-more")))
    await redis.zadd(GROUP.later, {name: at for at, name in enumerate(names, 1)})
    found: list[str] = []
    while await redis.zcard(GROUP.later):
        before = len(found)
        taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=60_000, wanted=100, busy=0)
        found += [each.delivery for each in taken.leases]
        assert 1 <= len(found) - before <= 5, "4 MB and what goes beyond it"
        assert taken.next_ms is not None
        assert (taken.next_ms <= taken.now_ms) is (len(found) < len(names)), "the rest is due at once"
    assert found == names
