"""A deleted route lets go of its name once nothing of it is queued, and not before."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import route_path
from eventroute.queue import Trouble
from support.queue import (
    GROUP,
    admit,
    admit_in_lane,
    admit_job,
    depth,
    lease,
    lease_all,
    letters,
    state,
    upkeep_of,
    work_on,
)
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

LONG_AGO_MS = 0
OTHER = route_path("team-b", "other")
KEY = Trouble(reason="billing", detail="402", key_id="own", model="")
MODEL = Trouble(reason="not_found", detail="404", key_id="own", model="claude-gone")


async def forsake(redis: Redis, *, count: int = 10) -> int:
    return await upkeep_of(redis).forsake(GROUP, PATH, after_ms=LONG_AGO_MS, count=count)


async def is_held(redis: Redis) -> bool:
    return PATH in await upkeep_of(redis).held(GROUP)


async def test_one_that_never_had_a_delivery_is_held_no_more(redis: Redis) -> None:
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert await forsake(redis) == 0
    assert not await is_held(redis)


async def test_what_waits_is_buried_so_many_at_a_time_and_then_it_is_held_no_more(redis: Redis) -> None:
    for number in range(3):
        await admit_job(redis, f"d-{number}")
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert [await forsake(redis, count=2) for _ in range(2)] == [2, 1]
    assert await is_held(redis)
    assert await forsake(redis, count=2) == 0
    assert not await is_held(redis)
    assert await redis.zrange(GROUP.dead(PATH), 0, -1) == [b"d-0", b"d-1", b"d-2"]
    assert await redis.hmget(GROUP.usage, "depth", "bytes") == [b"0", b"0"]


async def test_one_that_still_runs_something_stays_held(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await lease(redis)
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert await forsake(redis) == 0
    assert await is_held(redis)


async def test_what_is_parked_of_it_is_buried_and_what_is_parked_of_others_stays(redis: Redis) -> None:
    for number in range(40):
        await admit(redis, sample_delivery(f"d-{number:02}", route=OTHER if number % 4 else PATH))
    for number, taken in enumerate(await lease_all(redis)):
        await work_on(redis).park(taken, MODEL if number % 3 else KEY, has_asked=False)
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    buried, looks = 0, 0
    while await is_held(redis):
        buried += await forsake(redis, count=3)
        looks += 1
        assert looks < 40
    assert buried == 10
    assert sorted(await letters(redis)) == [f"d-{number:02}" for number in range(0, 40, 4)]
    assert await depth(redis) == 30
    standing = await upkeep_of(redis).standing(GROUP)
    assert sum(each.waiting for each in standing) == 30
    assert {path: count for each in standing for path, count in each.by_route.items() if count and path == PATH} == {}


async def test_nobody_has_to_look_after_it_once_its_parked_ones_are_buried(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), KEY, has_asked=True)
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert (await upkeep_of(redis).load(GROUP)).workable == 1
    assert await forsake(redis) == 1
    assert (await upkeep_of(redis).load(GROUP)).workable == 0


async def test_a_parked_one_gives_its_lane_to_the_next_which_is_buried_too(redis: Redis) -> None:
    await admit_in_lane(redis, "d-1", "d-2")
    await work_on(redis).park(await lease(redis), KEY, has_asked=False)
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert await forsake(redis) == 2
    assert [await state(redis, name) for name in await letters(redis)] == ["dead", "dead"]
    assert not await redis.exists(GROUP.lane(PATH, "x"), GROUP.behind(PATH))


async def test_what_is_parked_of_it_waits_as_long_as_the_rest(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), KEY, has_asked=False)
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert await upkeep_of(redis).forsake(GROUP, PATH, after_ms=600_000, count=9) == -1
    assert await redis.zcard(GROUP.parked(KEY.cause)) == 1
