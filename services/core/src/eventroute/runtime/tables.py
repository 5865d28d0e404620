"""The route table on its way through Redis: published by one, followed by every receiver and worker.

One hash per plane holds a sealed entry per route and the table's version. A publication is one transaction, announced
by pub/sub with the routes it touches, so that a process applies a change at once and reads nothing else. A process that
missed an announcement sees the version differ at its next heartbeat and reads everything.

A table in memory outlives Redis and the publisher: it is replaced, never forgotten.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError, WatchError

from eventroute import keys
from eventroute.errors import Refused, RetryLater
from eventroute.ids import RoutePath
from eventroute.route_table import Entry, Plane
from eventroute.sealed import SealKey

HEARTBEAT_S: Final = 5.0
"""How often a process says which version it serves, and looks for one that it missed."""

HEARTBEAT_LIFETIME_S: Final = 15
"""A process that has not been heard of for so long does not count: three missed heartbeats."""

_VERSION: Final = "@version"  # no route path starts with "@"
_WITHHELD: Final = msgspec.msgpack.encode(None)  # in the place of an entry
_RECONNECT_S: Final = 0.5  # mean pause between attempts while Redis is away; jittered, so that a fleet spreads out
_PUBLISH_ATTEMPTS: Final = 5  # two publishers at once are a mistake; that many collisions are a broken set-up

Route = TypeVar("Route")

_log = structlog.get_logger()


class Change(msgspec.Struct, frozen=True):
    """An announcement: from which version to which, and the routes to read again."""

    previous: int
    version: int
    paths: list[RoutePath]


class Heartbeat(msgspec.Struct, frozen=True):
    """What a live process says of itself."""

    version: int | None
    """The table version that it serves; None while it is cold."""
    broken: list[RoutePath]
    """Published routes that it cannot read."""
    redis: Annotated[list[Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=8)] = []
    """What is wrong with Redis, for people."""


async def publish(
    redis: Redis,
    plane: Plane[Entry],
    entries: Mapping[RoutePath, Entry],
    key: SealKey,
    *,
    withheld: Collection[RoutePath] = (),
    unseen: Collection[str] = (),
) -> int:
    """Make `entries` the plane's table, writing only what differs.

    withheld  routes that exist and cannot be served now: no process denies them, and what is queued for them waits
    unseen    namespaces of which nothing is known: what the table holds of them stays
    returns   the table's version, unchanged when nothing differed; versions grow, also after Redis lost its data
    raises    `RetryLater` when another publisher keeps interfering; Redis' own errors when it is away
    """
    wanted = dict.fromkeys(withheld, _WITHHELD)
    wanted |= {path: msgspec.msgpack.encode(entry) for path, entry in entries.items()}
    for _ in range(_PUBLISH_ATTEMPTS):
        try:
            return await _publish_once(redis, plane.name, wanted, key, unseen)
        except WatchError:
            continue
    raise RetryLater(f"table {plane.name}: another publisher keeps changing it")


async def _publish_once(
    redis: Redis, plane: str, wanted: Mapping[RoutePath, bytes], key: SealKey, unseen: Collection[str]
) -> int:
    table = keys.table(plane)
    async with redis.pipeline(transaction=True) as pipe:
        await pipe.watch(table)
        stored: dict[bytes, bytes] = await pipe.hgetall(table)
        previous = int(stored.pop(_VERSION.encode(), 0))
        present = {RoutePath(field.decode()): sealed for field, sealed in stored.items()}
        changed = [path for path, entry in wanted.items() if _opened(key, plane, path, present.get(path)) != entry]
        removed = {path for path in present.keys() - wanted.keys() if path.partition("/")[0] not in unseen}
        if previous and not changed and not removed:
            return previous
        # Clock time rather than a counter: after Redis lost its data, no process may take a new table for its old one.
        version = max(previous + 1, time.time_ns() // 1_000_000)
        fields: dict[str, bytes | int] = {
            path: key.seal(wanted[path], context=_context(plane, path)) for path in changed
        }
        pipe.multi()
        pipe.hset(table, mapping={**fields, _VERSION: version})
        if removed:
            pipe.hdel(table, *removed)
        change = Change(previous=previous, version=version, paths=[*changed, *removed])
        pipe.publish(keys.table_changed(plane), msgspec.json.encode(change))
        await pipe.execute()
        return version


def _opened(key: SealKey, plane: str, path: RoutePath, sealed: bytes | None) -> bytes | None:
    try:
        return None if sealed is None else key.open(sealed, context=_context(plane, path))
    except Refused:
        return None  # sealed with an older key: write it anew


def _context(plane: str, path: RoutePath) -> str:
    return f"table {plane}: route {path}"


class RouteTable(Generic[Route]):
    """A process's copy of its plane's table, each entry made ready for use once, when it arrives."""

    def __init__(
        self,
        redis: Redis,
        plane: Plane[Entry],
        key: SealKey,
        *,
        process_id: str,
        prepare: Callable[[Entry], Route],
        troubles: Callable[[], list[str]] = list,
    ) -> None:
        """Start cold; `refresh` or `run` fill the table.

        prepare   turns an entry into what the program works with; an entry that it refuses is `broken`, others serve
        troubles  what is wrong with Redis, to be told with each heartbeat
        """
        self.version: int | None = None
        """The version served; None while cold."""
        self._redis = redis
        self._plane: Plane[Any] = plane
        self._key = key
        self._process_id = process_id
        self._prepare: Callable[[Any], Route] = prepare
        self._troubles = troubles
        self._routes: dict[RoutePath, Route] = {}
        self._broken: set[RoutePath] = set()
        self._withheld: set[RoutePath] = set()

    def get(self, path: RoutePath) -> Route | None:
        """Find a route."""
        return self._routes.get(path)

    def all(self) -> Collection[Route]:
        """Return the routes that are served."""
        return self._routes.values()

    def is_broken(self, path: RoutePath) -> bool:
        """Tell whether a route exists that this process cannot serve, withheld or not to be read: never deny it."""
        return path in self._broken or path in self._withheld

    async def refresh(self) -> None:
        """Read the whole table, unless its version is the one served."""
        stored = await table_version(self._redis, self._plane)
        if stored is None or stored == self.version:
            return
        fields: dict[bytes, bytes] = await self._redis.hgetall(keys.table(self._plane.name))
        if (found := fields.pop(_VERSION.encode(), None)) is None:
            return  # Redis lost it meanwhile
        version = int(found)
        paths = {RoutePath(field.decode()): sealed for field, sealed in fields.items()}
        for path in [*self._routes, *self._broken, *self._withheld]:
            if path not in paths:
                self._remove(path)
        for path, sealed in paths.items():
            self._put(path, sealed)
        self.version = version
        _log.info("route_table_loaded", plane=self._plane.name, version=version, routes=len(self._routes))

    async def run(self) -> None:
        """Follow the table for ever: announcements at once, missed ones within a heartbeat, lost connections anew."""
        is_away = False
        while True:
            try:
                async with self._redis.pubsub() as announcements:
                    await announcements.subscribe(keys.table_changed(self._plane.name))
                    await self.refresh()
                    is_away = False
                    await self._follow(announcements)
            except (RedisError, OSError, msgspec.MsgspecError) as error:
                # Away, out of memory, a forbidden command, a foreign announcement: nothing ends the following for good.
                if not is_away:
                    _log.warning("route_table_unreachable", plane=self._plane.name, error=type(error).__name__)
                is_away = True
                await asyncio.sleep(_RECONNECT_S * random.uniform(0.5, 1.5))

    async def _follow(self, announcements: PubSub) -> None:
        next_beat = 0.0
        while True:
            if (wait := next_beat - time.monotonic()) <= 0:
                await self._beat()
                next_beat = time.monotonic() + HEARTBEAT_S
                continue
            message: dict[str, Any] | None = await announcements.get_message(
                ignore_subscribe_messages=True, timeout=wait
            )
            if message is not None:
                await self._apply(msgspec.json.decode(message["data"], type=Change))

    async def _beat(self) -> None:
        plane = self._plane.name
        state = Heartbeat(version=self.version, broken=sorted(self._broken), redis=self._troubles())
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.set(keys.process(plane, self._process_id), msgspec.json.encode(state), ex=HEARTBEAT_LIFETIME_S)
            pipe.sadd(keys.processes(plane), self._process_id)
            pipe.hget(keys.table(plane), _VERSION)
            *_, stored = await pipe.execute()
        if stored is not None and int(stored) != self.version:
            await self.refresh()

    async def _apply(self, change: Change) -> None:
        if change.previous == self.version:
            await self._read_again(change.paths)
            self.version = change.version
        else:
            await self.refresh()
        await self._beat()

    async def _read_again(self, paths: list[RoutePath]) -> None:
        values = await self._redis.hmget(keys.table(self._plane.name), paths) if paths else []
        for path, sealed in zip(paths, values, strict=True):
            if sealed is None:
                self._remove(path)
            else:
                self._put(path, sealed)

    def _put(self, path: RoutePath, sealed: bytes) -> None:
        self._withheld.discard(path)
        try:
            opened = self._key.open(sealed, context=_context(self._plane.name, path))
            if opened == _WITHHELD:
                self._remove(path)
                self._withheld.add(path)
                return
            self._routes[path] = self._prepare(msgspec.msgpack.decode(opened, type=self._plane.entry))
            self._broken.discard(path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other routes must not suffer for it
            # Served no longer, but not denied either: the sender is told to come back.
            self._routes.pop(path, None)
            self._broken.add(path)
            said = str(error) if isinstance(error, Refused | msgspec.DecodeError) else type(error).__name__
            _log.error("route_unreadable", route=path, plane=self._plane.name, error=said)

    def _remove(self, path: RoutePath) -> None:
        self._routes.pop(path, None)
        self._broken.discard(path)
        self._withheld.discard(path)


async def table_version(redis: Redis, plane: Plane[Any]) -> int | None:
    """Read which version of a plane's table stands in Redis; None when there is none."""
    stored = await redis.hget(keys.table(plane.name), _VERSION)
    return None if stored is None else int(stored)


async def heartbeats(redis: Redis, plane: Plane[Any]) -> list[Heartbeat]:
    """Read what each live process of a plane says; the dead are forgotten on the way.

    A set names the processes, so that nobody has to search a database full of deliveries for them. What cannot be read
    says nothing: one odd process must not silence the others.
    """
    known = keys.processes(plane.name)
    members = sorted(await redis.smembers(known))
    names = [keys.process(plane.name, member.decode(errors="replace")) for member in members]
    states = await redis.mget(names) if names else []
    if dead := [member for member, state in zip(members, states, strict=True) if state is None]:
        await redis.srem(known, *dead)  # one that was only slow adds itself again with its next heartbeat
    return [beat for state in states if state is not None and (beat := _parse_heartbeat(state))]


def _parse_heartbeat(state: bytes) -> Heartbeat | None:
    try:
        return msgspec.json.decode(state, type=Heartbeat)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
