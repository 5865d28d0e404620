"""Lua scripts on their way to Redis: one form of them, one way of calling, and one reading of what Redis answers.

A script is called by its digest, and sent whole when the server does not know it (any more). Whatever goes wrong comes
out as one of two errors, told apart by the first word of what Redis said and never by its further wording:

    RedisAway       not now: no connection, no answer in time, starting, read-only, without replicas, full, …; the call
                    may have been carried out when the reply got lost, so every script is written to be repeated
    RedisForbids    never: no such right, a wrong type, a fault of the script; somebody has to mend something
"""

import hashlib
import re
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - as redis-py calls it
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004 - as redis-py calls it
)

from eventroute.errors import GaveUp, RetryLater

Argument = bytes | str | int | float

NOT_NOW: Final = frozenset(
    {
        "LOADING",  # reads its data from disk
        "READONLY",  # a replica, or a primary that was demoted
        "NOREPLICAS",  # fewer replicas than min-replicas-to-write
        "MISCONF",  # cannot write its data to disk
        "BUSY",  # runs somebody's slow script
        "MASTERDOWN",  # a replica without its primary
        "CLUSTERDOWN",  # a part of the cluster has no primary
        "TRYAGAIN",  # a slot moves
        "MOVED",  # the same; the client layer has looked up where to
        "ASK",
        "OOM",  # full
        "UNBLOCKED",  # a blocking read on a server that has been demoted
        "UNKILLABLE",
        "FAILOVER",
    }
)
"""First words of errors that end by themselves, or by what an operator does for Redis, not for us."""

_PART: Final = re.compile(r"^(?=local )", re.MULTILINE)
_DECLARED: Final = re.compile(r"local (?:function (?=\w))?(\w+(?:, \w+)*)")
_COMMENT: Final = re.compile(r"--.*")
_NAME: Final = re.compile(r"\w+")

LOST: Final = "LOST"
"""Stands for a first word where no reply came."""

_WORDS: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (BusyLoadingError, "LOADING"),
    (ReadOnlyError, "READONLY"),
    (OutOfMemoryError, "OOM"),
    (NoPermissionError, "NOPERM"),
    (AuthenticationError, "NOAUTH"),
    (NoScriptError, "NOSCRIPT"),
    (ConnectionError, LOST),
    (TimeoutError, LOST),
)
"""redis-py turns some first words into classes, and takes the word away."""


class RedisAway(RetryLater):
    """Redis cannot do it now; `word` is the first of what it said, or `LOST`."""

    def __init__(self, word: str, message: str) -> None:
        """Take the word and all that Redis said."""
        super().__init__(message)
        self.word = word


class RedisForbids(GaveUp):
    """Redis will not do it, now or later; `word` is the first of what it said."""

    def __init__(self, word: str, message: str) -> None:
        """Take the word and all that Redis said."""
        super().__init__(message)
        self.word = word


class Script:
    """One Lua file of a package, and what it shares with others in front of it."""

    def __init__(self, package: str, name: str, *, shared: str | None = None) -> None:
        """Read `lua/<name>.lua`; its first line, which the server reads, stays the first."""
        folder = files(package).joinpath("lua")
        first, _, rest = folder.joinpath(f"{name}.lua").read_text(encoding="utf-8").partition("\n")
        library = folder.joinpath(f"{shared}.lua").read_text(encoding="utf-8") if shared else ""
        self.name = name
        self.source = f"{first}\n{_needed(library, rest)}{rest}".encode()
        self.sha = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()


def _needed(library: str, script: str) -> str:
    """Take of a library what a script uses, itself or through what it uses: every call would make all of it anew.

    Each top-level `local` of the library is a part, and uses only parts before it.
    """
    kept: list[str] = []
    used = set(_NAME.findall(_COMMENT.sub("", script)))
    for part in reversed(_PART.split(library)):
        declared = _DECLARED.match(part)
        if declared and used.isdisjoint(_NAME.findall(declared[1])):
            continue
        kept.append(part)
        used.update(_NAME.findall(_COMMENT.sub("", part)))
    return "".join(reversed(kept))


class Caller(Protocol):
    """Whatever can call a script."""

    def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Awaitable[Any]:
        """Call it with its one key; raises `RedisAway` or `RedisForbids`."""
        ...


def refused(word: str, message: str) -> RedisAway | RedisForbids:
    """Turn what Redis said into one of the two errors."""
    return RedisAway(word, message) if word in NOT_NOW or word == LOST else RedisForbids(word, message)


def told(error: RedisError | OSError) -> RedisAway | RedisForbids:
    """Turn an error of redis-py into one of the two."""
    for kind, word in _WORDS:
        if isinstance(error, kind):
            return refused(word, f"{word} {error}" if word != LOST else str(error) or "no answer")
    if isinstance(error, OSError):
        return RedisAway(LOST, str(error) or type(error).__name__)
    word, _, _ = str(error).partition(" ")
    return refused(word, str(error))


class ClientCaller:
    """Calls scripts through a redis-py client."""

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._redis = redis

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        """Call a script: one round trip, or two when the server has to be told the source first."""
        try:
            try:
                return await self._redis.evalsha(script.sha, 1, key, *args)
            except NoScriptError:
                return await self._redis.eval(script.source, 1, key, *args)
        except (RedisError, OSError) as error:
            raise told(error) from error
