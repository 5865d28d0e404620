"""Both route tables on their way out, in the order that loses nothing, and since when each route stands in them.

Workers learn of a route before receivers do, and forget it after them: what a receiver accepts, a worker can run.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from msgspec.structs import replace
from redis.asyncio import Redis

from eventroute.compile import Side
from eventroute.hops import MARKERS
from eventroute.ids import RoutePath
from eventroute.route_table import RECEIVER, WORKER, Entry, Plane, ReceiverRoute, WorkerRoute, with_marker_key
from eventroute.runtime.tables import publish, read_entry, table_version
from eventroute.sealed import SealKey
from eventroute_operator.fleet import Published
from eventroute_operator.staying import Staying

_NOTHING: Final = (None, 0)
NO_STAYS: Final[Mapping[Side, Mapping[RoutePath, Staying]]] = MappingProxyType({})
_PLANES: Final[tuple[Plane[Any], ...]] = (WORKER, RECEIVER)


def _of_intake(entry: ReceiverRoute, stays: Staying) -> ReceiverRoute:
    return replace(entry, suspend=stays.suspend) if stays.is_readable else entry


def _of_work(entry: WorkerRoute, stays: Staying) -> WorkerRoute:
    if not stays.is_readable:
        return entry
    receives = _of_intake(entry.receives, stays) if entry.receives else None
    return replace(entry, is_suspended=stays.suspend is not None, receives=receives)


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
        staying: Mapping[Side, Mapping[RoutePath, Staying]] = NO_STAYS,
        unseen: Collection[str] = (),
    ) -> bool:
        """Make these the tables, and tell whether they were not; to be called again when Redis' own errors come out.

        existing  all routes that there are: what is in no table is withheld there, and neither denied nor forgotten
        staying   those of them that are served as they were, where the table has them
        unseen    namespaces of which nothing is known
        """
        before = dict(self._versions)
        taking = await self._former(RECEIVER, self._receiver, staying.get(Side.INTAKE, {}))
        working = await self._former(WORKER, self._worker, staying.get(Side.WORK, {}))
        receiver = {**receiver, **{path: _of_intake(*former) for path, former in taking.items()}}
        worker = {**worker, **{path: _of_work(*former) for path, former in working.items()}}
        leaving = {path: entry for path, (entry, _) in self._worker.items() if path not in worker}
        await self._publish(WORKER, {**leaving, **worker}, self._worker, existing=existing, unseen=unseen)
        await self._publish(RECEIVER, receiver, self._receiver, existing=existing, unseen=unseen)
        if leaving:
            await self._publish(WORKER, worker, self._worker, existing=existing, unseen=unseen)
        return self._versions != before

    async def are_current(self) -> bool:
        """Tell whether Redis still has what was published last: it may have been restarted without its data."""
        return all([await table_version(self._redis, plane) == self._versions.get(plane.name) for plane in _PLANES])

    def published(self, path: RoutePath, receiver: ReceiverRoute | None, worker: WorkerRoute | None) -> Published:
        """Tell since which versions the tables hold exactly these entries, and which generations stay instead."""
        in_receiver, receiver_version = self._receiver.get(path, _NOTHING)
        in_worker, worker_version = self._worker.get(path, _NOTHING)
        return Published(
            receiver_version if receiver and in_receiver == receiver else None,
            worker_version if worker and in_worker == worker else None,
            in_receiver.generation if in_receiver and not receiver else None,
            in_worker.generation if in_worker and not worker else None,
        )

    async def _former(
        self,
        plane: Plane[Entry],
        known: Mapping[RoutePath, tuple[Entry, int]],
        staying: Mapping[RoutePath, Staying],
    ) -> dict[RoutePath, tuple[Entry, Staying]]:
        """Find what the table has of these routes."""
        found: dict[RoutePath, tuple[Entry, Staying]] = {}
        for path, stays in staying.items():
            if path in known:
                entry: Entry | None = known[path][0]
            else:
                entry = await read_entry(self._redis, plane, path, self._keys[plane.name])
            if entry is not None and entry.uid == stays.uid:
                found[path] = (entry, stays)
        return found

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
