"""A published table reaches every process, once, sealed, and only as far as it changed."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.errors import Refused
from eventroute.ids import RoutePath, route_path
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime import background
from eventroute.runtime.tables import Change, RouteTable, heartbeats, publish
from eventroute.sealed import SealKey, new_key_text
from support.sample_routes import receiver_route

TRIAGE = route_path("team-a", "triage")
REVIEW = route_path("team-a", "review")

Table = RouteTable[ReceiverRoute]


def _entries(*routes: ReceiverRoute) -> dict[RoutePath, ReceiverRoute]:
    return {route.path: route for route in routes}


@pytest.fixture
def key() -> SealKey:
    return SealKey.from_text(new_key_text())


@pytest.fixture
def table(redis: Redis, key: SealKey) -> Table:
    return RouteTable(redis, RECEIVER, key, process_id="one", prepare=lambda route: route)


@pytest.fixture
async def following(table: Table) -> AsyncIterator[Table]:
    async with background.running(table.run):
        yield table


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_table_is_cold_until_something_was_published(redis: Redis, table: Table, key: SealKey) -> None:
    await table.refresh()
    assert table.version is None
    await publish(redis, RECEIVER, {}, key)
    await table.refresh()
    assert table.version is not None
    assert table.get(TRIAGE) is None


async def test_an_entry_arrives_as_it_was_published(redis: Redis, table: Table, key: SealKey) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await table.refresh()
    assert table.get(TRIAGE) == receiver_route()


async def test_redis_never_holds_a_readable_secret(redis: Redis, key: SealKey) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    stored = await redis.hgetall(keys.table("receiver"))
    assert receiver_route().secrets[0].reveal() not in b"".join(stored.values())


async def test_publishing_the_same_again_changes_nothing(redis: Redis, key: SealKey) -> None:
    first = await publish(redis, RECEIVER, _entries(receiver_route()), key)
    before = await redis.hgetall(keys.table("receiver"))
    assert await publish(redis, RECEIVER, _entries(receiver_route()), key) == first
    assert await redis.hgetall(keys.table("receiver")) == before


async def test_a_change_is_applied_at_once_and_a_removed_route_is_gone(
    redis: Redis, following: Table, key: SealKey
) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="review")), key)
    await _until(lambda: following.get(REVIEW) is not None)
    await publish(redis, RECEIVER, _entries(receiver_route(generation=2)), key)
    await _until(lambda: following.get(REVIEW) is None)
    served = following.get(TRIAGE)
    assert served is not None
    assert served.generation == 2


async def test_a_process_says_which_version_it_serves(redis: Redis, following: Table, key: SealKey) -> None:
    version = await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await _until(lambda: following.version == version)
    async with asyncio.timeout(5):
        while [beat.version for beat in await heartbeats(redis, RECEIVER)] != [version]:
            await asyncio.sleep(0.01)


async def test_a_process_that_is_dead_is_forgotten(redis: Redis, following: Table, key: SealKey) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await redis.sadd(keys.processes(RECEIVER.name), "dead")
    await _until(lambda: following.version is not None)
    assert len(await heartbeats(redis, RECEIVER)) == 1
    assert b"dead" not in await redis.smembers(keys.processes(RECEIVER.name))


async def test_a_missed_announcement_is_made_good_by_reading_everything(
    redis: Redis, table: Table, key: SealKey
) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await table.refresh()
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="missed")), key)
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="seen")), key)
    announcement = Change(previous=1, version=2, paths=[route_path("team-a", "seen")])
    await table._apply(announcement)
    assert table.get(route_path("team-a", "seen")) is not None
    assert table.get(route_path("team-a", "missed")) is None


async def test_a_table_outlives_the_loss_of_redis_data_and_takes_the_next_one(
    redis: Redis, table: Table, key: SealKey
) -> None:
    first = await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await table.refresh()
    await redis.flushall()
    await table.refresh()
    assert table.get(TRIAGE) is not None
    await asyncio.sleep(0.002)  # a version is a time in milliseconds, and no Redis is lost and back within one
    second = await publish(redis, RECEIVER, _entries(receiver_route(name="review")), key)
    assert second > first
    await table.refresh()
    assert table.get(TRIAGE) is None
    assert table.get(REVIEW) is not None


async def test_an_entry_that_cannot_be_read_is_broken_and_the_others_serve(
    redis: Redis, table: Table, key: SealKey
) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="review")), key)
    await redis.hset(keys.table("receiver"), TRIAGE, b"garbage")
    await table.refresh()
    assert table.is_broken(TRIAGE)
    assert table.get(TRIAGE) is None
    assert table.get(REVIEW) is not None


async def test_an_entry_swapped_to_another_route_is_broken(redis: Redis, table: Table, key: SealKey) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="review")), key)
    stolen = await redis.hget(keys.table("receiver"), REVIEW)
    await redis.hset(keys.table("receiver"), TRIAGE, stolen)
    await table.refresh()
    assert table.is_broken(TRIAGE)


async def test_an_entry_that_the_program_refuses_is_broken(redis: Redis, key: SealKey) -> None:
    def refuse(route: ReceiverRoute) -> ReceiverRoute:
        raise Refused(f"route {route.path}: no")

    table = RouteTable(redis, RECEIVER, key, process_id="one", prepare=refuse)
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await table.refresh()
    assert table.is_broken(TRIAGE)


async def test_an_entry_that_trips_the_program_is_broken_and_the_others_serve(redis: Redis, key: SealKey) -> None:
    def trip(route: ReceiverRoute) -> ReceiverRoute:
        if route.path == TRIAGE:
            raise KeyError("a column of a newer scheme")
        return route

    table = RouteTable(redis, RECEIVER, key, process_id="one", prepare=trip)
    await publish(redis, RECEIVER, _entries(receiver_route(), receiver_route(name="review")), key)
    await table.refresh()
    assert table.is_broken(TRIAGE)
    assert table.get(REVIEW) is not None


async def test_a_withheld_route_is_neither_served_nor_denied_nor_told_as_broken(
    redis: Redis, following: Table, key: SealKey
) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await _until(lambda: following.get(TRIAGE) is not None)
    await publish(redis, RECEIVER, {}, key, withheld=[TRIAGE])
    await _until(lambda: following.get(TRIAGE) is None)
    assert following.is_broken(TRIAGE)
    assert all(not beat.broken for beat in await heartbeats(redis, RECEIVER))
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    await _until(lambda: following.get(TRIAGE) is not None)
    assert not following.is_broken(TRIAGE)
    await publish(redis, RECEIVER, {}, key, withheld=[TRIAGE])
    await _until(lambda: following.is_broken(TRIAGE))
    await publish(redis, RECEIVER, {}, key)
    await _until(lambda: following.deleted_since(TRIAGE) is not None)
    assert following.is_broken(TRIAGE)


async def test_a_new_seal_key_rewrites_every_entry(redis: Redis, key: SealKey) -> None:
    await publish(redis, RECEIVER, _entries(receiver_route()), key)
    new = SealKey.from_text(new_key_text())
    await publish(redis, RECEIVER, _entries(receiver_route()), new)
    table = RouteTable(redis, RECEIVER, new, process_id="one", prepare=lambda route: route)
    await table.refresh()
    assert table.get(TRIAGE) == receiver_route()
