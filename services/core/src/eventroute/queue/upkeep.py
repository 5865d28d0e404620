"""Keeping the queue in order: routes and causes that are held or mended, retention, room in a Redis that fills up."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.ids import RoutePath
from eventroute.queue import scripts
from eventroute.queue.keys import FIRST, Group
from eventroute.queue.load import Load, read_load
from eventroute.queue.work import Trouble
from eventroute.runtime.scripts import Caller, told
from eventroute.throttle import Figures, figures


class HoldReason(StrEnum):
    """Why a route takes no turns."""

    WITHHELD = "withheld"
    """It exists, and cannot be served."""
    DELETED = "deleted"
    SUSPENDED = "suspended"
    """Its owner lets nothing start."""
    GONE = "gone"
    """Of what is to be sent to a sink: the service wants no more."""


class Held(msgspec.Struct, frozen=True):
    """Since when and why a route takes no turns."""

    reason: str
    """A `HoldReason`, or what another version calls it."""
    detail: str
    since: int
    """Unix milliseconds."""
    generation: int = 0
    """Of the route as it was written then; 0 where that does not matter."""


class Limit(NamedTuple):
    """How many of a route's deliveries may run beside each other."""

    most: int = 0
    """0 = any number."""
    holds_lanes: bool = False
    """A dead letter holds its lane until it is replayed or discarded."""


class Stop(NamedTuple):
    """Whether somebody has stopped the installation. Times are Unix milliseconds by Redis' clock, 0 = never."""

    since_ms: int = 0
    by: str = ""
    reason: str = ""
    started_ms: int = 0
    """When the last stop ended."""
    started_by: str = ""

    @property
    def is_standing(self) -> bool:
        """Whether nothing may be taken now."""
        return bool(self.since_ms)


class Standing(NamedTuple):
    """A trouble for which deliveries are parked."""

    trouble: Trouble
    waiting: int
    by_route: Mapping[RoutePath, int]


class Upkeep:
    """Calls that concern no single delivery. All raise `RedisAway` or `RedisForbids`."""

    def __init__(self, redis: Redis, call: Caller) -> None:
        """Take a client for what is only read, and what calls scripts."""
        self._redis = redis
        self._call = call

    async def load(self, group: Group) -> Load:
        """Count what is queued."""
        return await read_load({group: self._call})

    async def waiting(self, group: Group) -> dict[str, int]:
        """Count what waits for each bucket of the throttle."""
        found = (await self._call(scripts.LOAD, group.prefix, []))[8:]
        return {bucket.decode(): int(count) for bucket, count, *_ in found if count}

    async def buckets(self, names: Iterable[str]) -> dict[str, Figures]:
        """Read how buckets of the throttle stand."""
        return await figures(self._call, names)

    async def hold(self, group: Group, path: RoutePath, reason: str, detail: str = "", *, generation: int = 0) -> bool:
        """Hold a route; returns whether that is news."""
        return bool(await self._call(scripts.HOLD, group.prefix, [path, reason, detail, generation]))

    async def release(self, group: Group, paths: Sequence[RoutePath]) -> int:
        """Let routes take turns again; returns how many were held."""
        return int(await self._call(scripts.RELEASE, group.prefix, [*paths])) if paths else 0

    async def limits(self, group: Group) -> dict[RoutePath, Limit]:
        """Read how many of each route's deliveries may run beside each other, of those where not any number may."""
        try:
            most: dict[bytes, bytes] = await self._redis.hgetall(group.limits)
            strict: set[bytes] = await self._redis.smembers(group.strict)
        except (RedisError, OSError) as error:
            raise told(error) from error
        return {
            RoutePath(path.decode()): Limit(int(most.get(path, 0)), holds_lanes=path in strict)
            for path in most.keys() | strict
        }

    async def limit(self, group: Group, limits: Mapping[RoutePath, Limit]) -> None:
        """Say how many of routes' deliveries may run beside each other."""
        args = [each for path, limit in limits.items() for each in (path, limit.most, int(limit.holds_lanes))]
        if args:
            await self._call(scripts.LIMIT, group.prefix, args)

    async def forsake(self, group: Group, path: RoutePath, *, after_ms: int, count: int) -> int:
        """Bury what a deleted route has left behind; returns how much, -1 when it is not time."""
        return int(await self._call(scripts.FORSAKE, group.prefix, [path, after_ms, count]))

    async def unpark(self, group: Group, cause: str, *, count: int) -> int:
        """Make parked deliveries of a mended cause ready; returns how many still wait."""
        _, left = await self._call(scripts.UNPARK, group.prefix, [cause, count, ""])
        return int(left)

    async def probe(self, group: Group, cause: str, *, every_ms: int) -> bool:
        """Send one parked delivery to see whether a trouble still stands, unless that was done lately."""
        sent, _ = await self._call(scripts.UNPARK, group.prefix, [cause, 1, every_ms])
        return bool(sent)

    async def keep(
        self, group: Group, *, worker: str, for_ms: int, cursor: int, routes: int, count: int
    ) -> tuple[int, int] | None:
        """Do a part of the upkeep, unless another worker does it; returns the next cursor and how much was shed."""
        found = await self._call(scripts.KEEP, group.prefix, [worker, for_ms, cursor, routes, count])
        return None if found is None else (int(found[0]), int(found[1]))

    async def relieve(self, group: Group, path: RoutePath, kind: str, *, older_ms: int, count: int) -> int:
        """Drop what a route keeps of what has ended before its time; returns how much."""
        return int(await self._call(scripts.RELIEVE, group.prefix, [path, kind, older_ms, count]))

    async def held(self, group: Group) -> dict[RoutePath, Held]:
        """List the routes that are held."""
        try:
            found: dict[bytes, bytes] = await self._redis.hgetall(group.held)
        except (RedisError, OSError) as error:
            raise told(error) from error
        return {RoutePath(path.decode()): msgspec.json.decode(said, type=Held) for path, said in found.items()}

    async def standing(self, group: Group) -> list[Standing]:
        """List the standing troubles."""
        try:
            causes: dict[bytes, bytes] = await self._redis.hgetall(group.causes)
            troubles = [msgspec.json.decode(said, type=Trouble) for said in causes.values()]
            counts = await asyncio.gather(
                *(self._redis.zcard(group.parked(trouble.cause)) for trouble in troubles),
                *(self._redis.hgetall(group.parked_of(trouble.cause)) for trouble in troubles),
            )
        except (RedisError, OSError) as error:
            raise told(error) from error
        return [
            Standing(trouble, waiting, {RoutePath(path.decode()): int(count) for path, count in of.items()})
            for trouble, waiting, of in zip(troubles, counts, counts[len(troubles) :], strict=False)
        ]

    async def read_stop(self) -> Stop:
        """Read whether the installation is stopped: its first group says so for all."""
        try:
            found: dict[bytes, bytes] = await self._redis.hgetall(FIRST.stop)
        except (RedisError, OSError) as error:
            raise told(error) from error
        said = {name.decode(): value.decode(errors="replace") for name, value in found.items()}
        return Stop(
            int(said.get("since", 0)),
            said.get("by", ""),
            said.get("reason", ""),
            int(said.get("started", 0)),
            said.get("started_by", ""),
        )

    async def take_warnings(self, group: Group) -> dict[str, int]:
        """Name the budgets that are nearly spent, and when their periods end, Unix milliseconds; once a period."""
        try:
            scopes = [scope.decode() for scope in await self._redis.smembers(group.budgets)]
            found = await asyncio.gather(
                *(self._redis.hmget(group.budget(scope), "warned", "told", "ends") for scope in scopes)
            )
            untold = {
                scope: int(ends)
                for scope, (warned, was_told, ends) in zip(scopes, found, strict=True)
                if warned and ends and not was_told
            }
            taken = [scope for scope in untold if await self._redis.hsetnx(group.budget(scope), "told", 1)]
        except (RedisError, OSError) as error:
            raise told(error) from error
        return {scope: untold[scope] for scope in taken}

    async def routes(self, group: Group) -> list[RoutePath]:
        """List the routes that ever had a delivery."""
        try:
            return [RoutePath(path.decode()) for path in await self._redis.smembers(group.routes)]
        except (RedisError, OSError) as error:
            raise told(error) from error

    async def memory(self, group: Group) -> tuple[int, int]:
        """Read how many bytes of memory the group's server uses, and how many it may; 0 = any."""
        used, most = await self._call(scripts.MEMORY, group.prefix, [])
        return int(used), int(most)
