"""A deleted route lets go of its name once nothing of it is queued, and not before."""

import pytest
from redis.asyncio import Redis

from support.queue import GROUP, admit_job, lease, upkeep_of
from support.runs import PATH

pytestmark = pytest.mark.real

LONG_AGO_MS = 0


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
