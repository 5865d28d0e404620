"""Waiting for a Redis that is away, and for nothing else, with what is too dear to lose."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from eventroute.runtime.scripts import RedisAway

_PATIENCE_S: Final = 60.0  # an answer has been paid for: worth waiting for a Redis that restarts
_PAUSE_S: Final = 0.5


async def patiently(call: Callable[[], Awaitable[None]]) -> None:
    """Call until Redis takes it; a cancellation comes after that. Raises `RedisAway` when Redis stays away."""
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
    calling.result()


async def _calling(call: Callable[[], Awaitable[None]]) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await call()
        except RedisAway:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(_PAUSE_S)
