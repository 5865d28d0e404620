"""The sweeper: finds queue members that can never run long before they are due, and drops expired dead letters.

Members that are due find their own end at pick-up. Every worker sweeps, each at its own times, a bounded part of the
queue per pass; doing so twice changes nothing.
"""

import asyncio
import random
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute import keys
from eventroute.ids import DeliveryId
from eventroute.runtime.redis import CONNECTION_ERRORS
from eventroute_worker import scripts
from eventroute_worker.retention import DEAD

INTERVAL_S: Final = 30.0
"""Mean pause between passes. Arbitrary: what it finds should never be there."""

_PAGE_MEMBERS: Final = 500  # about 0.5 ms of Redis' time
_PAGES: Final = 20

_log = structlog.get_logger()


class Sweeper:
    """Walks through the queue, page by page, for as long as the worker runs."""

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._sweep = scripts.load(redis, "sweep")
        self._cursor = b"0"

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(INTERVAL_S * random.uniform(0.5, 1.5))
            try:
                await self.sweep()
            except (RedisError, *CONNECTION_ERRORS) as error:
                _log.warning("sweep_failed", error=str(error))

    async def sweep(self) -> int:
        """Make one pass, going on where the last one ended; returns how many members were made due."""
        found = 0
        for _ in range(_PAGES):
            self._cursor, orphans = await self._sweep([keys.QUEUE, keys.WAKE, keys.DEAD], [*self._arguments()])
            found += orphans
            if self._cursor == b"0":
                break
        if found:
            _log.error("queue_members_without_payload", count=found)
        return found

    def _arguments(self) -> tuple[str | bytes | int, ...]:
        nothing = DeliveryId("")
        prefixes = keys.job(nothing), keys.delivery(nothing)
        return (*prefixes, self._cursor, _PAGE_MEMBERS, DEAD.run_ms, keys.WAKE_TOKENS)
