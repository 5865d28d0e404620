"""What wakes an idle worker: a blocking read of a group's tokens, which goes on while the worker looks at the queue.

To break off a read costs its connection, and the token that it may have taken: that is done only when this worker has
nothing free, for then the token is another one's.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.queue import Group
from eventroute.runtime.scripts import told

_READ_S: Final = 2.0  # of one read, below what a client waits for an answer; arbitrary


class Bell:
    """The bell of one group."""

    def __init__(self, redis: Redis, group: Group, *, ring: Callable[[], None]) -> None:
        """Take a client, and whom to tell that a token came, or that none can come."""
        # A blocking read holds up other commands: it takes a connection of its own.
        self._client = redis.client()
        self._group = group
        self._ring = ring
        self._reading: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Wait for a token, if that is not done already; raises `RedisAway` or `RedisForbids` of the last time."""
        last = self._reading
        if last is None or last.done():
            self._reading = None
            if last is not None and not last.cancelled():
                last.result()
            self._reading = asyncio.create_task(self._read())

    def hush(self) -> None:
        """Leave tokens to others."""
        if self._reading is not None:
            self._reading.cancel()

    async def close(self) -> None:
        """Leave tokens to others for good."""
        # Before Python 3.12 `wait_for`, of which redis-py is made, may swallow a cancellation.
        while self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait([self._reading], timeout=0.01)
        if self._reading is not None and not self._reading.cancelled():
            self._reading.exception()  # nobody is left to hear it
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()

    async def _read(self) -> None:
        try:
            while not await self._client.blpop([self._group.wake], timeout=_READ_S):
                pass
        except (RedisError, OSError) as error:
            raise told(error) from error
        finally:
            self._ring()
