"""Whether this worker may take deliveries: not while somebody has stopped the installation, nor before that is known.

It is read on its own, once a second, so that nothing else that keeps the worker busy can delay a stop. While Redis does
not say, what it said last holds.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from eventroute.queue import Stop, Upkeep
from eventroute.runtime.scripts import RedisAway, RedisForbids

LOOK_S: Final = 1.0
"""How often to look: a stop, and its end, are seen within two seconds."""

_log = structlog.get_logger()


class Gate:
    """What is known of a stop."""

    def __init__(self, *, is_open: bool = False) -> None:
        """Start closed, as nothing is known; open for who asks nobody."""
        self.is_open = is_open
        self.started_ms = 0
        """When the last stop ended, Unix milliseconds by Redis' clock; 0 = there was none."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when it opens or closes."""

    async def follow(self, upkeep: Upkeep) -> None:
        """Look for ever."""
        is_told = False
        while True:
            try:
                self.see(await upkeep.read_stop())
                is_told = False
            except (RedisAway, RedisForbids) as error:
                if not is_told:
                    _log.warning("stop_not_read", error=str(error), open=self.is_open)
                is_told = True
            await asyncio.sleep(LOOK_S)

    def see(self, stop: Stop) -> None:
        """Take note of what Redis says."""
        self.started_ms = stop.started_ms
        if self.is_open is not stop.is_standing:
            return
        self.is_open = not stop.is_standing
        if stop.is_standing:
            _log.warning("installation_stopped", by=stop.by, reason=stop.reason)
        else:
            _log.info("installation_runs", started_by=stop.started_by)
        self.on_change()
