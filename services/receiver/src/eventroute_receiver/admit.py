"""The receiver's way into the queue: what Redis says becomes what the sender hears.

What Redis refuses is logged in its own words, at most once a second for each kind: senders only hear 503.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import structlog

from eventroute.ids import RoutePath
from eventroute.outcome import Unavailable
from eventroute.queue import (
    Admissions,
    Admitted,
    Candidate,
    Full,
    Group,
    Limited,
    Limits,
    Load,
    New,
    Repeat,
    read_load,
)
from eventroute.route_table import ReceiverRoute
from eventroute.runtime.link import Link, LinkCaller
from eventroute.runtime.scripts import RedisAway, RedisForbids

_FULL: Final = {"queue": Unavailable.QUEUE_FULL, "route": Unavailable.ROUTE_FULL}
_TOLD_S: Final = 1.0
_AGAIN_S: Final = 0.2
"""A lost connection is tried again as often. Arbitrary."""
_MOST_WAITING: Final = 500
"""Receipts that wait for Redis at once; each is a connection and a body. Arbitrary."""

_log = structlog.get_logger()


class NotNow(NamedTuple):
    """Nothing was written; the sender should try again."""

    reason: Unavailable


class Admission:
    """The receiver's edge to Redis."""

    def __init__(self, link: Link, *, limits: Limits, groups: int = 1) -> None:
        """Take the connection, and what the queue may hold."""
        self._link = link
        self._call = LinkCaller(link)
        self._groups = groups
        self._queue = Admissions(self._call, limits=limits, groups=groups)
        self._told: dict[str, float] = {}
        self._waiting = 0
        """Receipts that wait for Redis to come back."""

    @property
    def is_up(self) -> bool:
        """Tell whether Redis is connected."""
        return self._link.is_up

    async def admit(
        self, route: ReceiverRoute, candidates: Sequence[Candidate], *, traceparent: str
    ) -> Admitted | Limited | NotNow:
        """Queue all candidates that are new, or none; where nobody will send them again, wait for Redis for a while."""
        give_up = time.monotonic() + route.scheme.patience_s
        try:
            return _said(await self._ask(route, candidates, traceparent))
        except (RedisAway, RedisForbids) as error:
            refused = error
        if route.scheme.patience_s and self._waiting < _MOST_WAITING:
            self._waiting += 1
            try:
                while isinstance(refused, RedisAway) and time.monotonic() + _AGAIN_S < give_up:
                    await asyncio.sleep(_AGAIN_S)
                    try:
                        return _said(_of_all_tries(await self._ask(route, candidates, traceparent), candidates))
                    except (RedisAway, RedisForbids) as error:
                        refused = error
            finally:
                self._waiting -= 1
        return NotNow(self._reason(refused))

    def _ask(
        self, route: ReceiverRoute, candidates: Sequence[Candidate], traceparent: str
    ) -> Awaitable[Admitted | Limited | Full]:
        return self._queue.admit(
            route.path, candidates, rate=route.rate_limit, traceparent=traceparent, debounce=route.debounce
        )

    async def load(self, *, may_go: Callable[[RoutePath], bool] = lambda _: False) -> Load | NotNow:
        """Count the queue by Redis' own clock; `may_go` as `read_load` takes it."""
        try:
            return await read_load({Group(number): self._call for number in range(self._groups)}, may_go=may_go)
        except (RedisAway, RedisForbids) as error:
            return NotNow(self._reason(error))

    def _reason(self, error: RedisAway | RedisForbids) -> Unavailable:
        now = time.monotonic()
        if now - self._told.get(error.word, -_TOLD_S) >= _TOLD_S:
            self._told[error.word] = now
            _log.warning("redis_refuses", word=error.word, error=str(error))
        return Unavailable.MEMORY if error.word == "OOM" else Unavailable.REDIS


def _said(found: Admitted | Limited | Full) -> Admitted | Limited | NotNow:
    return NotNow(_FULL[found.what]) if isinstance(found, Full) else found


def _of_all_tries(found: Admitted | Limited | Full, candidates: Sequence[Candidate]) -> Admitted | Limited | Full:
    """Take what repeats itself for new: an earlier try was carried out, and its reply got lost."""
    if not isinstance(found, Admitted):
        return found
    own = [New(each.delivery.id) for each in candidates]
    repeated = [Repeat(each.delivery) for each in own]
    fates = zip(found.fates, repeated, own, strict=True)
    return Admitted([new if fate == repeat else fate for fate, repeat, new in fates])
