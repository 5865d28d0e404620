"""A process that missed something reads everything and makes ready what differs, while others have their turns."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.errors import RetryLater
from eventroute.ids import RoutePath, route_path
from eventroute.route_table import RECEIVER, ReceiverRoute
from eventroute.runtime import background, tables
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import RedisAway
from eventroute.runtime.tables import Change, RouteTable, heartbeats, publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.local.processes import free_port
from support.full_redis import no_memory
from support.sample_routes import receiver_route
from support.waiting import until

Entries = dict[RoutePath, ReceiverRoute]


class Follower:
    """A table that notes what was made ready and what was told; making a route ready takes `takes_s`."""

    def __init__(self, redis: Redis, key: SealKey) -> None:
        self.prepared: list[RoutePath] = []
        self.told: list[set[RoutePath]] = []
        self.takes_s = 0.0
        self.table = RouteTable(redis, RECEIVER, key, process_id="one", prepare=self._prepare, on_change=self._note)

    def _prepare(self, route: ReceiverRoute) -> ReceiverRoute:
        self.prepared.append(route.path)
        until_s = time.perf_counter() + self.takes_s
        while time.perf_counter() < until_s:
            pass
        return route

    def _note(self, paths: Collection[RoutePath]) -> None:
        self.told.append(set(paths))

    def forget(self) -> None:
        """Note anew."""
        self.prepared, self.told = [], []


def path_of(number: int) -> RoutePath:
    return route_path("team-a", f"r{number}")


def entries(count: int, **changes: Any) -> Entries:
    routes = [receiver_route(name=f"r{number}", **changes) for number in range(count)]
    return {route.path: route for route in routes}


@pytest.fixture
def key() -> SealKey:
    return SealKey.from_text(new_key_text())


@pytest.fixture
def follower(redis: Redis, key: SealKey) -> Follower:
    return Follower(redis, key)


@pytest.fixture
async def following(follower: Follower) -> AsyncIterator[Follower]:
    async with background.running(follower.table.run):
        yield follower


async def _turns(work: Callable[[], object], during: asyncio.Task[None]) -> int:
    turns = 0
    while not during.done():
        work()
        turns += 1
        await asyncio.sleep(0)
    return turns


async def test_only_what_differs_is_made_ready(redis: Redis, follower: Follower, key: SealKey) -> None:
    routes = entries(300)
    await publish(redis, RECEIVER, routes, key)
    await follower.table.refresh()
    assert sorted(follower.prepared) == sorted(routes)
    follower.forget()
    routes |= entries(2, generation=2)
    await publish(redis, RECEIVER, routes, key)
    await publish(redis, RECEIVER, dict(list(routes.items())[1:]), key)
    await follower.table.refresh()
    assert follower.prepared == [path_of(1)]
    assert follower.told == [{path_of(0), path_of(1)}]
    assert follower.table.deleted_since(path_of(0)) is not None
    await publish(redis, RECEIVER, dict(list(routes.items())[1:]), key, name_held_s=0)
    await follower.table.refresh()
    assert follower.told[1:] == [{path_of(0)}]
    assert not follower.table.is_broken(path_of(0))


async def test_an_entry_that_was_sealed_anew_is_read_anew(redis: Redis, follower: Follower, key: SealKey) -> None:
    await publish(redis, RECEIVER, entries(1), key)
    await follower.table.refresh()
    await publish(redis, RECEIVER, entries(1), SealKey.from_text(new_key_text()))
    await follower.table.refresh()
    assert follower.table.is_broken(path_of(0))


async def test_others_have_their_turns_while_much_is_made_ready(redis: Redis, follower: Follower, key: SealKey) -> None:
    follower.takes_s = 0.002
    await publish(redis, RECEIVER, entries(300), key)
    refreshing = asyncio.create_task(follower.table.refresh())
    versions = set[int | None]()
    turns = await _turns(lambda: versions.add(follower.table.version), refreshing)
    assert turns >= 50  # 600 ms of work in pieces of 5 ms
    assert versions == {None}, "a half state is no version"
    assert follower.table.version is not None


async def test_many_routes_in_one_announcement_do_not_stop_the_others_either(
    redis: Redis, following: Follower, key: SealKey
) -> None:
    await publish(redis, RECEIVER, entries(300), key)
    await until(lambda: following.table.get(path_of(299)) is not None and following.table.version is not None)
    before = following.table.version
    following.forget()
    following.takes_s = 0.002
    version = await publish(redis, RECEIVER, entries(300, generation=2), key)

    async def is_served() -> None:
        await until(lambda: following.table.version == version)

    versions = set[int | None]()
    turns = await _turns(lambda: versions.add(following.table.version), asyncio.create_task(is_served()))
    assert turns >= 50
    assert versions <= {before, version}
    assert len(following.prepared) == 300
    assert following.told == [set(entries(300))]


async def test_who_asks_at_the_same_time_waits_for_one_pass(redis: Redis, follower: Follower, key: SealKey) -> None:
    await publish(redis, RECEIVER, entries(100), key)
    await redis.config_resetstat()
    await asyncio.gather(*(follower.table.refresh() for _ in range(20)))
    assert int((await redis.info("commandstats"))["cmdstat_hscan"]["calls"]) < 20  # a pass takes two or three
    assert len(follower.prepared) == 100
    assert follower.told == [set(entries(100))]


async def test_what_is_announced_during_a_pass_is_not_lost(redis: Redis, following: Follower, key: SealKey) -> None:
    routes = entries(200)
    following.takes_s = 0.02
    await publish(redis, RECEIVER, routes, key)
    await until(lambda: bool(following.prepared))
    for generation in (2, 3):
        routes |= entries(1, generation=generation)
        version = await publish(redis, RECEIVER, routes, key)
    assert following.table.version is None
    following.takes_s = 0
    await until(lambda: following.table.version == version)
    served = following.table.get(path_of(0))
    assert served is not None
    assert served.generation == 3


async def test_heartbeats_go_on_during_a_long_pass(
    redis: Redis, following: Follower, key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "HEARTBEAT_S", 0.05)
    await publish(redis, RECEIVER, entries(1), key)
    await until(lambda: following.table.version is not None)
    following.takes_s = 0.01
    version = await publish(redis, RECEIVER, entries(400), key)
    await until(lambda: len(following.prepared) > 100)
    await redis.delete(keys.process(RECEIVER.name, "one"))
    await until(lambda: redis.exists(keys.process(RECEIVER.name, "one")))
    assert following.table.version != version
    following.takes_s = 0


async def test_a_table_that_is_lost_during_a_pass_takes_nothing_away(
    redis: Redis, follower: Follower, key: SealKey
) -> None:
    await publish(redis, RECEIVER, entries(200), key)
    await follower.table.refresh()
    served = follower.table.version
    await publish(redis, RECEIVER, entries(200, generation=2), key)
    follower.takes_s = 0.002
    refreshing = asyncio.create_task(follower.table.refresh())
    await until(lambda: len(follower.prepared) > 210)
    await redis.flushall()
    await refreshing
    assert follower.table.version == served
    assert all(follower.table.get(path) for path in entries(200))


LARGE = "x" * 300_000


async def test_a_large_publication_comes_in_pieces_and_is_announced_once(
    redis: Redis, following: Follower, key: SealKey
) -> None:
    await publish(redis, RECEIVER, {}, key)
    await until(lambda: following.table.version is not None)
    await redis.config_resetstat()
    version = await publish(redis, RECEIVER, entries(10, filter=LARGE), key)
    assert int((await redis.info("commandstats"))["cmdstat_publish"]["calls"]) == 1
    assert await redis.hget(keys.table(RECEIVER.name), "@unfinished") is None
    await until(lambda: following.table.version == version)
    assert following.told == [set(entries(10))]


async def _break_off(redis: Redis, monkeypatch: pytest.MonkeyPatch, routes: Entries, key: SealKey) -> None:
    """Publish, and let the connection be lost after the first piece."""
    evaluate, calls = redis.eval, 0

    async def lose(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionResetError
        return await evaluate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(redis, "eval", lose)
        with pytest.raises(ConnectionResetError):
            await publish(redis, RECEIVER, routes, key)


async def test_what_a_publisher_left_half_done_reaches_everybody_with_the_next_publication(
    redis: Redis, following: Follower, key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await publish(redis, RECEIVER, entries(10), key)
    await until(lambda: following.table.version == first)
    changed = entries(10, generation=2, filter=LARGE)
    await _break_off(redis, monkeypatch, changed, key)
    await following.table.refresh()
    assert following.table.version == first
    version = await publish(redis, RECEIVER, changed, key)
    await until(lambda: following.table.version == version)
    assert {following.table.get(path) for path in changed} == {*changed.values()}


async def test_what_a_publisher_left_half_done_is_made_known_though_nothing_differs_any_more(
    redis: Redis, following: Follower, key: SealKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await publish(redis, RECEIVER, entries(10), key)
    await until(lambda: following.table.version == first)
    await _break_off(redis, monkeypatch, entries(10, generation=2, filter=LARGE), key)
    late = Follower(redis, key)
    await late.table.refresh()
    left = {path: route for path in entries(10) if (route := late.table.get(path))}
    assert {route.generation for route in left.values()} == {1, 2}
    version = await publish(redis, RECEIVER, left, key)
    assert version > first
    await until(lambda: following.table.version == version)
    assert {path: following.table.get(path) for path in left} == left


async def test_of_two_publishers_the_later_one_compares_anew(redis: Redis, follower: Follower, key: SealKey) -> None:
    both = [entries(20, generation=generation, filter=LARGE) for generation in (2, 3)]
    ended = await asyncio.gather(*(publish(redis, RECEIVER, each, key) for each in both), return_exceptions=True)
    assert all(isinstance(end, int | RetryLater) for end in ended)
    await publish(redis, RECEIVER, both[1], key)
    await follower.table.refresh()
    assert {follower.table.get(path) for path in both[1]} == {*both[1].values()}


async def test_a_full_redis_takes_a_suspension_and_says_who_serves_it(
    redis: Redis, following: Follower, key: SealKey
) -> None:
    await publish(redis, RECEIVER, entries(2), key)
    await until(lambda: following.table.version is not None)
    async with no_memory(redis):
        version = await publish(redis, RECEIVER, entries(1, suspend="drop"), key)

        async def is_told() -> bool:
            return [beat.version for beat in await heartbeats(redis, RECEIVER)] == [version]

        await until(is_told)
    served = following.table.get(path_of(0))
    assert served is not None
    assert served.suspend
    assert following.table.deleted_since(path_of(1)) is not None


async def test_an_announcement_without_routes_has_everything_read(
    redis: Redis, follower: Follower, key: SealKey
) -> None:
    await publish(redis, RECEIVER, entries(1), key)
    await follower.table.refresh()
    version = await publish(redis, RECEIVER, entries(1, generation=2), key)
    await follower.table._apply(Change(previous=0, version=version, paths=[]))
    assert follower.table.version == version
    assert follower.prepared == [path_of(0)] * 2


async def test_a_redis_that_is_away_is_told_as_such_and_what_is_served_stays(redis: Redis, key: SealKey) -> None:
    follower = Follower(redis, key)
    await publish(redis, RECEIVER, entries(1), key)
    await follower.table.refresh()
    async with connect(f"redis://127.0.0.1:{free_port()}/0") as away:
        follower.table._redis = away
        with pytest.raises(RedisAway):
            await follower.table.refresh()
    assert follower.table.get(path_of(0)) is not None
