"""Of two publishers the one with the greater epoch counts: what the other has yet to write is refused."""

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.errors import RetryLater
from eventroute.ids import RoutePath
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime import tables
from eventroute.runtime.tables import Deposed, RouteTable, publish, table_version
from eventroute.sealed import SealKey, new_key_text
from support.sample_routes import receiver_route

pytestmark = pytest.mark.real

KEY = SealKey.from_text(new_key_text())
ONE = receiver_route()
OTHER = receiver_route(max_body_bytes=1)


async def served(redis: Redis) -> ReceiverRoute | None:
    table: RouteTable[ReceiverRoute] = RouteTable(redis, RECEIVER, KEY, process_id="one", prepare=lambda route: route)
    await table.refresh()
    return table.get(ONE.path)


async def write(redis: Redis, entry: ReceiverRoute, epoch: int) -> int:
    return await publish(redis, RECEIVER, {entry.path: entry}, KEY, epoch=epoch)


async def test_a_publisher_with_a_smaller_epoch_is_refused_and_told_by_whom(redis: Redis) -> None:
    await write(redis, ONE, 1)
    await write(redis, OTHER, 2)
    with pytest.raises(Deposed) as deposed:
        await write(redis, ONE, 1)
    assert deposed.value.epoch == 2
    assert await served(redis) == OTHER


async def test_a_publisher_that_finds_all_as_it_wants_it_takes_it_over_too(redis: Redis) -> None:
    await write(redis, ONE, 1)
    version = await write(redis, ONE, 2)
    with pytest.raises(Deposed):
        await write(redis, OTHER, 1)
    assert await write(redis, ONE, 2) == version, "taken over once"


async def test_a_publisher_is_refused_although_it_had_looked_before_the_other_came(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(redis, ONE, 1)
    look, version = tables._find, await table_version(redis, RECEIVER)

    async def look_and_stand_still(redis: Redis, plane: str) -> tables._Found:
        found = await look(redis, plane)
        monkeypatch.undo()
        await redis.hset(keys.table(plane), "@epoch", 2)  # the other has not changed anything yet
        return found

    monkeypatch.setattr(tables, "_find", look_and_stand_still)
    with pytest.raises(Deposed):
        await write(redis, OTHER, 1)
    assert await table_version(redis, RECEIVER) == version
    assert await served(redis) == ONE


async def test_a_redis_that_lost_its_data_is_filled_by_whoever_still_publishes(redis: Redis) -> None:
    await write(redis, ONE, 7)
    await redis.flushall()
    await write(redis, ONE, 7)
    assert await served(redis) == ONE
    with pytest.raises(Deposed):
        await write(redis, ONE, 6)


async def test_who_has_no_epoch_writes_only_where_nobody_has_one(redis: Redis) -> None:
    await write(redis, ONE, 0)
    assert await redis.hget(keys.table(RECEIVER.name), "@epoch") is None
    await write(redis, ONE, 1)
    with pytest.raises(Deposed):
        await write(redis, OTHER, 0)


async def test_two_with_one_epoch_do_not_depose_each_other(redis: Redis) -> None:
    for entry in (ONE, OTHER, ONE):
        await write(redis, entry, 3)
    assert await served(redis) == ONE


async def test_of_a_large_publication_no_piece_is_written_once_another_has_come(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former publisher stands still between two pieces, and its successor writes meanwhile."""
    monkeypatch.setattr(tables, "_PIECE_BYTES", 1)
    many = {RoutePath(f"team-a/r{number}"): receiver_route(name=f"r{number}") for number in range(3)}
    await publish(redis, RECEIVER, {}, KEY, epoch=1)
    calls = 0

    class Standing:
        def __getattr__(self, name: str) -> object:
            return getattr(redis, name)

        async def eval(self, *arguments: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 2:
                await write(redis, OTHER, 2)
            return await redis.eval(*arguments)

    with pytest.raises((Deposed, RetryLater)):
        await publish(Standing(), RECEIVER, many, KEY, epoch=1)
    assert await served(redis) == OTHER
    names = {name for name in await redis.hkeys(keys.table(RECEIVER.name)) if not name.startswith(b"@")}
    assert ONE.path.encode() in names
