"""Deliveries that wait until a key or a model is mended: at no cost, one probe at a time, and back in their order."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath, route_path
from eventroute.queue import Lease, Trouble
from eventroute.throttle import Granted, Size
from support.queue import (
    GROUP,
    admit,
    admit_all,
    depth,
    fields,
    lease,
    lease_again,
    lease_all,
    settle,
    state,
    upkeep_of,
    work_on,
)
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

KEY = Trouble(reason="billing", detail="402", key_id="own", model="")
MODEL = Trouble(reason="not_found", detail="404", key_id="own", model="claude-gone")
BUCKET = "own:claude-haiku-5-5"


async def _parked(
    redis: Redis, name: str, trouble: Trouble = KEY, *, has_asked: bool = False, path: RoutePath = PATH
) -> Lease:
    await admit(redis, sample_delivery(name, route=path))
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).park(taken, trouble, has_asked=has_asked)
    return taken


def test_a_cause_names_the_key_and_the_model_if_only_that_is_concerned() -> None:
    assert (KEY.cause, MODEL.cause) == ("own:*", "own:claude-gone")


async def test_what_is_parked_has_lost_no_attempt_and_is_not_leased(redis: Redis) -> None:
    taken = await _parked(redis, "d-1")
    found = await fields(redis, taken.delivery)
    assert (found["state"], found["cause"], found["attempts"], found["last_error"]) == ("held", "own:*", "0", "402")
    assert await lease_all(redis) == []
    load = await upkeep_of(redis).load(GROUP)
    assert (load.ready, load.running, load.later, load.held, await depth(redis)) == (0, 0, 0, 1, 1)


async def test_the_queue_tells_what_stands_and_what_waits_for_it(redis: Redis) -> None:
    other = route_path("team-b", "other")
    await _parked(redis, "d-1")
    await _parked(redis, "d-2", path=other)
    await _parked(redis, "d-3")
    await _parked(redis, "d-4", MODEL)
    standing = {each.trouble: each for each in await upkeep_of(redis).standing(GROUP)}
    assert standing.keys() == {KEY, MODEL}
    assert (standing[KEY].waiting, standing[KEY].by_route) == (3, {PATH: 2, other: 1})
    assert standing[MODEL].waiting == 1


async def test_what_is_mended_comes_back_in_its_order_and_leaves_nothing_behind(redis: Redis) -> None:
    for number in range(5):
        await admit(redis, sample_delivery(f"d-{number}"))
    leases = [await lease(redis) for _ in range(5)]
    for taken in (leases[3], leases[0], leases[4], leases[2], leases[1]):
        await work_on(redis).park(taken, KEY, has_asked=True)
    assert await upkeep_of(redis).unpark(GROUP, KEY.cause, count=2) == 3
    assert await upkeep_of(redis).unpark(GROUP, KEY.cause, count=200) == 0
    assert [each.delivery for each in await lease_all(redis)] == [f"d-{number}" for number in range(5)]
    assert await upkeep_of(redis).standing(GROUP) == []
    left = (GROUP.causes, GROUP.probed, GROUP.parked(KEY.cause), GROUP.parked_of(KEY.cause))
    assert await redis.exists(*left) == 0


async def test_other_causes_stay_parked(redis: Redis) -> None:
    await _parked(redis, "d-1")
    waits = await _parked(redis, "d-2", MODEL)
    assert await upkeep_of(redis).unpark(GROUP, KEY.cause, count=200) == 0
    assert await state(redis, waits.delivery) == "held"
    assert [each.trouble for each in await upkeep_of(redis).standing(GROUP)] == [MODEL]


async def test_one_goes_as_a_probe_and_no_other_before_the_pause_is_over(redis: Redis) -> None:
    for number in range(3):
        await _parked(redis, f"d-{number}")
    upkeep = upkeep_of(redis)
    assert await upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    assert not await upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    [probe] = await lease_all(redis)
    assert probe.delivery == "d-0"
    assert (await work_on(redis).begin(probe, traceparent="")).probes == KEY.cause
    await redis.hincrby(GROUP.probed, KEY.cause, -60_001)
    assert await upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    assert [each.delivery for each in await lease_all(redis)] == ["d-1"]


async def _probe(redis: Redis) -> Lease:
    await _parked(redis, "d-1")
    await upkeep_of(redis).probe(GROUP, KEY.cause, every_ms=0)
    probe = await lease(redis)
    assert (await work_on(redis).begin(probe, traceparent="")).probes == KEY.cause
    return probe


async def test_a_probe_that_waits_for_its_turn_is_one_still(redis: Redis) -> None:
    await work_on(redis).wait(await _probe(redis), BUCKET, Size(100, 10), until_ms=0)
    turn = await work_on(redis).turn(GROUP, count=1)
    assert turn
    await work_on(redis).call_up(GROUP, turn, Granted(1, 0))
    assert (await work_on(redis).begin(await lease(redis), traceparent="")).probes == KEY.cause


async def test_a_probe_that_could_not_ask_for_another_reason_is_one_still(redis: Redis) -> None:
    await work_on(redis).put_back(await _probe(redis), pause_ms=0, counts=False)
    assert (await work_on(redis).begin(await lease(redis), traceparent="")).probes == KEY.cause


@pytest.mark.parametrize("end", ["parked", "put back", "cut short", "settled", "dead"])
async def test_a_probe_is_one_for_one_call_only(redis: Redis, end: str) -> None:
    probe, work = await _probe(redis), work_on(redis)
    match end:
        case "parked":
            await work.park(probe, MODEL, has_asked=True)
        case "put back":
            await work.put_back(probe, pause_ms=0, counts=True)
        case "cut short":
            await lease_again(redis, probe.delivery)
        case _:
            await settle(redis, probe, "dead" if end == "dead" else "succeeded")
    assert "probe" not in await fields(redis, probe.delivery)


async def test_a_delivery_that_has_just_met_the_trouble_was_a_probe_itself(redis: Redis) -> None:
    await _parked(redis, "d-1", has_asked=True)
    assert not await upkeep_of(redis).probe(GROUP, KEY.cause, every_ms=60_000)


async def test_a_route_that_is_held_meanwhile_stays_so(redis: Redis) -> None:
    await _parked(redis, "d-1")
    await upkeep_of(redis).hold(GROUP, PATH, "withheld")
    assert await upkeep_of(redis).unpark(GROUP, KEY.cause, count=10) == 0
    assert await lease_all(redis) == []
    await upkeep_of(redis).release(GROUP, [PATH])
    assert [each.delivery for each in await lease_all(redis)] == ["d-1"]


async def test_a_probe_is_one_that_may_run(redis: Redis) -> None:
    other = route_path("team-b", "other")
    await _parked(redis, "d-1")
    await upkeep_of(redis).hold(GROUP, PATH, "suspended")
    assert not await upkeep_of(redis).probe(GROUP, KEY.cause, every_ms=0)
    await _parked(redis, "d-2", path=other)
    assert await upkeep_of(redis).probe(GROUP, KEY.cause, every_ms=0)
    assert [each.delivery for each in await lease_all(redis)] == ["d-2"]


async def test_those_of_a_held_route_at_the_head_let_the_others_be_probed(redis: Redis) -> None:
    other = route_path("team-b", "other")
    names = [f"d-{number:03}" for number in range(500)]
    await admit_all(redis, [sample_delivery(name) for name in names])
    for taken in await lease_all(redis):
        await work_on(redis).park(taken, KEY, has_asked=False)
    await _parked(redis, "d-served", path=other)
    upkeep = upkeep_of(redis)
    await upkeep.hold(GROUP, PATH, "deleted")
    looks = 0
    while not await upkeep.probe(GROUP, KEY.cause, every_ms=60_000):
        assert not await redis.exists(GROUP.probed), "nothing was asked"
        looks += 1
        assert looks < 10
    assert [each.delivery for each in await lease_all(redis)] == ["d-served"]
    assert await redis.hexists(GROUP.probed, KEY.cause)
    held = await redis.zrange(GROUP.ready(PATH), 0, -1)
    assert [name.decode() for name in held] == names, "they wait with their route"
    assert not await upkeep.probe(GROUP, KEY.cause, every_ms=60_000)
    await upkeep.release(GROUP, [PATH])
    assert [each.delivery for each in await lease_all(redis)] == names


async def test_one_that_somebody_removed_is_no_probe(redis: Redis) -> None:
    gone = await _parked(redis, "d-1")
    await _parked(redis, "d-2")
    await redis.delete(GROUP.delivery(gone.delivery))
    assert await upkeep_of(redis).probe(GROUP, KEY.cause, every_ms=60_000)
    assert [each.delivery for each in await lease_all(redis)] == ["d-2"]
