"""Table keys are replaced without a pause: whoever reads knows both, whoever seals learns of the new one last."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import RoutePath, route_path
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime import background
from eventroute.runtime.tables import RouteTable, publish, read_entry
from eventroute.sealed import SealKey, new_key_text
from support.sample_routes import receiver_route
from support.waiting import until

OLD, NEW = new_key_text(), new_key_text()
BOTH = f"{NEW} {OLD}"
ROUTES = {route.path: route for route in (receiver_route(name=f"r{number}") for number in range(3))}
GONE = route_path("team-a", "gone")

Table = RouteTable[ReceiverRoute]
Process = Callable[[str], AbstractAsyncContextManager[Table]]


@pytest.fixture
def process(redis: Redis) -> Process:
    """How to run a process that reads by some keys, which have to open every entry that there is."""

    @asynccontextmanager
    async def run(key: str) -> AsyncIterator[Table]:
        table = RouteTable(redis, RECEIVER, SealKey.from_text(key), process_id=key[:4], prepare=lambda route: route)
        async with background.running(table.run):
            await until(lambda: {route.path for route in table.all()} == ROUTES.keys())
            yield table
            assert not any(map(table.is_broken, ROUTES))

    return run


async def sealed(redis: Redis) -> dict[RoutePath, bytes]:
    found = await redis.hgetall(keys.table(RECEIVER.name))
    return {RoutePath(path.decode()): entry for path, entry in found.items() if not path.startswith(b"@")}


async def test_each_step_leaves_every_route_served(redis: Redis, process: Process) -> None:
    version = await publish(redis, RECEIVER, ROUTES, SealKey.from_text(OLD))
    async with process(OLD), process(BOTH):  # while readers are restarted, one by one
        pass
    async with process(BOTH) as table:
        before = await sealed(redis)
        assert await publish(redis, RECEIVER, ROUTES, SealKey.from_text(BOTH)) > version
        await until(lambda: table.version != version)
        after = await sealed(redis)
        assert all(after[path] != before[path] for path in ROUTES), "sealed anew"
        assert {route.path for route in table.all()} == ROUTES.keys()
    async with process(NEW):  # once the previous key is gone
        assert await publish(redis, RECEIVER, ROUTES, SealKey.from_text(NEW)) == table.version, "nothing left to do"


async def test_what_stays_as_it_was_is_read_by_the_previous_key(redis: Redis) -> None:
    await publish(redis, RECEIVER, ROUTES, SealKey.from_text(OLD))
    path = next(iter(ROUTES))
    assert await read_entry(redis, RECEIVER, path, SealKey.from_text(BOTH)) == ROUTES[path]
    assert await read_entry(redis, RECEIVER, path, SealKey.from_text(NEW)) is None


async def test_a_deleted_routes_name_is_held_no_longer_for_a_new_key(redis: Redis) -> None:
    await publish(redis, RECEIVER, {**ROUTES, GONE: receiver_route(name="gone")}, SealKey.from_text(OLD))
    await publish(redis, RECEIVER, ROUTES, SealKey.from_text(OLD))
    assert GONE in await sealed(redis)
    await publish(redis, RECEIVER, ROUTES, SealKey.from_text(BOTH), name_held_s=0)
    assert GONE not in await sealed(redis)
