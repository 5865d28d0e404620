"""Everything is listed at the start, and again now and then: what a watch lost is not lost for good.

A watch tells of changes, not of what is; one that begins anew after a pause does not tell what was deleted meanwhile.
"""

import asyncio
import contextlib
import random
from typing import Final

import structlog

from eventroute.crd.objects import ObjectKey
from eventroute.errors import EventRouteError
from eventroute_operator import metrics
from eventroute_operator.api import Api, Forbidden
from eventroute_operator.cluster import Cluster, Kind
from eventroute_operator.reconcile import Reconciler
from eventroute_operator.scaling import look_at_scaling
from eventroute_operator.settings import OperatorSettings

_RETRY_S: Final = 1.0
_UNSEEN_S: Final = (
    5.0  # until the next look at namespaces that may not be looked into: a permission may just be on its way
)
_GATHER_S: Final = 0.5  # several watches that begin anew at once are one reason to list

_log = structlog.get_logger()


class Resync:
    """Compares what is known with what the API server has."""

    def __init__(self, cluster: Cluster, reconciler: Reconciler, api: Api, settings: OperatorSettings) -> None:
        """Take the collaborators; `run` does the work."""
        self._cluster = cluster
        self._reconciler = reconciler
        self._api = api
        self._settings = settings
        self._soon = asyncio.Event()
        self._unseen = frozenset(settings.namespaces)
        """Never listed yet."""
        self._refused: frozenset[str] = frozenset()
        """Not to be listed, last time."""

    def soon(self) -> None:
        """Do not wait for the next time."""
        self._soon.set()

    async def run(self) -> None:
        """Work for ever."""
        is_told = False
        while True:
            self._soon.clear()
            try:
                await self._list_all()
            except EventRouteError as error:
                metrics.RESYNCS.labels("failed").inc()
                if not is_told:
                    _log.warning("resync_failed", error=str(error))
                is_told = True
                await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.5))
                continue
            metrics.RESYNCS.labels("done").inc()
            is_told = False
            await self._scaling()
            self._reconciler.unseen = self._unseen
            self._reconciler.resync()
            self._reconciler.synced.set()
            pause_s = min(_UNSEEN_S, self._settings.resync_s) if self._unseen else self._settings.resync_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._soon.wait()
                    await asyncio.sleep(_GATHER_S)

    async def _list_all(self) -> None:
        """List every watched namespace; one whose Role is gone does not keep the others from being served.

        What was known of it stays as it was; of one that was never listed, what stands in the tables does.
        """
        if not self._settings.namespaces:
            await self._list_one(None)
            return
        refused: dict[str, Forbidden] = {}
        for namespace in self._settings.namespaces:
            try:
                await self._list_one(namespace)
            except Forbidden as error:
                refused[namespace] = error
        if len(refused) == len(self._settings.namespaces):
            raise next(iter(refused.values()))
        for namespace in refused.keys() - self._refused:
            _log.warning("namespace_not_listed", namespace=namespace, error=str(refused[namespace]))
        self._refused = frozenset(refused)
        self._unseen &= self._refused

    async def _list_one(self, namespace: str | None) -> None:
        # Routes first: of the other kinds only what they refer to is kept.
        for kind in (Kind.ROUTE, Kind.SECRET, Kind.CONFIG_MAP):
            await self._list(kind, namespace)

    async def _list(self, kind: Kind, namespace: str | None) -> None:
        def covers(key: ObjectKey) -> bool:
            return namespace is None or key.namespace == namespace

        listing = self._cluster.begin_list(kind, covers)
        async for body in self._api.list(kind, namespace):
            self._cluster.add_listed(listing, body)
        self._cluster.end_list(listing)

    async def _scaling(self) -> None:
        settings = self._settings
        self._reconciler.scaling = await look_at_scaling(
            self._api,
            settings.scaling,
            namespace=settings.pod_namespace,
            names=settings.autoscalers,
            before=self._reconciler.scaling,
        )
