"""Calls to the throttle, and what they are told and tell."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from eventroute.ids import DeliveryId
from eventroute.runtime.scripts import Argument, Caller
from eventroute.throttle import scripts
from eventroute.throttle.keys import PREFIX

MOST_CALLS: Final = 100
"""Calls under way at once per bucket where nothing else is said; arbitrary."""


def bucket_name(key_id: str, pool: str) -> str:
    """Name the bucket of a key and a pool of models."""
    return f"{key_id}:{pool}"


class Size(NamedTuple):
    """How large a call is, as far as that is known before it."""

    prompt_bytes: int
    max_output: int
    """Most tokens of its answer."""


class Asked(NamedTuple):
    """A delivery that waits for a place."""

    delivery: DeliveryId
    size: Size


class Refused(NamedTuple):
    """No place now."""

    until_ms: int
    """The earliest time at which there may be one, Unix ms by Redis' clock."""


class Granted(NamedTuple):
    """What those that wait were given."""

    places: int
    """The first so many have one."""
    next_ms: int
    """From when it is worth asking for the next one, Unix ms by Redis' clock."""


class Quota(NamedTuple):
    """What the API says of one limit."""

    max: int
    """What a minute allows."""
    left: int


class Told(NamedTuple):
    """What the headers of an answer say of the limits; None where they say nothing."""

    requests: Quota | None = None
    input: Quota | None = None
    output: Quota | None = None


UNTOLD: Final = Told()
"""Of an answer that says nothing, or of none at all."""


class Spent(NamedTuple):
    """Tokens that a call has used."""

    prompt: int
    """All of the prompt."""
    counted: int
    """What of it counts against the limit: not what came from the cache."""
    output: int


class End(StrEnum):
    """How a call ended, as far as the throttle cares."""

    ANSWERED = "answered"
    LIMITED = "limited"
    """429."""
    OVERLOADED = "overloaded"
    """529."""
    FAILED = "failed"
    """In any other way."""
    UNUSED = "unused"
    """Nobody was asked."""


class Figures(NamedTuple):
    """How a bucket stands."""

    free: int
    """Usual calls that the API would take now, as far as that is known."""
    under_way: int
    limit: float
    """Calls that may be under way at once."""
    blocked_ms: int
    """Until when nobody may ask, Unix ms; 0 = anybody may."""
    requests_left: float | None
    requests_max: float | None
    """Of a minute; None = not known."""


class Throttle:
    """The calls. All raise `RedisAway` or `RedisForbids`."""

    def __init__(self, call: Caller, *, most_calls: int = MOST_CALLS) -> None:
        """Take what calls scripts, and how many calls may be under way per bucket, however well it goes."""
        self._call = call
        self._most = most_calls

    async def enter(
        self, bucket: str, delivery: DeliveryId, *, fence: int, size: Size, lasts_ms: int
    ) -> Refused | None:
        """Take a place for a call; None = it may be made now, and must be over in `lasts_ms`."""
        args: list[Argument] = [bucket, delivery, fence, *size, lasts_ms, self._most]
        may_ask, *until = await self._call(scripts.ENTER, PREFIX, args)
        return None if may_ask else Refused(int(until[0]))

    async def grant(self, bucket: str, waiting: Sequence[Asked], *, has_more: bool) -> Granted:
        """Grant places to the first of these that may go now; `has_more` when others wait behind them."""
        args: list[Argument] = [bucket, int(has_more), self._most]
        for each in waiting:
            args += [each.delivery, *each.size]
        count, next_ms = await self._call(scripts.GRANT, PREFIX, args)
        return Granted(int(count), int(next_ms))

    async def leave(
        self,
        bucket: str,
        delivery: DeliveryId,
        *,
        fence: int,
        end: End,
        told: Told = UNTOLD,
        spent: Spent | None = None,
        after_s: float | None = None,
    ) -> bool:
        """Give a place back; returns whether others wait for one.

        after_s  the least time before the next call that the API named
        """
        after = "" if after_s is None else int(after_s * 1000)
        quotas = [figure for quota in told for figure in (quota or ("", ""))]
        return await self._leave(bucket, delivery, fence, end, after, *(spent or ("", "", "")), *quotas)

    async def give_up(self, bucket: str, delivery: DeliveryId) -> bool:
        """Give a place back that was granted and whose call does not begin; returns whether others wait for one."""
        return await self._leave(bucket, delivery, "", End.UNUSED, *[""] * 10)

    async def _leave(self, *args: Argument) -> bool:
        return bool(await self._call(scripts.LEAVE, PREFIX, [*args, self._most]))

    async def figures(self, buckets: Iterable[str]) -> dict[str, Figures]:
        """Read how buckets stand, but for those that nobody has asked in a day."""
        return await figures(self._call, buckets)


async def figures(call: Caller, buckets: Iterable[str]) -> dict[str, Figures]:
    """Read how buckets stand; raises `RedisAway` or `RedisForbids`."""
    names = list(buckets)
    if not names:
        return {}
    found = await call(scripts.FIGURES, PREFIX, names)
    return {
        name: Figures(int(free), int(busy), float(limit), int(blocked), _optional(left), _optional(most))
        for name, (free, busy, limit, blocked, left, most) in (
            (name, each) for name, each in zip(names, found, strict=True) if each is not None
        )
    }


def _optional(value: bytes) -> float | None:
    return float(value) if value else None
