"""Superseding: of one entity the newest event counts; those before it that are not answered end, wherever they wait."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
from redis.asyncio import Redis

from eventroute.ids import Claim, ClaimId, DeliveryId
from eventroute.outcome import DeadReason
from eventroute.queue import (
    Admissions,
    Admitted,
    Again,
    Candidate,
    Desk,
    Fate,
    Lease,
    Limit,
    Limits,
    New,
    Renewed,
    Repeat,
    Trouble,
)
from eventroute.runtime.scripts import ClientCaller
from eventroute.throttle import Size
from support.queue import GROUP, bury, fields, lease, lease_again, lease_all, ready, settle, state, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

TROUBLE = Trouble(reason=DeadReason.BILLING, detail="", key_id="own")


async def _admit(redis: Redis, *names: str, whom: str = "x", lane: str = "") -> Sequence[Fate]:
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000_000, 0))
    candidates = [Candidate(sample_delivery(name), [Claim(ClaimId(name), 600)], whom=whom, lane=lane) for name in names]
    found = await admissions.admit(PATH, candidates, rate=None)
    assert isinstance(found, Admitted)
    return found.fates


async def _superseded(redis: Redis, name: str) -> str:
    """Name the delivery that stands for one; empty when none does."""
    return (await fields(redis, DeliveryId(name))).get("superseded_by", "")


async def _begun(redis: Redis, name: str) -> Lease:
    taken = await lease(redis)
    assert taken.delivery == name
    await work_on(redis).begin(taken, traceparent="")
    return taken


async def test_each_newer_event_stands_for_the_one_before_it(redis: Redis) -> None:
    for name in ("d-1", "d-2", "d-3"):
        assert await _admit(redis, name) == [New(DeliveryId(name))]
    assert [await _superseded(redis, name) for name in ("d-1", "d-2", "d-3")] == ["d-2", "d-3", ""]
    [first, second, third] = await lease_all(redis)
    begun = [await work_on(redis).begin(each, traceparent="") for each in (first, second, third)]
    assert [each.superseded_by for each in begun] == ["d-2", "d-3", ""]


async def test_events_of_one_request_supersede_each_other_too(redis: Redis) -> None:
    assert await _admit(redis, "d-1", "d-2") == [New(DeliveryId("d-1")), New(DeliveryId("d-2"))]
    assert [await _superseded(redis, name) for name in ("d-1", "d-2")] == ["d-2", ""]


@pytest.mark.parametrize("whom", ["y", ""])
async def test_an_event_about_another_entity_or_none_supersedes_nothing(redis: Redis, whom: str) -> None:
    await _admit(redis, "d-1")
    await _admit(redis, "d-2", whom=whom)
    await _admit(redis, "d-3", whom=whom)
    assert await _superseded(redis, "d-1") == ""
    assert await _superseded(redis, "d-2") == ("d-3" if whom else "")


async def test_what_is_sent_again_is_a_repeat_and_supersedes_nothing(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _admit(redis, "d-2")
    assert await _admit(redis, "d-1") == [Repeat(DeliveryId("d-1"))]
    assert await _superseded(redis, "d-2") == ""


async def _put_back(redis: Redis, of: Lease) -> None:
    await work_on(redis).put_back(of, pause_ms=3_600_000, counts=False)


async def _wait(redis: Redis, of: Lease) -> None:
    await work_on(redis).wait(of, "own:haiku", Size(1, 1), until_ms=2**52)


async def _park(redis: Redis, of: Lease) -> None:
    await work_on(redis).park(of, TROUBLE, has_asked=True)


WAITING = pytest.mark.parametrize("wait", [_put_back, _wait, _park])
Wait = Callable[[Redis, Lease], Awaitable[None]]


@WAITING
async def test_whatever_it_waits_for_a_superseded_delivery_can_be_leased_at_once(redis: Redis, wait: Wait) -> None:
    await _admit(redis, "d-1")
    await wait(redis, await _begun(redis, "d-1"))
    assert await lease_all(redis) == []
    await _admit(redis, "d-2")
    assert [each.delivery for each in await lease_all(redis)] == ["d-1", "d-2"]


@WAITING
async def test_one_that_runs_when_it_is_superseded_waits_for_nothing_afterwards(redis: Redis, wait: Wait) -> None:
    await _admit(redis, "d-1")
    running = await _begun(redis, "d-1")
    await _admit(redis, "d-2")
    await lease_all(redis)
    await wait(redis, running)
    assert await ready(redis) == ["d-1"]
    [again] = await lease_all(redis)
    assert (await work_on(redis).begin(again, traceparent="")).attempts == 1


async def test_a_parked_one_is_counted_no_more(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _park(redis, await _begun(redis, "d-1"))
    await _admit(redis, "d-2")
    await lease_all(redis)
    assert await redis.zcard(GROUP.parked(TROUBLE.cause)) == 0
    assert await redis.hget(GROUP.parked_of(TROUBLE.cause), PATH) == b"0"


async def test_its_worker_hears_of_it_when_it_renews_its_lease(redis: Redis) -> None:
    await _admit(redis, "d-1")
    running = await _begun(redis, "d-1")
    assert await work_on(redis).renew(GROUP, [running], lease_ms=15_000) == Renewed([], {})
    await _admit(redis, "d-2")
    told = Renewed([], {DeliveryId("d-1"): DeliveryId("d-2")})
    assert await work_on(redis).renew(GROUP, [running], lease_ms=15_000) == told


async def test_its_worker_hears_of_it_when_it_saves_an_answer_which_is_kept(redis: Redis) -> None:
    await _admit(redis, "d-1")
    running = await _begun(redis, "d-1")
    await _admit(redis, "d-2")
    assert await work_on(redis).save(running, b"{}") == "d-2"
    assert (await fields(redis, DeliveryId("d-1")))["answer"] == "{}"


async def test_one_with_its_final_answer_is_not_superseded(redis: Redis) -> None:
    await _admit(redis, "d-1")
    running = await _begun(redis, "d-1")
    assert await work_on(redis).save(running, b"{}") is None
    await _admit(redis, "d-2")
    assert await _superseded(redis, "d-1") == ""
    assert await work_on(redis).renew(GROUP, [running], lease_ms=15_000) == Renewed([], {})


async def test_one_that_is_to_be_asked_once_more_is(redis: Redis) -> None:
    await _admit(redis, "d-1")
    running = await _begun(redis, "d-1")
    assert await work_on(redis).save(running, b"{}", is_final=False) is None
    await _admit(redis, "d-2")
    assert await _superseded(redis, "d-1") == "d-2"


@pytest.mark.parametrize("outcome", ["succeeded", "dead"])
async def test_what_has_ended_is_not_superseded_and_nothing_is_left_of_it(redis: Redis, outcome: str) -> None:
    await _admit(redis, "d-1")
    await settle(redis, await _begun(redis, "d-1"), outcome, "sink" if outcome == "dead" else "")
    assert not await redis.exists(GROUP.newest(PATH, "x"))
    await _admit(redis, "d-2")
    assert await _superseded(redis, "d-1") == ""


async def test_an_older_one_that_ends_leaves_the_newer_one_the_newest(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _admit(redis, "d-2")
    await settle(redis, await _begun(redis, "d-1"), "superseded")
    await _admit(redis, "d-3")
    assert await _superseded(redis, "d-2") == "d-3"


async def test_one_whose_worker_dies_is_superseded_all_the_same(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _begun(redis, "d-1")
    await _admit(redis, "d-2")
    again = await lease_again(redis, DeliveryId("d-1"))
    assert (await work_on(redis).begin(again, traceparent="")).superseded_by == "d-2"


async def test_a_dead_letter_that_runs_again_is_superseded_by_what_comes_later_alone(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await bury(redis, DeliveryId("d-1"))
    await _admit(redis, "d-2")
    assert await _admit(redis, "d-1") == [Again(DeliveryId("d-1"))]
    assert [await _superseded(redis, name) for name in ("d-1", "d-2")] == ["", ""]
    await _admit(redis, "d-3")
    assert [await _superseded(redis, name) for name in ("d-1", "d-2")] == ["", "d-3"]


@pytest.mark.parametrize("way", ["replayed", "sent again"])
async def test_the_newest_one_that_runs_again_after_its_death_is_superseded_by_a_newer_one(
    redis: Redis, way: str
) -> None:
    await _admit(redis, "d-1")
    await bury(redis, DeliveryId("d-1"))
    if way == "replayed":
        await Desk({GROUP: redis}).replay([DeliveryId("d-1")], mode="whole")
    else:
        await _admit(redis, "d-1")
    await _admit(redis, "d-2")
    assert await _superseded(redis, "d-1") == "d-2"


async def test_one_that_was_superseded_runs_when_it_is_replayed(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _admit(redis, "d-2")
    await settle(redis, await _begun(redis, "d-1"), "superseded")
    await Desk({GROUP: redis}).replay([DeliveryId("d-1")], mode="resume")
    assert await _superseded(redis, "d-1") == ""
    await _admit(redis, "d-3")
    assert [await _superseded(redis, name) for name in ("d-1", "d-2")] == ["", "d-3"]


async def test_in_a_lane_the_newest_one_waits_for_what_runs_and_those_between_them_do_not(redis: Redis) -> None:
    await _admit(redis, "d-1", lane="x")
    running = await _begun(redis, "d-1")
    await _admit(redis, "d-2", lane="x")
    await _admit(redis, "d-3", lane="x")
    [second] = await lease_all(redis)
    assert (await work_on(redis).begin(second, traceparent="")).superseded_by == "d-3"
    await work_on(redis).put_back(second, pause_ms=0, counts=False)
    [second] = await lease_all(redis)
    await settle(redis, second, "superseded")
    assert await state(redis, DeliveryId("d-3")) == "behind"
    await settle(redis, running, "superseded")
    assert [each.delivery for each in await lease_all(redis)] == ["d-3"]
    assert await state(redis, DeliveryId("d-3")) == "running"


async def test_one_that_left_its_lane_is_in_it_again_when_it_is_replayed(redis: Redis) -> None:
    await _admit(redis, "d-1", lane="x")
    await _begun(redis, "d-1")
    await _admit(redis, "d-2", lane="x")
    await _admit(redis, "d-3", lane="x")
    [second] = await lease_all(redis)
    await settle(redis, second, "superseded")
    await Desk({GROUP: redis}).replay([DeliveryId("d-2")], mode="whole")
    assert await lease_all(redis) == []
    lane = await redis.zrange(GROUP.lane(PATH, "x"), 0, -1)
    assert lane == [b"d-1", b"d-2", b"d-3"]


async def test_one_that_dies_when_it_is_superseded_holds_no_lane(redis: Redis) -> None:
    await upkeep_of(redis).limit(GROUP, {PATH: Limit(holds_lanes=True)})
    await _admit(redis, "d-1", lane="x")
    running = await _begun(redis, "d-1")
    await _admit(redis, "d-2", lane="x")
    await settle(redis, running, "dead", "timeout")
    assert [each.delivery for each in await lease_all(redis)] == ["d-2"]
    assert not await redis.exists(GROUP.holding(PATH))


@pytest.mark.parametrize("way", ["replayed", "sent again"])
async def test_one_whose_record_somebody_removed_is_nobodys_newer_event(redis: Redis, way: str) -> None:
    await _admit(redis, "d-1")
    await bury(redis, DeliveryId("d-1"))
    await _admit(redis, "d-2")
    await redis.delete(GROUP.delivery(DeliveryId("d-2")))
    if way == "replayed":
        await Desk({GROUP: redis}).replay([DeliveryId("d-1")], mode="whole")
    else:
        await _admit(redis, "d-1")
    await _admit(redis, "d-3")
    assert await _superseded(redis, "d-1") == "d-3"


async def test_the_newest_one_has_the_place_in_line_of_the_one_that_waited(redis: Redis) -> None:
    """Or an entity that is never quiet would be the last whenever it is its turn."""
    await _admit(redis, "d-1")
    await _admit(redis, "d-2", whom="y")
    await _admit(redis, "d-3")
    await _admit(redis, "d-4")
    taken = await lease_all(redis)
    assert [each.delivery for each in taken] == ["d-1", "d-3", "d-4", "d-2"]
    begun = [await work_on(redis).begin(each, traceparent="") for each in taken]
    assert [each.seq for each in begun] == [1, 3, 4, 2], "in the history each stands where it was accepted"


async def test_one_that_runs_has_had_its_turn_and_leaves_no_place(redis: Redis) -> None:
    await _admit(redis, "d-1")
    await _begun(redis, "d-1")
    await _admit(redis, "d-2", whom="y")
    await _admit(redis, "d-3")
    assert [each.delivery for each in await lease_all(redis)] == ["d-2", "d-3"]
