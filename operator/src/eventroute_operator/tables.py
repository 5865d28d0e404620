"""Both route tables on their way out, in the order that loses nothing, and since when each route stands in them.

Workers learn of a route before receivers do, and forget it after them: what a receiver accepts, a worker can run.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from redis.asyncio import Redis

from eventroute.hops import MARKERS
from eventroute.ids import RoutePath
from eventroute.route_table import RECEIVER, WORKER, Entry, Plane, ReceiverRoute, WorkerRoute, with_marker_key
from eventroute.runtime.tables import publish, table_version
from eventroute.sealed import SealKey
from eventroute_operator.fleet import Published

_NOTHING: Final = (None, 0)
_PLANES: Final[tuple[Plane[Any], ...]] = (WORKER, RECEIVER)


class Tables:
    """What was published."""

    def __init__(self, redis: Redis, *, receiver_key: SealKey, worker_key: SealKey) -> None:
        """Take the Redis and both planes' keys."""
        self._redis = redis
        self._marker_key = receiver_key.derive(MARKERS)
        self._keys = {RECEIVER.name: receiver_key, WORKER.name: worker_key}
        self._versions: dict[str, int] = {}
        self._receiver: dict[RoutePath, tuple[ReceiverRoute, int]] = {}
        self._worker: dict[RoutePath, tuple[WorkerRoute, int]] = {}

    async def publish(
        self,
        receiver: Mapping[RoutePath, ReceiverRoute],
        worker: Mapping[RoutePath, WorkerRoute],
        *,
        existing: Collection[RoutePath],
        unseen: Collection[str] = (),
    ) -> bool:
        """Make these the tables, and tell whether they were not; to be called again when Redis' own errors come out.

        existing  all routes that there are: what is in no table is withheld there, and neither denied nor forgotten
        unseen    namespaces of which nothing is known
        """
        before = dict(self._versions)
        leaving = {path: entry for path, (entry, _) in self._worker.items() if path not in worker}
        await self._publish(WORKER, {**leaving, **worker}, self._worker, existing=existing, unseen=unseen)
        await self._publish(RECEIVER, receiver, self._receiver, existing=existing, unseen=unseen)
        if leaving:
            await self._publish(WORKER, worker, self._worker, existing=existing, unseen=unseen)
        return self._versions != before

    async def are_current(self) -> bool:
        """Tell whether Redis still has what was published last: it may have been restarted without its data."""
        return all([await table_version(self._redis, plane) == self._versions.get(plane.name) for plane in _PLANES])

    def published(self, path: RoutePath, receiver: ReceiverRoute, worker: WorkerRoute) -> Published:
        """Tell since which versions the tables hold exactly these entries."""
        in_receiver, receiver_version = self._receiver.get(path, _NOTHING)
        in_worker, worker_version = self._worker.get(path, _NOTHING)
        return Published(
            receiver_version if in_receiver is receiver or in_receiver == receiver else None,
            worker_version if in_worker is worker or in_worker == worker else None,
        )

    async def _publish(
        self,
        plane: Plane[Entry],
        entries: Mapping[RoutePath, Entry],
        known: dict[RoutePath, tuple[Entry, int]],
        *,
        existing: Collection[RoutePath],
        unseen: Collection[str],
    ) -> None:
        key = self._keys[plane.name]
        sent = with_marker_key(entries, self._marker_key)
        withheld = set(existing) - entries.keys()
        version = await publish(self._redis, plane, sent, key, withheld=withheld, unseen=unseen)
        if version < self._versions.get(
            plane.name, 0
        ):  # the clock, or Redis' data, went back: nobody has the older ones
            known.clear()
        self._versions[plane.name] = version
        for path in known.keys() - entries.keys():
            del known[path]
        for path, entry in entries.items():
            # An entry that did not change keeps its version: whoever served it since then serves it now.
            if path not in known or known[path][0] != entry:
                known[path] = (entry, version)
