"""Lanes: of the deliveries of one entity one is worked on at a time, in the order in which they were accepted."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, DeliveryId, route_path
from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Admitted, Again, Candidate, Limit, Limits, Trouble, scripts
from eventroute.runtime.scripts import ClientCaller, Script
from support.queue import (
    GROUP,
    admit,
    admit_in_lane,
    clock_ms,
    fields,
    lease,
    lease_all,
    letters,
    run_out,
    settle,
    state,
    upkeep_of,
    work_on,
)
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

OTHER = route_path("team-a", "other")
TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")


async def _again(redis: Redis, name: str, *, lane: str) -> None:
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    candidate = Candidate(sample_delivery("d-new"), [Claim(ClaimId(name), 600)], lane=lane)
    assert await admissions.admit(PATH, [candidate], rate=None) == Admitted([Again(DeliveryId(name))])


async def _names(redis: Redis) -> list[str]:
    return [each.delivery for each in await lease_all(redis)]


async def _call(redis: Redis, script: Script, *args: str) -> Sequence[bytes]:
    found: Sequence[bytes] = await ClientCaller(redis)(script, GROUP.prefix, args)
    return found


async def _nothing_is_left(redis: Redis) -> bool:
    return not await redis.keys("*lane:*") and not await redis.keys("*behind:*") and not await redis.keys("*holding:*")


async def _strict(redis: Redis, *, holds: bool = True) -> None:
    await upkeep_of(redis).limit(GROUP, {PATH: Limit(holds_lanes=holds)})


async def _dead(redis: Redis, *behind: str) -> DeliveryId:
    """Let a letter hold its lane, and others wait for it."""
    await _strict(redis)
    await admit_in_lane(redis, "d-1", *behind)
    await settle(redis, await lease(redis), "dead", "timeout")
    return DeliveryId("d-1")


async def test_the_next_of_a_lane_has_its_turn_when_the_one_before_has_ended(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2", "d-3")
    for name in ("d-1", "d-2", "d-3"):
        [taken] = await lease_all(redis)
        assert taken.delivery == name
        await settle(redis, taken)
    assert await _nothing_is_left(redis)


async def test_other_entities_routes_and_those_without_an_entity_never_wait(redis: Redis) -> None:
    await admit_in_lane(redis, "a-1", "a-2", lane="a")
    await admit_in_lane(redis, "b-1", lane="b")
    await admit_in_lane(redis, "c-1", lane="a", path=OTHER)
    await admit(redis, sample_delivery("d-1"))
    await admit(redis, sample_delivery("d-2"))
    assert sorted(await _names(redis)) == ["a-1", "b-1", "c-1", "d-1", "d-2"]


@pytest.mark.parametrize("how", ["pause", "no pause", "park", "run out", "suspect"])
async def test_one_that_is_tried_again_keeps_its_turn(redis: Redis, how: str) -> None:
    await admit_in_lane(redis, "d-1", "d-2")
    work, taken = work_on(redis), await lease(redis)
    await work.begin(taken, traceparent="")
    if how in {"pause", "no pause"}:
        await work.put_back(taken, pause_ms=60_000 if how == "pause" else 0, counts=True)
    elif how == "park":
        await work.park(taken, TROUBLE, has_asked=True)
    else:
        if how == "run out":
            await work.asking(taken)
        await run_out(redis, taken.delivery)
        await work.lease(GROUP, worker="w", lease_ms=1, wanted=0, busy=0)
    assert await state(redis, DeliveryId("d-2")) == "behind"
    await redis.zadd(GROUP.later, {"d-1": 1}, xx=True)
    await upkeep_of(redis).unpark(GROUP, TROUBLE.cause, count=1)
    assert await _names(redis) == ["d-1"]


async def test_a_batch_of_one_entity_is_in_its_own_order(redis: Redis) -> None:
    await admit_in_lane(redis, "d-9", "d-3", "d-7")
    order = []
    while leases := await lease_all(redis):
        order += [each.delivery for each in leases]
        await settle(redis, leases[0])
    assert order == ["d-9", "d-3", "d-7"]


async def test_the_deadline_of_what_waits_in_a_lane_counts_from_its_turn(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2")
    await redis.hset(GROUP.delivery(DeliveryId("d-2")), "at", 1000)
    before = await clock_ms(redis)
    await settle(redis, await lease(redis))
    begun = await work_on(redis).begin(await lease(redis), traceparent="")
    assert begun.accepted_ms == 1000
    assert begun.since_ms >= before


async def test_a_replayed_one_waits_for_who_has_the_lane_and_goes_before_those_accepted_later(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2", "d-3")
    await settle(redis, await lease(redis), "dead", "timeout")
    second = await lease(redis)
    assert second.delivery == "d-2"
    assert await _call(redis, scripts.REPLAY, "resume", "d-1") == [b"ok"]
    assert await _names(redis) == []
    await settle(redis, second)
    assert await _names(redis) == ["d-1"]


async def test_one_that_is_sent_again_is_the_last_of_its_lane(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2", "d-3")
    await settle(redis, await lease(redis), "dead", "timeout")
    await _again(redis, "d-1", lane="x")
    order = []
    while leases := await lease_all(redis):
        order += [each.delivery for each in leases]
        await settle(redis, leases[0])
    assert order == ["d-2", "d-3", "d-1"]


async def test_a_letter_that_never_was_work_is_in_no_lane_until_it_is_replayed(redis: Redis) -> None:
    await _strict(redis)
    admissions = Admissions(ClientCaller(redis), limits=Limits(10, 0))
    letter = Candidate(sample_delivery("d-1"), [], dead=(DeadReason.FILTER, "no such overload"), lane="x")
    await admissions.admit(PATH, [letter], rate=None)
    await admit_in_lane(redis, "d-2")
    [second] = await lease_all(redis)
    assert await _call(redis, scripts.REPLAY, "resume", "d-1") == [b"ok"]
    assert await _names(redis) == []
    await settle(redis, second)
    assert await _names(redis) == ["d-1"]


async def test_a_dead_letter_holds_its_lane_where_the_route_says_so(redis: Redis) -> None:
    await _dead(redis, "d-2")
    await admit_in_lane(redis, "other", lane="y")
    assert await _names(redis) == ["other"]


@pytest.mark.parametrize("how", ["replay", "sent again", "sent again elsewhere", "discard"])
async def test_until_it_is_replayed_or_discarded(redis: Redis, how: str) -> None:
    await _dead(redis, "d-2")
    if how == "replay":
        assert await _call(redis, scripts.REPLAY, "resume", "d-1") == [b"ok"]
        expected = ["d-1", "d-2"]
    elif how == "discard":
        assert await _call(redis, scripts.DISCARD, "d-1") == [b"ok"]
        expected = ["d-2"]
    else:
        await _again(redis, "d-1", lane="x" if how == "sent again" else "y")
        expected = ["d-1", "d-2"] if how == "sent again" else ["d-2", "d-1"]
    order = []
    while leases := await lease_all(redis):
        order += [each.delivery for each in leases]
        for each in leases:
            await settle(redis, each)
    assert order == expected
    assert await _nothing_is_left(redis)


async def test_a_letter_that_makes_room_for_others_lets_its_lane_go_on(redis: Redis) -> None:
    letter = await _dead(redis, "d-2")
    await redis.zadd(GROUP.dead(PATH), {letter: 1}, xx=True)
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1, cursor=0, routes=100, count=10)
    assert await letters(redis) == []
    assert await _names(redis) == ["d-2"]


async def test_a_route_that_holds_no_longer_lets_go_what_it_held(redis: Redis) -> None:
    await _dead(redis, "d-2")
    await _strict(redis, holds=False)
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1, cursor=0, routes=100, count=10)
    assert await _names(redis) == ["d-2"]
    assert await letters(redis) == ["d-1"]


async def test_a_deleted_route_leaves_nothing_in_its_lanes(redis: Redis) -> None:
    await _dead(redis, *(f"d-{number}" for number in range(2, 10)))
    upkeep = upkeep_of(redis)
    await upkeep.hold(GROUP, PATH, "deleted")
    while await upkeep.forsake(GROUP, PATH, after_ms=0, count=3) > 0:
        pass
    assert len(await letters(redis)) == 9
    assert await _nothing_is_left(redis)
    assert await upkeep.held(GROUP) == {}


async def test_what_somebody_removed_blocks_no_lane(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2", "d-3", "d-4")
    [first] = await lease_all(redis)
    await redis.delete(GROUP.delivery(DeliveryId("d-2")))
    await settle(redis, first)
    [third] = await lease_all(redis)
    assert third.delivery == "d-3"
    await redis.delete(GROUP.delivery(third.delivery))
    await admit_in_lane(redis, "d-5")
    assert await _names(redis) == ["d-4"]
    assert await state(redis, DeliveryId("d-5")) == "behind"


async def test_those_behind_are_no_load(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2", "d-3")
    load = await upkeep_of(redis).load(GROUP)
    assert (load.ready, load.held) == (1, 2)
    assert (await fields(redis, DeliveryId("d-3")))["state"] == "behind"
    [first] = await lease_all(redis)
    await redis.delete(GROUP.wake)
    await admit_in_lane(redis, "d-4")
    assert not await redis.exists(GROUP.wake), "nobody could take it"
    await settle(redis, first)
    assert await redis.exists(GROUP.wake)
