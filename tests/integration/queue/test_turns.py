"""Routes take turns, so that a flood of one delays no other; one that is held waits and costs nobody anything."""

from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath, route_path
from eventroute.queue import Lease
from support.queue import GROUP, admit, admit_all, lease_all, upkeep_of, work_on
from support.runs import sample_delivery

pytestmark = pytest.mark.real

FLOOD, OTHER, THIRD = (route_path("team-a", name) for name in ("flood", "other", "third"))


async def _flood(redis: Redis, count: int, path: RoutePath = FLOOD) -> list[str]:
    names = [f"{path}-{number:04}" for number in range(count)]
    await admit_all(redis, [sample_delivery(name, route=path) for name in names])
    return names


async def _lease(redis: Redis, wanted: int, *, crowded: Sequence[RoutePath] = ()) -> Sequence[Lease]:
    taken = await work_on(redis).lease(GROUP, worker="w", lease_ms=60_000, wanted=wanted, busy=0, crowded=crowded)
    return taken.leases


async def test_one_delivery_behind_a_thousand_of_another_route_is_leased_within_the_next_turn(redis: Redis) -> None:
    await _flood(redis, 1000)
    assert [each.path for each in await _lease(redis, 5)] == [FLOOD] * 5
    single = await admit(redis, sample_delivery("d-single", route=OTHER))
    assert single in [each.delivery for each in await _lease(redis, 2)]


async def test_routes_take_turns_one_delivery_each_and_each_keeps_its_order(redis: Redis) -> None:
    for path, count in ((FLOOD, 6), (OTHER, 3), (THIRD, 1)):
        await _flood(redis, count, path)
    leases = await _lease(redis, 10)
    assert [each.path for each in leases[:7]] == [FLOOD, OTHER, THIRD, FLOOD, OTHER, FLOOD, OTHER]
    for path in (FLOOD, OTHER):
        own = [each.delivery for each in leases if each.path == path]
        assert own == sorted(own)


async def test_a_route_that_has_enough_of_a_workers_slots_is_passed_over_and_keeps_its_turn(redis: Redis) -> None:
    flood = await _flood(redis, 10)
    other = await _flood(redis, 2, OTHER)
    assert [each.delivery for each in await _lease(redis, 5, crowded=[FLOOD])] == other
    assert [each.delivery for each in await _lease(redis, 1)] == flood[:1]


async def test_a_held_route_with_two_thousand_waiting_is_not_even_looked_at(redis: Redis) -> None:
    await _flood(redis, 2000)
    assert await upkeep_of(redis).hold(GROUP, FLOOD, "withheld", "no Secret")
    assert not await upkeep_of(redis).hold(GROUP, FLOOD, "withheld", "no Secret")
    await admit(redis, sample_delivery("d-more", route=FLOOD))
    await _flood(redis, 3, OTHER)
    assert await redis.zrange(GROUP.rotation, 0, -1) == [OTHER.encode()]
    assert [each.path for each in await _lease(redis, 100)] == [OTHER] * 3
    assert not await redis.exists(GROUP.rotation)
    assert await _lease(redis, 100) == []
    load = await upkeep_of(redis).load(GROUP)
    assert (load.ready, load.running, load.held) == (0, 3, 2001)
    held = await upkeep_of(redis).held(GROUP)
    assert (held[FLOOD].reason, held[FLOOD].detail) == ("withheld", "no Secret")


async def test_a_released_route_comes_back_in_order(redis: Redis) -> None:
    names = await _flood(redis, 200)
    running = await _lease(redis, 3)
    await upkeep_of(redis).hold(GROUP, FLOOD, "withheld")
    for each in reversed(running):
        await work_on(redis).put_back(each, pause_ms=0, counts=False)
    assert await _lease(redis, 100) == []
    await redis.delete(GROUP.wake)
    assert await upkeep_of(redis).release(GROUP, [FLOOD, OTHER]) == 1
    assert await redis.llen(GROUP.wake) == 64, "idle workers are woken"
    assert [each.delivery for each in await lease_all(redis)] == names
    assert await upkeep_of(redis).release(GROUP, [FLOOD]) == 0
