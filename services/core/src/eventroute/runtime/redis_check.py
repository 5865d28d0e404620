"""A look at Redis itself: whether it keeps what is put into it, is new enough, and lets us do what we have to.

What is wrong stops no program: most deliveries may still come through, and whoever looks after Redis is not whoever
restarts us. It is logged when it begins and when it is over, a metric says so, and it is told with the heartbeat, so
that the operator can write it where people look.

In a cluster this is the server of the first group; the others are taken to be set up alike.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import structlog
from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.scripts import Argument, ClientCaller, RedisAway, RedisForbids, Script, told

LOOK_S: Final = 60.0
"""How often to look: people change a server by hand, and rarely."""

_AWAY_S: Final = 2.0  # until the next look when Redis is away; arbitrary
_RIGHTS_TOLD: Final = 3  # of what is not allowed; whoever reads of it writes all rules anew. Arbitrary
_VERSION_CHARS: Final = 20  # of what a server says of itself
_SCRIPT: Final = Script(__package__ or "", "rights")
_OLDEST: Final = {"redis_version": 7, "valkey_version": 8}
"""Fields of INFO, and the oldest major version that is tested and has what the scripts and access rules need."""


class RedisTrouble(StrEnum):
    """What may be wrong with a server that answers."""

    EVICTION = "eviction"
    VERSION = "version"
    RIGHTS = "rights"


TROUBLE: Final = Gauge(
    "eventroute_redis_trouble",
    "1 while Redis answers and is not as it has to be, by what is wrong",
    ["trouble"],
    registry=REGISTRY,
)

_log = structlog.get_logger()


class RedisCheck:
    """Looks at Redis for as long as a program runs."""

    def __init__(self, redis: Redis, *, prefix: str, rights: Iterable[tuple[str, Sequence[str]]] = ()) -> None:
        """Take a client, and what is to be allowed.

        prefix  what scripts declare as their key
        rights  how to call each right when it is missing, and a command that needs it
        """
        self._redis = redis
        self._call = ClientCaller(redis)
        self._prefix = prefix
        self._rights = list(rights)
        self._found: Mapping[RedisTrouble, str] = {}

    def troubles(self) -> list[str]:
        """Say what was wrong when Redis was looked at last, in words that do not change while it stays so."""
        return [self._found[each] for each in RedisTrouble if each in self._found]

    async def run(self) -> None:
        """Look for ever. What is known stays known while Redis is away."""
        for trouble in RedisTrouble:
            TROUBLE.labels(trouble).set(trouble in self._found)
        while True:
            try:
                await self.look()
            except RedisAway:  # others tell of that
                await asyncio.sleep(_AWAY_S)
            else:
                await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Look once; raises `RedisAway`."""
        server, memory = await self._info("server"), await self._info("memory")
        missing = ["+info"] if server is None or memory is None else []
        missing += await self._missing_rights()
        found = {
            RedisTrouble.EVICTION: _eviction(memory or {}),
            RedisTrouble.VERSION: _version(server or {}),
            RedisTrouble.RIGHTS: _rights(missing),
        }
        self._tell({trouble: words for trouble, words in found.items() if words})

    def _tell(self, found: Mapping[RedisTrouble, str]) -> None:
        for trouble in RedisTrouble:
            before, now = self._found.get(trouble), found.get(trouble)
            if now and now != before:
                _log.error("redis_trouble", trouble=trouble, detail=now)
            elif before and not now:
                _log.info("redis_trouble_over", trouble=trouble)
            TROUBLE.labels(trouble).set(bool(now))
        self._found = found

    async def _info(self, section: str) -> dict[str, Any] | None:
        """Read a section of INFO, empty where the server has none; None when we may not."""
        try:
            return dict(await self._redis.info(section))
        except (RedisError, OSError) as error:
            return None if _is_forbidden(told(error)) else {}

    async def _missing_rights(self) -> list[str]:
        args: list[Argument] = []
        for _, words in self._rights:
            args += (len(words), *words)
        try:
            refused: list[int] = await self._call(_SCRIPT, self._prefix, args)
        except (RedisAway, RedisForbids) as error:
            return ["+eval"] if _is_forbidden(error) else []
        return list(dict.fromkeys(self._rights[number - 1][0] for number in refused))


def _is_forbidden(error: RedisAway | RedisForbids) -> bool:
    """Tell whether it is for want of rights, and not because a server knows no such thing; raises `RedisAway`."""
    if isinstance(error, RedisAway):
        raise error
    return error.word == "NOPERM"


def _eviction(memory: Mapping[str, Any]) -> str:
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or not memory.get("maxmemory"):  # without a limit nothing is evicted
        return ""
    return f"maxmemory-policy is {policy}, by which a full Redis drops what is queued: it has to be noeviction"


def _version(server: Mapping[str, Any]) -> str:
    for field in ("valkey_version", "redis_version"):  # a Valkey has both; the other one is the Redis that it follows
        if version := str(server.get(field, ""))[:_VERSION_CHARS]:
            major, _, _ = version.partition(".")
            name = field.partition("_")[0].capitalize()
            is_old = major.isdigit() and int(major) < _OLDEST[field]
            return f"{name} {version} is too old: {_OLDEST[field]} is the oldest that is supported" if is_old else ""
    return ""


def _rights(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    more = f" and {len(missing) - _RIGHTS_TOLD} more" if len(missing) > _RIGHTS_TOLD else ""
    return f"access rules lack {', '.join(missing[:_RIGHTS_TOLD])}{more}"
