"""The reconciler on a real Redis, with an API server of the test's own making."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute import keys
from eventroute.crd.objects import ObjectKey
from eventroute.errors import RetryLater
from eventroute.ids import RoutePath
from eventroute.policy import Policy
from eventroute.queue import Upkeep
from eventroute.route_table import RECEIVER, Plane
from eventroute.runtime.background import running
from eventroute.runtime.scripts import ClientCaller
from eventroute.runtime.tables import RouteTable
from eventroute.sealed import SealKey, new_key_text
from eventroute_operator.announce import Announcement
from eventroute_operator.api import Api, Forbidden
from eventroute_operator.cluster import Cluster, Kind, Reference
from eventroute_operator.reconcile import Reconciler
from eventroute_operator.resync import Resync
from eventroute_operator.settings import OperatorSettings
from eventroute_operator.tables import Tables
from eventroute_operator.write import StatusWriter


class FakeApi(Api):
    """Objects in memory; may be away, or keep namespaces to itself."""

    def __init__(self) -> None:
        self.objects: dict[Kind, list[Mapping[str, Any]]] = {kind: [] for kind in Kind}
        self.is_away = False
        self.forbidden: set[str] = set()
        self.statuses: list[tuple[str, Mapping[str, Any]]] = []

    async def list(self, kind: Kind, namespace: str | None) -> AsyncIterator[dict[str, Any]]:
        self._check()
        if namespace in self.forbidden:
            raise Forbidden(f"listing {kind}s: 403 Forbidden")
        for body in self.objects[kind]:
            if namespace in {None, body["metadata"]["namespace"]}:
                yield dict(body)

    async def find(self, reference: Reference) -> dict[str, Any] | None:
        self._check()
        found = (body for body in self.objects[reference.kind] if body["metadata"]["name"] == reference.key.name)
        return next((dict(body) for body in found), None)

    async def write_status(self, key: ObjectKey, uid: str, status: Mapping[str, Any]) -> None:
        self._check()
        assert uid == f"uid-{key.name}"
        self.statuses.append((key.name, status))

    def _check(self) -> None:
        if self.is_away:
            raise RetryLater("the API server is away")


@dataclass
class Control:
    """An operator without kopf."""

    redis: Redis
    namespaces: str = ""
    policy: Policy | None = None
    grace_s: float = 60.0
    api: FakeApi = field(default_factory=FakeApi)
    cluster: Cluster = field(default_factory=Cluster)
    announced: list[Announcement] = field(default_factory=list)
    receiver_key: SealKey = field(default_factory=lambda: SealKey.from_text(new_key_text()))
    worker_key: SealKey = field(default_factory=lambda: SealKey.from_text(new_key_text()))

    def __post_init__(self) -> None:
        self.writer = StatusWriter(self.api.write_status, written=lambda *_: None, retry_s=0.05)
        tables = Tables(self.redis, receiver_key=self.receiver_key, worker_key=self.worker_key)
        self.reconciler = Reconciler(
            self.cluster,
            redis=self.redis,
            upkeep=Upkeep(self.redis, ClientCaller(self.redis)),
            api=self.api,
            tables=tables,
            writer=self.writer,
            hooks_url=None,
            status_interval_s=1,
            policy=self.policy,
            announce=self.announced.append,
            grace_s=self.grace_s,
        )
        settings = OperatorSettings.model_validate(
            {
                "redis_url": "redis://unused",
                "receiver_table_key": "a",
                "worker_table_key": "b",
                "resync_s": 1,
                "namespaces": self.namespaces,
            }
        )
        self.resync = Resync(self.cluster, self.reconciler, self.api, settings)

    async def published(self, plane: Plane[Any] = RECEIVER) -> set[str]:
        """Name the routes of a table but those that were deleted; `@version` stands for the table itself."""
        table = await self._table(plane)
        names = [name.decode() for name in await self.redis.hkeys(keys.table(plane.name))]
        return {name for name in names if table.deleted_since(RoutePath(name)) is None}

    async def entries(self, plane: Plane[Any]) -> Collection[Any]:
        """Read what a table says of the routes that are served."""
        return (await self._table(plane)).all()

    async def _table(self, plane: Plane[Any]) -> RouteTable[Any]:
        key = self.receiver_key if plane is RECEIVER else self.worker_key
        table: RouteTable[Any] = RouteTable(self.redis, plane, key, process_id="", prepare=lambda route: route)
        await table.refresh()
        return table

    def reasons(self) -> dict[str, str]:
        """Tell what each route's status says of Ready, as last written."""
        return {
            name: next(each["reason"] for each in status["conditions"] if each["type"] == "Ready")
            for name, status in self.api.statuses
        }


@pytest.fixture
async def control(redis: Redis) -> AsyncIterator[Control]:
    """Everything but the first list, which the test lets happen."""
    made = Control(redis)
    async with running(made.reconciler.run, made.writer.run):
        yield made
