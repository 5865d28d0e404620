"""Waiting for a Redis that is away, and for nothing else, with what is too dear to lose."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from eventroute.runtime.scripts import RedisAway

_PATIENCE_S: Final = 60.0  # an answer has been paid for: worth waiting for a Redis that restarts
_PAUSE_S: Final = 0.5

_T = TypeVar("_T")


async def patiently(call: Callable[[], Awaitable[_T]]) -> _T:
    """Call until Redis takes it, and return what it says; a cancellation comes after that.

    raises  `RedisAway` when Redis stays away
    """
    calling = asyncio.ensure_future(_calling(call))
    is_cancelled = False
    while not calling.done():
        try:
            await asyncio.wait({calling})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        calling.exception()  # nobody is left to hear it
        raise asyncio.CancelledError
    return calling.result()


async def _calling(call: Callable[[], Awaitable[_T]]) -> _T:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await call()
        except RedisAway:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(_PAUSE_S)
