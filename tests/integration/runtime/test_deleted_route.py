"""A deleted route's name is held for a while: it is neither served nor denied, and its next life begins at once."""

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.ids import route_path
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime.tables import NAME_HELD_S, RouteTable, publish
from eventroute.sealed import SealKey, new_key_text
from support.sample_routes import receiver_route

TRIAGE = route_path("team-a", "triage")
ALL = {TRIAGE: receiver_route()}

Table = RouteTable[ReceiverRoute]


@pytest.fixture
def key() -> SealKey:
    return SealKey.from_text(new_key_text())


@pytest.fixture
async def table(redis: Redis, key: SealKey) -> Table:
    """A table with one route, which has been deleted."""
    table = RouteTable(redis, RECEIVER, key, process_id="one", prepare=lambda route: route)
    await publish(redis, RECEIVER, ALL, key)
    await table.refresh()
    await publish(redis, RECEIVER, {}, key)
    await table.refresh()
    return table


async def _redis_ms(redis: Redis) -> int:
    seconds, microseconds = await redis.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


async def test_it_is_neither_served_nor_denied_and_one_can_tell_since_when(redis: Redis, table: Table) -> None:
    assert table.get(TRIAGE) is None
    assert table.is_broken(TRIAGE)
    since = table.deleted_since(TRIAGE)
    assert since is not None
    assert 0 <= await _redis_ms(redis) - since < 5_000
    assert table.deleted_since(route_path("team-a", "never-there")) is None


async def test_later_publications_neither_move_its_time_nor_write_anything(
    redis: Redis, table: Table, key: SealKey
) -> None:
    since, stored = table.deleted_since(TRIAGE), await redis.hgetall(keys.table(RECEIVER.name))
    await publish(redis, RECEIVER, {}, key)
    assert await redis.hgetall(keys.table(RECEIVER.name)) == stored
    await table.refresh()
    assert table.deleted_since(TRIAGE) == since


async def test_its_name_is_free_after_ten_minutes(redis: Redis, table: Table, key: SealKey) -> None:
    assert NAME_HELD_S == 600
    await publish(redis, RECEIVER, {}, key, name_held_s=0)
    await table.refresh()
    assert not table.is_broken(TRIAGE)
    assert table.deleted_since(TRIAGE) is None
    assert await redis.hkeys(keys.table(RECEIVER.name)) == [b"@version"]


async def test_one_that_comes_back_is_served_and_one_that_is_withheld_is_not_deleted(
    redis: Redis, table: Table, key: SealKey
) -> None:
    await publish(redis, RECEIVER, {}, key, withheld=[TRIAGE])
    await table.refresh()
    assert (table.is_broken(TRIAGE), table.deleted_since(TRIAGE)) == (True, None)
    await publish(redis, RECEIVER, ALL, key)
    await table.refresh()
    assert table.get(TRIAGE) == receiver_route()
    assert not table.is_broken(TRIAGE)


async def test_a_namespace_of_which_nothing_is_known_keeps_its_own(redis: Redis, table: Table, key: SealKey) -> None:
    await publish(redis, RECEIVER, {}, key, unseen=["team-a"], name_held_s=0)
    await table.refresh()
    assert table.deleted_since(TRIAGE) is not None
