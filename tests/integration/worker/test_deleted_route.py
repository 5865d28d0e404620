"""A deleted route's deliveries wait for a while for a new one of that name, and then are dead letters."""

import pytest
from redis.asyncio import Redis

from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute.prompt import prepare
from eventroute.runtime.metrics import REGISTRY
from eventroute_worker import keeper as keeper_module
from support.queue import GROUP, admit_all, clock_ms, dead_letters, depth, fields, upkeep_of
from support.runs import PATH, FakeClaude, FakeRoutes, build_runner, results, sample_delivery, worker_route
from support.waiting import until
from support.worker import keeping, running, until_empty

pytestmark = pytest.mark.real

OTHER = route_path("team-a", "other")
NAMES = [f"d-{number:03}" for number in range(250)]  # more than are buried per call


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LOOK_S", 0.05)


async def _until_held(redis: Redis, reason: str = "deleted") -> None:
    async def is_held() -> bool:
        held = await upkeep_of(redis).held(GROUP)
        return PATH in held and held[PATH].reason == reason

    await until(is_held)


def _serve(routes: FakeRoutes, **changes: object) -> None:
    routes._plans[PATH] = prepare(worker_route(**changes))


async def test_what_waits_is_taken_over_in_order_by_a_route_of_the_same_name(redis: Redis) -> None:
    claude, routes = FakeClaude(), FakeRoutes(worker_route(path=OTHER))
    await admit_all(redis, [sample_delivery(name) for name in NAMES])
    async with (
        keeping(redis, routes=routes),
        running(redis, build_runner(redis, claude=claude, routes=routes), slots=1),
    ):
        await _until_held(redis)
        assert await depth(redis) == len(NAMES)
        await until(lambda: REGISTRY.get_sample_value("eventroute_worker_held_routes", {"reason": "deleted"}) == 1)
        _serve(routes, uid=RouteUid("uid-new"))
        await until_empty(redis, timeout_s=20)
    assert [entry["delivery"] for entry in await results(redis)] == NAMES
    assert await dead_letters(redis) == []
    assert await upkeep_of(redis).held(GROUP) == {}


async def test_what_nobody_takes_over_becomes_dead_letters_when_the_time_is_over_and_not_before(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(path=OTHER))
    await admit_all(redis, [sample_delivery(name) for name in NAMES])
    async with keeping(redis, routes=routes) as keeper, running(redis, build_runner(redis, routes=routes), slots=1):
        await _until_held(redis)
        for _ in range(3):
            await keeper.look()
        assert await dead_letters(redis) == []
        await _age(redis, PATH, 599_000)
        for _ in range(3):
            await keeper.look()
        assert await dead_letters(redis) == []
        await _age(redis, PATH, 600_001)
        await until_empty(redis)

        async def is_forgotten() -> bool:
            return not await redis.exists(GROUP.held)

        await until(is_forgotten)
    assert sorted(await dead_letters(redis)) == NAMES
    for name in (NAMES[0], NAMES[-1]):
        found = await fields(redis, sample_delivery(name).id)
        assert (found["state"], found["reason"]) == ("dead", "route_deleted")
        assert "body" in found
    assert await redis.hmget(GROUP.usage, "depth", "bytes") == [b"0", b"0"]


async def test_a_route_that_is_only_withheld_is_waited_for_without_end(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(path=OTHER))
    routes.broken.add(PATH)
    await admit_all(redis, [sample_delivery(name) for name in NAMES[:3]])
    async with keeping(redis, routes=routes) as keeper, running(redis, build_runner(redis, routes=routes), slots=1):
        await _until_held(redis, "withheld")
        await _age(redis, PATH, 10 * 86_400_000)
        for _ in range(3):
            await keeper.look()
        assert (await dead_letters(redis), await depth(redis)) == ([], 3)
        routes.broken.clear()
        _serve(routes)
        await until_empty(redis)
    assert [entry["delivery"] for entry in await results(redis)] == NAMES[:3]


async def test_a_route_that_is_back_but_cannot_be_read_yet_is_not_given_up(redis: Redis) -> None:
    routes = FakeRoutes(worker_route(path=OTHER))
    await admit_all(redis, [sample_delivery(name) for name in NAMES[:3]])
    await upkeep_of(redis).hold(GROUP, PATH, "deleted")
    await _age(redis, PATH, 600_001)
    routes.broken.add(PATH)
    async with keeping(redis, routes=routes) as keeper:
        for _ in range(3):
            await keeper.look()
    assert (await dead_letters(redis), await depth(redis)) == ([], 3)


async def test_the_time_begins_anew_when_a_withheld_route_is_deleted(redis: Redis) -> None:
    upkeep = upkeep_of(redis)
    await upkeep.hold(GROUP, PATH, "withheld")
    await _age(redis, PATH, 700_000)
    assert await upkeep.forsake(GROUP, PATH, after_ms=600_000, count=10) == -1
    await upkeep.hold(GROUP, PATH, "deleted")
    assert await upkeep.forsake(GROUP, PATH, after_ms=600_000, count=10) == -1
    await _age(redis, PATH, 600_001)
    assert await upkeep.forsake(GROUP, PATH, after_ms=600_000, count=10) == 0


async def _age(redis: Redis, path: RoutePath, age_ms: int) -> None:
    """Let a route have been held for so long."""
    reason = (await upkeep_of(redis).held(GROUP))[path].reason
    since = await clock_ms(redis) - age_ms
    await redis.hset(GROUP.held, path, f'{{"reason":"{reason}","detail":"","since":{since}}}')
