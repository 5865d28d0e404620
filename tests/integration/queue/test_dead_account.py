"""The account of a route's dead letters, which its bound goes by."""

import pytest
from redis.asyncio import Redis

from eventroute.outcome import DeadReason
from eventroute.queue import Admissions, Candidate, Limits, Retention
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit_job, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

MUCH = 64 * 1024 * 1024


async def account(redis: Redis) -> int:
    return int(await redis.hget(GROUP.route(PATH), "dead_bytes") or 0)


async def bury(redis: Redis, name: str) -> None:
    letter = Candidate(sample_delivery(name), [], dead=(DeadReason.UNPARSABLE, "no JSON"))
    await Admissions(ClientCaller(redis), limits=Limits(9, 0)).admit(PATH, [letter], rate=None)


async def test_one_that_says_more_than_there_is_begins_anew(redis: Redis) -> None:
    await admit_job(redis, "d-1")
    await redis.hset(GROUP.route(PATH), "dead_bytes", MUCH)
    await work_on(redis).settle(
        await lease(redis),
        outcome="dead",
        reason="timeout",
        detail="",
        retention=Retention(0, 0, 0),
        fields={},
    )
    assert (await redis.zcard(GROUP.dead(PATH)), await account(redis)) == (0, 0)
    await bury(redis, "d-2")
    assert await redis.zcard(GROUP.dead(PATH)) == 1


async def test_the_keeper_forgets_the_account_of_a_route_without_dead_letters(redis: Redis) -> None:
    await bury(redis, "d-1")
    await redis.zrem(GROUP.dead(PATH), "d-1")
    assert await account(redis) > 0
    await upkeep_of(redis).keep(GROUP, worker="w", for_ms=1000, cursor=0, routes=10, count=10)
    assert await account(redis) == 0
