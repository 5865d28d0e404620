"""Status on its way to the API server: the latest one wins, a few at a time, and only what differs.

What fails is tried again, unless the route is gone. The same status is written to a route at most once per
`REWRITE_S`: an API server that drops a field (its CRD is older), or somebody who writes what is ours, must not become a
contest.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from eventroute.crd.objects import ObjectKey
from eventroute.errors import Refused, RetryLater
from eventroute_operator import metrics
from eventroute_operator.cluster import RouteObject

REWRITE_S: Final = 30.0
_AT_ONCE: Final = 8
RETRY_S: Final = 1.0

Status = Mapping[str, Any]

_log = structlog.get_logger()


class _Written(NamedTuple):
    status: Status
    at: float


class StatusWriter:
    """Brings every route's status to the API server."""

    def __init__(
        self,
        apply: Callable[[ObjectKey, str, Status], Awaitable[None]],
        *,
        written: Callable[[RouteObject, Status, Status], None],
        retry_s: float = RETRY_S,
    ) -> None:
        """Take what writes one status, and whom to tell of one that was written: route, status before, status."""
        self._apply = apply
        self._retry_s = retry_s
        self._tell = written
        self._written: dict[str, _Written] = {}
        self._wanted: dict[ObjectKey, tuple[RouteObject, Status]] = {}
        self._arrived = asyncio.Event()

    def latest(self, route: RouteObject) -> Status:
        """Get the status that the route has, or soon will."""
        wanted = self._wanted.get(route.key)
        if wanted and wanted[0].uid == route.uid:
            return wanted[1]
        written = self._written.get(route.uid)
        return written.status if written else route.status

    def want(self, route: RouteObject, status: Status) -> None:
        """Write a status soon, unless the route has it."""
        written = self._written.get(route.uid)
        if same(status, route.status) or (
            written and same(status, written.status) and time.monotonic() - written.at < REWRITE_S
        ):
            self._wanted.pop(route.key, None)
            return
        self._wanted[route.key] = (route, status)
        self._arrived.set()

    def forget(self, key: ObjectKey, uid: str) -> None:
        """Take note that a route is gone."""
        self._wanted.pop(key, None)
        self._written.pop(uid, None)

    async def run(self) -> None:
        """Write for ever."""
        busy: set[ObjectKey] = set()
        async with asyncio.TaskGroup() as writers:
            for _ in range(_AT_ONCE):
                writers.create_task(self._write_on(busy))

    async def _write_on(self, busy: set[ObjectKey]) -> None:
        while True:
            key = next((each for each in self._wanted if each not in busy), None)
            if key is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            busy.add(key)
            try:
                await self._write(*self._wanted.pop(key))
            finally:
                busy.discard(key)
                self._arrived.set()  # a newer status for this route may have been passed over

    async def _write(self, route: RouteObject, status: Status) -> None:
        before = self._written[route.uid].status if route.uid in self._written else route.status
        try:
            await self._apply(route.key, route.uid, status)
        except Refused as error:
            # Gone, or made anew; or the CRD is of another version, in which case the next change tries again.
            metrics.STATUS_WRITES.labels("refused").inc()
            _log.info("status_refused", route=f"{route.key.namespace}/{route.key.name}", error=str(error))
        except RetryLater as error:
            metrics.STATUS_WRITES.labels("failed").inc()
            _log.warning("status_not_written", route=f"{route.key.namespace}/{route.key.name}", error=str(error))
            await asyncio.sleep(self._retry_s)
            self._wanted.setdefault(route.key, (route, status))
        else:
            metrics.STATUS_WRITES.labels("written").inc()
            self._written[route.uid] = _Written(status, time.monotonic())
            self._tell(route, before, status)


def same(one: Status, other: Status) -> bool:
    """Compare two statuses; the API server may have put the conditions into another order."""
    return _ordered(one) == _ordered(other)


def _ordered(status: Status) -> dict[str, Any]:
    conditions = status.get("conditions") or []
    return {**status, "conditions": sorted(conditions, key=lambda each: str(each.get("type")))}
