"""Models that go away or are gone, as Claude's API says: workers ask it and write it down, the operator tells of it."""

import datetime as dt
from collections.abc import Mapping

import msgspec
from redis.asyncio import Redis

from eventroute import keys


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the API says of a model that is no longer active."""

    is_retired: bool = False
    """It answers no more. A date that has passed does not say so: a retirement may be overdue."""
    retires: dt.date | None = None
    """The day of its retirement; None = not announced."""


Notices = Mapping[str, Notice]
"""By the model's name."""


async def write_notices(redis: Redis, notices: Notices) -> None:
    """Replace what is written; raises `RedisError`."""
    await redis.set(keys.notices(), msgspec.json.encode(notices))


async def read_notices(redis: Redis) -> dict[str, Notice]:
    """Read what was written last, nothing where it is unreadable; raises `RedisError`."""
    written: bytes | None = await redis.get(keys.notices())
    try:
        return msgspec.json.decode(written, type=dict[str, Notice]) if written else {}
    except msgspec.DecodeError:
        return {}
