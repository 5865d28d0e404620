"""What is left of an attempt in the record of a delivery that has ended, and what the keeper says that it shed."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.queue import Retention
from support.queue import GROUP, admit, admit_job, fields, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

KEPT = Retention(body=60_000, answer=120_000, record=180_000)


@pytest.mark.parametrize(("outcome", "reason"), [("succeeded", ""), ("dead", "timeout")])
async def test_nothing_tells_of_its_attempts_but_how_many_there_were(redis: Redis, outcome: str, reason: str) -> None:
    name = await admit_job(redis, "d-1")
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).put_back(taken, pause_ms=0, counts=False, error="as told")
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).asking(taken)
    await redis.zadd(GROUP.running, {name: 1})
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    assert {"stage", "due", "waits", "cuts", "last_error"} <= (await fields(redis, name)).keys()
    await work_on(redis).settle(
        taken, outcome=outcome, reason=reason, detail="said", retention=KEPT, fields={"about": "{}"}
    )
    told = await fields(redis, name)
    assert not {"stage", "due", "waits", "cuts", "alone"} & told.keys()
    assert (told["outcome"], told.get("reason", ""), told["detail"], told["about"]) == (outcome, reason, "said", "{}")
    assert (told["attempts"], told["state"]) == ("2", "dead" if reason else "settled")
    assert ("last_error" in told) is bool(reason)


async def test_the_keeper_says_where_to_go_on_and_how_much_it_shed(redis: Redis) -> None:
    for number in range(3):
        await admit_job(redis, f"d-{number}")
        taken = await lease(redis)
        await work_on(redis).settle(taken, outcome="succeeded", reason="", detail="", retention=KEPT, fields={})
    keep = upkeep_of(redis).keep
    assert await keep(GROUP, worker="w", for_ms=5_000, cursor=0, routes=10, count=2) == (0, 0)
    await redis.hset(GROUP.route(PATH), "keep_bodies", 0)
    assert await keep(GROUP, worker="w", for_ms=5_000, cursor=0, routes=10, count=2) == (0, 2)
    assert await keep(GROUP, worker="w", for_ms=5_000, cursor=0, routes=10, count=2) == (0, 1)
    assert await keep(GROUP, worker="other", for_ms=5_000, cursor=0, routes=10, count=2) is None


async def test_the_keeper_comes_by_every_route_a_part_of_them_at_a_time(redis: Redis) -> None:
    paths = [RoutePath(f"team-a/r-{number}") for number in range(600)]
    await redis.sadd(GROUP.routes, *paths)
    await redis.delete(GROUP.rotation)
    async with redis.pipeline(transaction=False) as pipeline:
        for path in paths:
            pipeline.zadd(GROUP.ready(path), {"d-1": 1})
        await pipeline.execute()
    cursor, calls = 0, 0
    while calls < 50 and (calls == 0 or cursor):
        found = await upkeep_of(redis).keep(GROUP, worker="w", for_ms=5_000, cursor=cursor, routes=100, count=1)
        assert found is not None
        cursor, calls = found[0], calls + 1
        assert await redis.zcard(GROUP.rotation) <= 150 * calls
    assert (cursor, await redis.zcard(GROUP.rotation)) == (0, 600)
    assert 3 < calls < 12


async def test_routes_take_turns_in_the_order_in_which_they_got_something(redis: Redis) -> None:
    paths = [RoutePath(f"team-a/{name}") for name in ("z", "y", "x", "w")]
    for path in paths:
        await admit(redis, sample_delivery(f"d-{path[-1]}", route=path))
    assert [path.decode() for path in await redis.zrange(GROUP.rotation, 0, -1)] == paths
    assert [(await lease(redis)).path for _ in paths] == paths
