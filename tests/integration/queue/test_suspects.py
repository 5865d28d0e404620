"""What may have killed its worker is leased alone, to one worker at a time that runs nothing else."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue import Lease, Renewed, Taken
from support.queue import GROUP, admit_job, clock_ms, fields, lease, run_out, settle, upkeep_of, work_on

pytestmark = pytest.mark.real


async def _look(redis: Redis, worker: str, *, wanted: int = 5, busy: int = 0) -> Taken:
    return await work_on(redis).lease(GROUP, worker=worker, lease_ms=60_000, wanted=wanted, busy=busy)


async def _killed(redis: Redis, name: str, *, asks: bool = False, begins: bool = True) -> Lease:
    """Let a worker die over a delivery."""
    await admit_job(redis, name)
    taken = await lease(redis, worker="killed")
    assert taken.delivery == name
    if begins:
        await work_on(redis).begin(taken, traceparent="")
    if asks:
        await work_on(redis).asking(taken)
    await run_out(redis, taken.delivery)
    return taken


async def test_what_had_begun_and_not_asked_is_leased_alone(redis: Redis) -> None:
    await _killed(redis, "d-1")
    await admit_job(redis, "d-2")
    taken = await _look(redis, "w")
    assert [(each.delivery, each.alone) for each in taken.leases] == [("d-1", True)]
    assert not taken.drain


async def test_what_had_asked_is_a_suspect_from_the_second_time_on(redis: Redis) -> None:
    await _killed(redis, "d-1", asks=True)
    [again] = (await _look(redis, "w")).leases
    assert not again.alone
    await work_on(redis).begin(again, traceparent="")
    await work_on(redis).asking(again)
    await run_out(redis, again.delivery)
    [third] = (await _look(redis, "w")).leases
    assert third.alone
    assert (await work_on(redis).begin(third, traceparent="")).attempts == 3


async def test_what_had_not_begun_is_no_suspect_and_has_lost_nothing(redis: Redis) -> None:
    await _killed(redis, "d-1", begins=False)
    [again] = (await _look(redis, "w")).leases
    assert not again.alone
    assert (await work_on(redis).begin(again, traceparent="")).attempts == 1


@pytest.mark.parametrize("asks", [False, True])
async def test_what_ran_out_is_ready_since_then_and_its_next_lease_has_begun_nothing(
    redis: Redis, *, asks: bool
) -> None:
    await _killed(redis, "d-1", asks=asks)
    before = await clock_ms(redis)
    [again] = (await _look(redis, "w")).leases
    assert again.ready_ms >= before
    await work_on(redis).put_back(again, pause_ms=0, counts=False)
    found = await fields(redis, again.delivery)
    assert (found["attempts"], found.get("waits")) == ("1", None)


async def test_a_busy_worker_drains_while_others_go_on(redis: Redis) -> None:
    await _killed(redis, "d-1")
    for number in range(2, 5):
        await admit_job(redis, f"d-{number}")
    drains = await _look(redis, "busy", busy=2)
    assert (drains.drain, drains.leases) == (True, [])
    others = await _look(redis, "other", wanted=2, busy=1)
    assert (others.drain, [each.delivery for each in others.leases]) == (False, ["d-2", "d-3"])
    idle = await _look(redis, "busy", busy=0)
    assert [(each.delivery, each.alone) for each in idle.leases] == [("d-1", True)]


async def test_suspects_run_one_at_a_time(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await admit_job(redis, "d-2")
    for _ in range(2):
        taken = await lease(redis, worker="killed")
        await work_on(redis).begin(taken, traceparent="")
    await run_out(redis, DeliveryId("d-1"), DeliveryId("d-2"))
    [first] = (await _look(redis, "one")).leases
    assert first.alone
    waiting = await _look(redis, "two")
    assert (waiting.leases, waiting.drain) == ([], False)
    assert (await upkeep_of(redis).load(GROUP)).ready == 1
    await settle(redis, first)
    [second] = (await _look(redis, "two")).leases
    assert second.alone
    assert {first.delivery, second.delivery} == {"d-1", "d-2"}
    assert "alone" not in await fields(redis, first.delivery)


@pytest.mark.parametrize("end", ["settled", "put back", "renewed, then killed"])
async def test_the_place_of_a_suspect_is_free_when_it_is_over(redis: Redis, end: str) -> None:
    await _killed(redis, "d-1")
    [taken] = (await _look(redis, "one")).leases
    if end == "settled":
        await settle(redis, taken)
    elif end == "put back":
        await work_on(redis).put_back(taken, pause_ms=60_000, counts=False)
    else:
        assert await work_on(redis).renew(GROUP, [taken], lease_ms=99_000) == Renewed([], {})
        assert await redis.pttl(GROUP.solo) > 90_000
        await run_out(redis, taken.delivery)
        await _look(redis, "one", wanted=0)
    assert not await redis.exists(GROUP.solo)
