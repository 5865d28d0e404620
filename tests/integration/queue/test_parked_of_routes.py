"""How many deliveries of which route wait for a trouble to be mended: told exactly, also in the middle."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath
from eventroute.queue import Trouble, scripts
from eventroute.runtime.scripts import ClientCaller
from support.queue import GROUP, admit, fields, lease, upkeep_of, work_on
from support.runs import PATH, sample_delivery

pytestmark = pytest.mark.real

OTHER = RoutePath("team-b/z")
TROUBLE = Trouble(reason="billing", detail="402", key_id="k", model="")


async def park(redis: Redis, name: str, path: RoutePath) -> None:
    await admit(redis, sample_delivery(name, route=path))
    await work_on(redis).park(await lease(redis), TROUBLE, has_asked=False)


async def test_those_that_go_on_are_counted_no_more(redis: Redis) -> None:
    for name, path in (("d-1", PATH), ("d-2", OTHER), ("d-3", PATH)):
        await park(redis, name, path)
    (standing,) = await upkeep_of(redis).standing(GROUP)
    assert (standing.trouble, standing.waiting, standing.by_route) == (TROUBLE, 3, {PATH: 2, OTHER: 1})
    assert await upkeep_of(redis).unpark(GROUP, TROUBLE.cause, count=1) == 2
    (standing,) = await upkeep_of(redis).standing(GROUP)
    assert (standing.waiting, standing.by_route) == (2, {PATH: 1, OTHER: 1})
    assert await upkeep_of(redis).unpark(GROUP, TROUBLE.cause, count=9) == 0
    assert await upkeep_of(redis).standing(GROUP) == []
    assert not await redis.exists(GROUP.probed, GROUP.parked_of(TROUBLE.cause))


async def test_a_probe_is_counted_no_more_and_the_others_are(redis: Redis) -> None:
    for name in ("d-1", "d-2"):
        await park(redis, name, PATH)
    assert await upkeep_of(redis).probe(GROUP, TROUBLE.cause, every_ms=60_000)
    assert not await upkeep_of(redis).probe(GROUP, TROUBLE.cause, every_ms=60_000)
    (standing,) = await upkeep_of(redis).standing(GROUP)
    assert (standing.waiting, standing.by_route) == (1, {PATH: 1})


async def test_what_a_deleted_route_left_waits_no_longer_when_it_is_replayed(redis: Redis) -> None:
    name = await admit(redis, sample_delivery("d-1"))
    taken = await lease(redis)
    await work_on(redis).begin(taken, traceparent="")
    await work_on(redis).put_back(taken, pause_ms=0, counts=False)
    assert (await fields(redis, name))["waits"] == "1"
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    assert await upkeep_of(redis).forsake(GROUP, PATH, after_ms=60_000, count=9) == -1
    assert await upkeep_of(redis).forsake(GROUP, PATH, after_ms=0, count=9) == 1
    told = await fields(redis, name)
    assert (told["state"], told["reason"]) == ("dead", "route_deleted")
    assert await ClientCaller(redis)(scripts.REPLAY, GROUP.prefix, ["resume", name]) == [b"ok"]
    assert not {"waits", "reason", "outcome", "detail", "finished", "state"} & (await fields(redis, name)).keys()
