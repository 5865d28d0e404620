"""The loop: what changed is judged, all that can be served is published, and every route is told how far it has come.

Level-triggered: a turn looks at what is, not at what happened, so that nothing is lost by a turn that fails or by an
operator that is killed. Nothing is published before everything was listed once: a half-known cluster would look like
one with most routes deleted.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from eventroute.compile import Side
from eventroute.crd.objects import ObjectKey
from eventroute.crd.status import ConditionType, StatusReason
from eventroute.errors import EventRouteError
from eventroute.ids import RouteUid, route_path
from eventroute.models import Models
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.queue import Group, Upkeep
from eventroute.route_table import RECEIVER, WORKER
from eventroute.runtime.notices import read_notices
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute.runtime.stats import RouteStats, read_stats
from eventroute.runtime.tables import heartbeats
from eventroute_operator import metrics
from eventroute_operator.announce import Announcement, warning_of_budget
from eventroute_operator.api import Api
from eventroute_operator.cluster import Cluster, Reference, RouteObject
from eventroute_operator.fleet import REDIS_AWAY_S, Fleet, Published, programming
from eventroute_operator.judge import Judged, judge
from eventroute_operator.obstacles import Obstacle, Obstacles, read_obstacles
from eventroute_operator.scaling import Scaling
from eventroute_operator.status import Facts, build_status
from eventroute_operator.staying import GRACE_S, Stays
from eventroute_operator.tables import Tables
from eventroute_operator.write import Status, StatusWriter

SETTLE_S: Final = 2.0
"""How long a published change may be on its way before the status says so: most arrive within a tenth."""

_DEBOUNCE_S: Final = 0.02
_LOOK_S: Final = (0.03, 1.0)  # pause between looks at heartbeats while a change is on its way: first, and longest
_IDLE_S: Final = 5.0  # the processes' own beat
_AGAIN_S: Final = 0.5
_FETCHES: Final = 16
_BREATH: Final = 8  # routes judged before others get the loop

_log = structlog.get_logger()


class _Told(NamedTuple):
    """What a route's status was made of: while it is the same, so is the status."""

    judged: Judged
    published: Published
    reason: StatusReason | None
    scaling: Scaling
    stats: RouteStats | None
    obstacle: Obstacle | None
    observed: Status


class Reconciler:
    """Brings the tables and the statuses to where the cluster says that they should be."""

    def __init__(  # noqa: PLR0913 - collaborators, all but one by name
        self,
        cluster: Cluster,
        *,
        redis: Redis,
        api: Api,
        tables: Tables,
        writer: StatusWriter,
        hooks_url: str | None,
        status_interval_s: float,
        upkeep: Upkeep,
        groups: Sequence[Group] = (Group(0),),
        models: Models | None = None,
        policy: Policy | None = None,
        outbound: OutboundRules | None = None,
        announce: Callable[[Announcement], None] = lambda _: None,
        grace_s: float = GRACE_S,
    ) -> None:
        """Take the collaborators; `run` does the work once `synced` is set."""
        self.synced = asyncio.Event()
        """Everything was listed once."""
        self.unseen: frozenset[str] = frozenset()
        """Watched namespaces that could not be listed yet; whoever lists sets it."""
        self.scaling = Scaling()
        """What `ScalingReady` says; whoever knows sets it."""
        self.last_turn = time.monotonic()
        """When the loop last went round, monotonic seconds."""
        self._cluster = cluster
        self._redis = redis
        self._api = api
        self._tables = tables
        self._writer = writer
        self._hooks_url = hooks_url
        self._status_interval_s = status_interval_s
        self._models = models
        self._policy = policy
        self._outbound = outbound
        self._announce = announce
        self._judged: dict[ObjectKey, Judged] = {}
        self._told: dict[ObjectKey, _Told] = {}
        self._deferred: set[ObjectKey] = set()  # to be judged: not yet, or not while the API server cannot be asked
        self._must_publish = True
        self._stays = Stays(grace_s=grace_s)
        self._grace_ends: float | None = None
        self._fleet = Fleet()
        self._away_since: float | None = None
        self._published_at = 0.0
        self._look_s = _IDLE_S
        self._stats: dict[str, RouteStats] = {}
        self._stats_due = 0.0
        self._upkeep = upkeep
        self._groups = groups
        self._obstacles: Obstacles | None = None

    def resync(self) -> None:
        """Publish, and compare every status, as if nothing were known of either."""
        self._must_publish = True
        self._told.clear()
        self._cluster.changed.set()

    async def run(self) -> None:
        """Work for ever."""
        while not self.synced.is_set():
            self.last_turn = time.monotonic()
            await _wait(self.synced, _IDLE_S)
        while True:
            self.last_turn = time.monotonic()
            await self._turn()
            if await _wait(self._cluster.changed, self._look_s):
                await asyncio.sleep(_DEBOUNCE_S)

    async def _turn(self) -> None:
        began = time.monotonic()
        self._deferred |= self._cluster.take_dirty()
        changed = await self._judge(set(self._deferred))
        if self._grace_ends is not None and time.monotonic() >= self._grace_ends:
            changed = self._must_publish = True
        if self._must_publish:
            await self._publish()
            metrics.RECONCILE.observe(time.monotonic() - began)
        if not self._must_publish:  # else Redis is away, and each of its commands would wait in vain
            await self._hear()
            await self._count()
        is_settled = self._tell(time.monotonic())
        if changed or self._must_publish:
            self._look_s = _AGAIN_S if self._must_publish else _LOOK_S[0]
        else:
            self._look_s = _IDLE_S if is_settled else min(self._look_s * 1.5, _LOOK_S[1])
        if self._deferred:
            self._look_s = min(self._look_s, _AGAIN_S)
        if self._grace_ends is not None:
            self._look_s = min(self._look_s, max(self._grace_ends - time.monotonic(), _LOOK_S[0]))

    # --- judging ---

    async def _judge(self, dirty: set[ObjectKey]) -> bool:
        """Judge these routes anew; returns whether the tables have to change."""
        await self._fetch(self._cluster.unknown(dirty))
        changed = False
        for number, key in enumerate(sorted(dirty, key=self._age)):
            if number % _BREATH == _BREATH - 1:
                self.last_turn = time.monotonic()
                await asyncio.sleep(0)
            if self._judge_one(key):
                changed = self._must_publish = True
        return changed

    def _age(self, key: ObjectKey) -> tuple[str, ObjectKey]:
        route = self._cluster.routes.get(key)
        return (route.created if route else "", key)

    def _judge_one(self, key: ObjectKey) -> bool:
        old = self._judged.get(key)
        route = self._cluster.routes.get(key)
        if route is None:
            self._deferred.discard(key)
            self._forget(key)
            return old is not None
        if self._cluster.unknown((key,)):  # the API server could not be asked: what is served stays as it is
            return False
        self._deferred.discard(key)
        if old and old.route.uid != route.uid:
            self._forget(key)
        try:
            new = self._judged[key] = judge(
                route,
                self._cluster.find,
                models=self._models,
                policy=self._policy,
                outbound=self._outbound,
                neighbours=self._cluster.neighbours(key),
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours, for which the other routes must not suffer
            _log.error("route_not_judged", route=route_path(*key), error=type(error).__name__)
            return False
        return old is None or (old.receiver, old.worker) != (new.receiver, new.worker)

    def _forget(self, key: ObjectKey) -> None:
        self._told.pop(key, None)
        if old := self._judged.pop(key, None):
            self._stats.pop(old.route.uid, None)
            self._writer.forget(key, old.route.uid)

    async def _fetch(self, references: Iterable[Reference]) -> None:
        """Get what nobody has looked at yet; what cannot be got stays unknown."""
        gate = asyncio.Semaphore(_FETCHES)

        async def fetch(reference: Reference) -> None:
            async with gate:
                await self._fetch_one(reference)

        await asyncio.gather(*map(fetch, references))

    async def _fetch_one(self, reference: Reference) -> None:
        cluster = self._cluster
        listing = cluster.begin_list(reference.kind, lambda key: key == reference.key)
        try:
            found = await self._api.find(reference)
        except EventRouteError as error:
            _log.warning("reference_not_fetched", error=str(error))
            return
        if found:
            cluster.see(reference.kind, found)  # newer than what a list that is under way may hold
        cluster.end_look(listing)

    # --- publishing ---

    async def _publish(self) -> None:
        judged = self._judged.values()
        receiver = {each.receiver.path: each.receiver for each in judged if each.receiver}
        worker = {each.worker.path: each.worker for each in judged if each.worker}
        # Deleted is one thing, a mistake or a missing Secret another: then events are to wait, not to be denied.
        existing = {route_path(*key) for key in self._judged}
        staying = {side: self._stays.of(self._judged, side) for side in Side}
        try:
            if await self._tables.publish(receiver, worker, existing=existing, staying=staying, unseen=self.unseen):
                self._published_at = time.monotonic()
        except (RedisError, OSError, EventRouteError) as error:
            metrics.PUBLISH_ERRORS.inc()
            if self._away_since is None:
                _log.warning("tables_not_published", error=str(error))
            self._lost()
        else:
            self._must_publish = False
            left_s = self._stays.next_end_s()
            self._grace_ends = None if left_s is None else time.monotonic() + left_s
            self._found()

    async def _hear(self) -> None:
        try:
            receivers, workers = await heartbeats(self._redis, RECEIVER), await heartbeats(self._redis, WORKER)
            self._must_publish = not await self._tables.are_current()
            obstacles = await read_obstacles(self._upkeep, self._groups)
            self._obstacles = obstacles._replace(notices=await read_notices(self._redis))
            metrics.STOPPED.set(self._obstacles.stop is not None)
            await self._warn()
        except (RedisError, OSError, RedisAway, RedisForbids) as error:
            if self._away_since is None:
                _log.warning("redis_away", error=str(error))
            self._lost()
            return
        now = time.monotonic()
        self._fleet = Fleet(self._fleet.receivers.after(receivers, now), self._fleet.workers.after(workers, now))

    async def _warn(self) -> None:
        """Tell of budgets that are nearly spent, which the workers notice."""
        routes = {route_path(*key): judged.route for key, judged in self._judged.items()}
        for group in self._groups:
            for scope, ends_ms in (await self._upkeep.take_warnings(group)).items():
                for told in warning_of_budget(scope, ends_ms, routes):
                    self._announce(told)

    def _found(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._fleet = self._fleet._replace(is_away=False)
            _log.info("redis_back")

    def _lost(self) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        self._fleet = self._fleet._replace(is_away=now - self._away_since >= REDIS_AWAY_S)
        self._must_publish = True

    # --- telling ---

    async def _count(self) -> None:
        """Read the routes' statistics, seldom, as each change of them is a write to the API server."""
        if time.monotonic() < self._stats_due:
            return
        uids = [RouteUid(judged.route.uid) for judged in self._judged.values()]
        try:
            found = await read_stats(self._redis, uids)
        except (RedisError, OSError):
            return  # the statuses keep what they say
        self._stats_due = time.monotonic() + self._status_interval_s
        for uid, stats in zip(uids, found, strict=True):
            if self._stats.get(uid) != stats:
                self._stats[uid] = stats

    def _tell(self, now: float) -> bool:
        """Bring every status to what is known; returns whether all that is published has arrived."""
        reasons: Counter[str] = Counter()
        is_settled = True
        obstacles, moment = self._obstacles or Obstacles(), datetime.now(UTC)
        is_unclear = self._away_since is not None and not self._fleet.is_away
        for key, judged in self._judged.items():
            current = self._cluster.routes.get(key)
            if current is None or current.uid != judged.route.uid:
                continue  # the next turn's business
            reason, published = self._progress(judged)
            is_settled &= reason is not StatusReason.PROPAGATING
            is_passing = reason is StatusReason.PROPAGATING and now - self._published_at < SETTLE_S
            stats = self._stats.get(current.uid)
            obstacle = obstacles.of(judged, stats, moment)
            told = _Told(judged, published, reason, self.scaling, stats, obstacle, current.status)
            if not (is_passing or (is_unclear and judged.is_served)) and self._told.get(key) != told:
                self._write(current, told)
                self._told[key] = told
            reasons[_ready_reason(self._writer.latest(current))] += 1
        metrics.ROUTES.clear()
        for name, count in reasons.items():
            metrics.ROUTES.labels(name).set(count)
        return is_settled

    def _progress(self, judged: Judged) -> tuple[StatusReason | None, Published]:
        path = route_path(*judged.route.key)
        published = self._tables.published(path, judged.receiver, judged.worker)
        return programming(path, published, self._fleet) if judged.is_served else None, published

    def _write(self, route: RouteObject, told: _Told) -> None:
        facts = Facts(
            judged=told.judged,
            published=told.published,
            fleet=self._fleet,
            scaling=told.scaling,
            stats=told.stats,
            obstacles=self._obstacles,
            hooks_url=self._hooks_url,
            now=datetime.now(UTC),
        )
        self._writer.want(route, build_status(facts, self._writer.latest(route)))


async def _wait(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _ready_reason(status: Status) -> str:
    conditions = status.get("conditions") or []
    return next((each["reason"] for each in conditions if each.get("type") == ConditionType.READY), "Unknown")
