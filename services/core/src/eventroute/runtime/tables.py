"""The route table on its way through Redis: published by one, followed by every receiver and worker.

One hash per plane holds a sealed entry per route and the table's version. A publication is announced by pub/sub with
the routes it touches, so that a process applies a change at once and reads nothing else. A process that missed an
announcement sees the version differ at its next heartbeat, reads everything, and makes ready what differs.

A large publication is written in pieces. Until the last one, whoever reads finds entries newer than the version; the
announcement of that version names them, or names no route, and then everything is read again.

A deleted route leaves a tombstone: its name is neither served nor denied for a while, so that making it anew loses
nothing. Publishing and heartbeats work in a full Redis too. A table in memory outlives Redis and the publisher: it is
replaced, never forgotten.
"""

import asyncio
import gc
import hashlib
import math
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from eventroute import keys
from eventroute.errors import Refused, RetryLater
from eventroute.ids import RoutePath
from eventroute.route_table import Entry, Plane
from eventroute.runtime.pace import Pace
from eventroute.runtime.scripts import RedisAway, RedisForbids, Script, told
from eventroute.sealed import SealKey

HEARTBEAT_S: Final = 5.0
"""How often a process says which version it serves, and looks for one that it missed."""

HEARTBEAT_LIFETIME_S: Final = 15
"""A process that has not been heard of for so long does not count: three missed heartbeats."""

NAME_HELD_S: Final = 600
"""How long a deleted route's name is held: longer than deleting and making anew takes, by hand or by a pipeline."""

_VERSION: Final = "@version"  # no route path starts with "@"
_UNFINISHED: Final = "@unfinished"  # the mark of a publication in pieces that is under way, or was broken off
_RECONNECT_S: Final = 0.5  # mean pause between attempts while Redis is away; jittered, so that a fleet spreads out
_PUBLISH_ATTEMPTS: Final = 5  # two publishers at once are a mistake; that many collisions are a broken set-up
_AT_ONCE: Final = 64  # entries per read; some hundred kilobytes, which neither Redis nor a reader notices
_LASTING: Final = 32  # made ready at once, that are worth a step of the collector; arbitrary, and less than `_AT_ONCE`
_PIECE_BYTES: Final = 1 << 20  # per write: a millisecond of Redis
_NAMED_PATHS: Final = 10_000  # in one announcement; who changes more has everything read again

_PUBLISH: Final = Script(__package__ or "", "publish")
_BEAT: Final = Script(__package__ or "", "beat")

Route = TypeVar("Route")
_Item = tuple[RoutePath, bytes]

_log = structlog.get_logger()


class Change(msgspec.Struct, frozen=True):
    """An announcement: from which version to which, and the routes to read again."""

    previous: int
    """The version to which `paths` are the difference; 0, which nobody serves = read everything."""
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


class _Found(msgspec.Struct, frozen=True):
    """What a publisher finds before it writes."""

    version: int
    """0 = none."""
    mark: str
    """What a publication left that did not come to its end; empty = none."""
    now_ms: int
    """Redis' time."""


async def publish(
    redis: Redis,
    plane: Plane[Entry],
    entries: Mapping[RoutePath, Entry],
    key: SealKey,
    *,
    withheld: Collection[RoutePath] = (),
    unseen: Collection[str] = (),
    name_held_s: int = NAME_HELD_S,
) -> int:
    """Make `entries` the plane's table, writing only what differs.

    withheld     routes that exist and cannot be served now: no process denies them, and what is queued for them waits
    unseen       namespaces of which nothing is known: what the table holds of them stays
    name_held_s  how long a route that is in neither keeps its name, from the publication that finds it gone
    returns      the table's version, unchanged when nothing differed; versions grow, also after Redis lost its data
    raises       `RetryLater` when another publisher keeps interfering; Redis' own errors when it is away
    """
    wanted: dict[RoutePath, Entry | None] = {**dict.fromkeys(withheld), **entries}
    for _ in range(_PUBLISH_ATTEMPTS):
        found = await _find(redis, plane.name)
        items = await _difference(
            redis, plane.name, wanted, key, unseen=unseen, now_ms=found.now_ms, name_held_s=name_held_s
        )
        if found.version and not items and not found.mark:
            return found.version
        # Clock time rather than a counter: after Redis lost its data, no process may take a new table for its old one.
        version = max(found.version + 1, found.now_ms)
        if await _write(redis, plane.name, items, found=found, version=version):
            return version
    raise RetryLater(f"table {plane.name}: another publisher keeps changing it")


async def read_entry(redis: Redis, plane: Plane[Entry], path: RoutePath, key: SealKey) -> Entry | None:
    """Read a route as its table has it; None = it is not there, is withheld, was deleted, or cannot be read."""
    content = _opened(key, plane.name, path, await redis.hget(keys.table(plane.name), path))
    try:
        return None if content is None else msgspec.msgpack.decode(content, type=plane.entry)
    except msgspec.MsgspecError:
        return None


async def _find(redis: Redis, plane: str) -> _Found:
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(keys.table(plane), _VERSION, _UNFINISHED)
        pipe.time()
        (version, mark), (seconds, microseconds) = await pipe.execute()
    return _Found(int(version or 0), (mark or b"").decode(), seconds * 1000 + microseconds // 1000)


async def _difference(
    redis: Redis,
    plane: str,
    wanted: Mapping[RoutePath, Any],
    key: SealKey,
    *,
    unseen: Collection[str],
    now_ms: int,
    name_held_s: int,
) -> list[_Item]:
    """List the entries to write, sealed, and those to remove, empty."""
    pace = Pace()
    present = {path: sealed async for piece in _scan(redis, plane) for path, sealed in piece}
    items: list[_Item] = []

    def put(path: RoutePath, content: bytes) -> None:
        items.append((path, key.seal(content, context=_context(plane, path))))

    for path, entry in wanted.items():
        content = msgspec.msgpack.encode(entry)
        if _opened(key, plane, path, present.get(path)) != content:
            put(path, content)
        await pace.give_way()
    for path in present.keys() - wanted.keys():
        if path.partition("/")[0] not in unseen:
            deleted_ms = _deleted_ms(_opened(key, plane, path, present[path]))
            if deleted_ms is None or deleted_ms > now_ms:
                put(path, msgspec.msgpack.encode(now_ms))
            elif now_ms - deleted_ms >= name_held_s * 1000:
                items.append((path, b""))
        await pace.give_way()
    return items


async def _write(redis: Redis, plane: str, items: Sequence[_Item], *, found: _Found, version: int) -> bool:
    """Write a publication; returns False when another publisher came between."""
    paths = [path for path, _ in items]
    is_named = not found.mark and len(paths) <= _NAMED_PATHS
    change = Change(found.version if is_named else 0, version, paths if is_named else [])
    announcement = msgspec.json.encode(change)
    mark = found.mark
    *pieces, last = _pieces(items)
    for number, piece in enumerate([*pieces, last]):
        left = uuid.uuid4().hex if number < len(pieces) else ""
        arguments = [found.version, mark, left, version, keys.table_changed(plane), announcement]
        entries = [part for item in piece for part in item]
        if not await redis.eval(_PUBLISH.source, 1, keys.table(plane), *arguments, *entries):
            return False
        mark = left
    return True


def _pieces(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    """Cut a publication into pieces that Redis takes at once; there is always one, if with nothing in it."""
    piece: list[_Item] = []
    size = 0
    for path, sealed in items:
        more = len(path) + len(sealed)
        if piece and size + more > _PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append((path, sealed))
        size += more
    yield piece


async def _scan(redis: Redis, plane: str) -> AsyncIterator[list[_Item]]:
    """Read the entries of a table piece by piece; one that changes meanwhile comes as it was, as it is, or twice."""
    cursor: int | None = None
    while cursor != 0:
        cursor, fields = await redis.hscan(keys.table(plane), cursor or 0, count=_AT_ONCE)
        yield [(RoutePath(field.decode()), sealed) for field, sealed in fields.items() if not field.startswith(b"@")]


def _opened(key: SealKey, plane: str, path: RoutePath, sealed: bytes | None) -> bytes | None:
    try:
        return None if sealed is None else key.open(sealed, context=_context(plane, path))
    except Refused:
        return None  # sealed with an older key: write it anew


def _deleted_ms(content: bytes | None) -> int | None:
    """Read the time in a tombstone; None when it is none."""
    try:
        return None if content is None else msgspec.msgpack.decode(content, type=int)
    except msgspec.MsgspecError:
        return None


def _context(plane: str, path: RoutePath) -> str:
    return f"table {plane}: route {path}"


def _spare_from_collection() -> None:
    """Let the garbage collector look no more at what has just been made ready.

    Else each of its full rounds would go through every expression and template of every route, in one go: 0.2 s at
    2,000 routes. What is replaced is freed all the same, as nothing of it refers to itself.
    """
    gc.collect(1)  # what is young and dead, as parsing leaves it, would stay for ever, and hold on to what it parsed
    gc.freeze()


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
        on_change: Callable[[Collection[RoutePath]], None] = lambda _: None,
        troubles: Callable[[], list[str]] = list,
    ) -> None:
        """Start cold; `refresh` or `run` fill the table.

        prepare    turns an entry into what the program works with; an entry that it refuses is `broken`, the others
                   serve
        on_change  told which routes came, went or changed, once per change of the table and after all are in service
        troubles   what is wrong with Redis, to be told with each heartbeat
        """
        self.version: int | None = None
        """The version served; None while cold."""
        self._redis = redis
        self._plane: Plane[Any] = plane
        self._content: Any = plane.entry | int | None  # an entry, when the route was deleted, or: withheld
        self._key = key
        self._process_id = process_id
        self._prepare: Callable[[Any], Route] = prepare
        self._troubles = troubles
        self._on_change = on_change
        self._routes: dict[RoutePath, Route] = {}
        self._broken: set[RoutePath] = set()
        self._withheld: set[RoutePath] = set()
        self._deleted: dict[RoutePath, int] = {}
        self._digests: dict[RoutePath, bytes] = {}  # of every sealed entry in service: the same one needs no work again
        self._changing = asyncio.Lock()  # a change that was read before another must not be applied after it
        self._changed: set[RoutePath] = set()  # and not told yet
        self._next_beat = math.inf

    def get(self, path: RoutePath) -> Route | None:
        """Find a route."""
        return self._routes.get(path)

    def all(self) -> Collection[Route]:
        """Return the routes that are served."""
        return self._routes.values()

    def is_broken(self, path: RoutePath) -> bool:
        """Tell whether this process knows of a route and cannot serve it, so that nobody denies it.

        It cannot be read, is withheld, or was deleted a short while ago.
        """
        return path in self._broken or path in self._withheld or path in self._deleted

    def deleted_since(self, path: RoutePath) -> int | None:
        """Tell when a route was deleted, Unix ms of Redis; None when it was not, or so long ago that it is unknown."""
        return self._deleted.get(path)

    async def refresh(self) -> None:
        """Read the table, unless its version is the one served; who asks meanwhile waits for that and reads no more.

        raises  `RedisAway` or `RedisForbids`; what is served stays
        """
        async with self._changing:
            try:
                await self._refresh()
            except (RedisError, OSError) as error:
                raise told(error) from error
            finally:
                self._tell()

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
            except (RedisError, OSError, RedisAway, RedisForbids, msgspec.MsgspecError) as error:
                # Away, out of memory, a forbidden command, a foreign announcement: nothing ends the following for good.
                if not is_away:
                    _log.warning("route_table_unreachable", plane=self._plane.name, error=type(error).__name__)
                is_away = True
                await asyncio.sleep(_RECONNECT_S * random.uniform(0.5, 1.5))

    async def _follow(self, announcements: PubSub) -> None:
        self._next_beat = 0.0
        while True:
            if (wait := self._next_beat - time.monotonic()) <= 0:
                if await self._beat() not in {None, self.version}:
                    await self.refresh()
                continue
            message: dict[str, Any] | None = await announcements.get_message(
                ignore_subscribe_messages=True, timeout=wait
            )
            if message is not None:
                await self._apply(msgspec.json.decode(message["data"], type=Change))
                await self._beat()

    async def _beat(self) -> int | None:
        """Say what is served; returns the version that stands in Redis."""
        plane = self._plane.name
        state = Heartbeat(version=self.version, broken=sorted(self._broken), redis=self._troubles())
        names = [keys.process(plane, self._process_id), keys.processes(plane)]
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.eval(
                _BEAT.source, len(names), *names, msgspec.json.encode(state), self._process_id, HEARTBEAT_LIFETIME_S
            )
            pipe.hget(keys.table(plane), _VERSION)
            _, stored = await pipe.execute()
        self._next_beat = time.monotonic() + HEARTBEAT_S
        return None if stored is None else int(stored)

    async def _apply(self, change: Change) -> None:
        async with self._changing:
            try:
                if change.previous != self.version:
                    await self._refresh()
                elif await self._read_again(change.paths):
                    self.version = change.version
            finally:
                self._tell()

    async def _refresh(self) -> None:
        # What is read from here on is at least as new as this version; of what is newer, its own announcement tells.
        version = await table_version(self._redis, self._plane)
        if version is None or version == self.version:
            return
        unseen = set(self._digests)
        async for piece in _scan(self._redis, self._plane.name):
            await self._put(piece)
            unseen.difference_update(path for path, _ in piece)
        if not await self._read_again(list(unseen)):
            return
        self.version = version
        _log.info("route_table_loaded", plane=self._plane.name, version=version, routes=len(self._routes))

    async def _read_again(self, paths: Sequence[RoutePath]) -> bool:
        """Read these routes, which may be gone; returns False when the table is gone: then what is served stays."""
        for begin in range(0, len(paths), _AT_ONCE):
            wanted = paths[begin : begin + _AT_ONCE]
            version, *values = await self._redis.hmget(keys.table(self._plane.name), _VERSION, *wanted)
            if version is None:
                return False
            await self._put(zip(wanted, values, strict=True))
        return True

    async def _put(self, piece: Iterable[tuple[RoutePath, bytes | None]]) -> None:
        pace, made = Pace(), 0
        for path, sealed in piece:
            if sealed is None:
                if self._digests.pop(path, None):
                    self._forget(path)
                    self._changed.add(path)
            elif (digest := hashlib.blake2b(sealed, digest_size=16).digest()) != self._digests.get(path):
                self._serve(path, sealed)
                self._digests[path] = digest
                self._changed.add(path)
                made += 1
            await pace.give_way()
        if made >= _LASTING:
            _spare_from_collection()
        if time.monotonic() >= self._next_beat:  # much to make ready takes longer than a heartbeat lives
            await self._beat()

    def _serve(self, path: RoutePath, sealed: bytes) -> None:
        try:
            opened = self._key.open(sealed, context=_context(self._plane.name, path))
            content = msgspec.msgpack.decode(opened, type=self._content)
            route = self._prepare(content) if isinstance(content, self._plane.entry) else None
        except Exception as error:  # noqa: BLE001 - whatever it is, the other routes must not suffer for it
            # Served no longer, but not denied either: the sender is told to come back.
            self._forget(path)
            self._broken.add(path)
            said = str(error) if isinstance(error, Refused | msgspec.DecodeError) else type(error).__name__
            _log.error("route_unreadable", route=path, plane=self._plane.name, error=said)
            return
        self._forget(path)
        if route is not None:
            self._routes[path] = route
        elif isinstance(content, int):
            self._deleted[path] = content
        else:
            self._withheld.add(path)

    def _forget(self, path: RoutePath) -> None:
        self._routes.pop(path, None)
        self._broken.discard(path)
        self._withheld.discard(path)
        self._deleted.pop(path, None)

    def _tell(self) -> None:
        changed, self._changed = self._changed, set()
        if changed:
            self._on_change(changed)


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
