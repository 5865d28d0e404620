"""The loop: what changed is judged, all that can be served is published, and every route is told how far it has come.

Level-triggered: a turn looks at what is, not at what happened, so that nothing is lost by a turn that fails or by an
operator that is killed. Nothing is published before everything was listed once: a half-known cluster would look like
one with most routes deleted. An operator that does not lead has everything listed, and waits.
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
from eventroute.runtime.scripts import LOST, RedisAway, RedisForbids, told
from eventroute.runtime.stats import RouteStats, read_stats
from eventroute.runtime.tables import NAME_HELD_S, Deposed, heartbeats
from eventroute_operator import metrics
from eventroute_operator.announce import Announcement, warning_of_budget
from eventroute_operator.api import Api
from eventroute_operator.cluster import Cluster, Reference, RouteObject
from eventroute_operator.election import Lead
from eventroute_operator.fleet import REDIS_AWAY_S, Fleet, Published, programming
from eventroute_operator.judge import Judged, judge, not_judged
from eventroute_operator.obstacles import Obstacle, Obstacles, read_obstacles
from eventroute_operator.scaling import Scaling
from eventroute_operator.status import Facts, build_status
from eventroute_operator.staying import GRACE_S, Stays, as_it_was
from eventroute_operator.tables import Tables
from eventroute_operator.write import Status, StatusWriter

SETTLE_S: Final = 2.0
"""How long a published change may be on its way before the status says so: most arrive within a tenth."""

EMPTY_S: Final = float(NAME_HELD_S)
"""How long a cluster has to be without routes before tables with some are emptied; names are held as long again."""

_DEBOUNCE_S: Final = 0.02
_LOOK_S: Final = (0.03, 1.0)  # pause between looks at heartbeats while a change is on its way: first, and longest
_IDLE_S: Final = 5.0  # the processes' own beat
_AGAIN_S: Final = 0.5
_REFUSED_S: Final = 2.0  # pause between publications that Redis refuses: each reads the whole table
_SILENT: Final = frozenset({LOST, "LOADING", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "UNKILLABLE", "NOAUTH", "WRONGPASS"})
"""First words of errors with which Redis answers nothing at all; the others concern writes only."""
_FETCHES: Final = 16
_DOUBLINGS: Final = 6  # of the pause between attempts to get what cannot be got
_LONGEST_S: Final = 30.0
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


class _Unfetched(NamedTuple):
    """What could not be got, so often, and is to be asked for again then."""

    failures: int
    due: float


class Reconciler:
    """Brings the tables and the statuses to where the cluster says that they should be."""

    def __init__(  # noqa: PLR0913 - collaborators, all but one by name
        self,
        cluster: Cluster,
        *,
        lead: Lead,
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
        """Take the collaborators; `run` does the work once `synced` is set and this operator leads."""
        self.synced = asyncio.Event()
        """Everything was listed once."""
        self.unseen: frozenset[str] = frozenset()
        """Watched namespaces that could not be listed yet; whoever lists sets it."""
        self.scaling = Scaling()
        """What `ScalingReady` says; whoever knows sets it."""
        self.last_turn = time.monotonic()
        """When the loop last went round, monotonic seconds."""
        self._cluster = cluster
        self._lead = lead
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
        self._unfetched: dict[Reference, _Unfetched] = {}
        self._must_publish = True
        self._stays = Stays(grace_s=grace_s)
        self._grace_ends: float | None = None
        self._fleet = Fleet()
        self._away_since: float | None = None
        self._refused_since: float | None = None
        self._doubted_since: float | None = None
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
        for needed in (self.synced, self._lead.leads):
            while not needed.is_set():
                self.last_turn = time.monotonic()
                await _wait(needed, _IDLE_S)
        while True:
            self.last_turn = time.monotonic()
            await self._turn()
            if await _wait(self._cluster.changed, self._look_s):
                await asyncio.sleep(_DEBOUNCE_S)

    async def _turn(self) -> None:
        began = time.monotonic()
        self._deferred |= self._cluster.take_dirty()
        await self._fetch(self._cluster.unknown(self._deferred) | self._cluster.stale())
        self._deferred |= self._cluster.take_dirty()
        changed = await self._judge(set(self._deferred))
        if self._grace_ends is not None and time.monotonic() >= self._grace_ends:
            changed = self._must_publish = True
        if self._must_publish:
            await self._publish()
            metrics.RECONCILE.observe(time.monotonic() - began)
        if self._away_since is None:  # else each command would wait in vain
            await self._hear()
            await self._count()
        is_settled = self._tell(time.monotonic())
        if changed or self._must_publish:
            again_s = _AGAIN_S if self._refused_since is None else _REFUSED_S
            self._look_s = again_s if self._must_publish else _LOOK_S[0]
        else:
            self._look_s = _IDLE_S if is_settled else min(self._look_s * 1.5, _LOOK_S[1])
        if self._deferred or self._unfetched:
            self._look_s = min(self._look_s, _AGAIN_S)
        if self._grace_ends is not None:
            self._look_s = min(self._look_s, max(self._grace_ends - time.monotonic(), _LOOK_S[0]))

    # --- judging ---

    async def _judge(self, dirty: set[ObjectKey]) -> bool:
        """Judge these routes anew; returns whether the tables have to change."""
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
        new = self._judged[key] = self._verdict(route)
        return old is None or (old.receiver, old.worker) != (new.receiver, new.worker)

    def _verdict(self, route: RouteObject) -> Judged:
        try:
            return judge(
                route,
                self._cluster.find,
                models=self._models,
                policy=self._policy,
                outbound=self._outbound,
                neighbours=self._cluster.neighbours(route.key),
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours, for which the other routes must not suffer
            fault = type(error).__name__
            _log.error("route_not_judged", route=route_path(*route.key), error=fault)
            return not_judged(route, fault)

    def _forget(self, key: ObjectKey) -> None:
        self._told.pop(key, None)
        if old := self._judged.pop(key, None):
            self._stats.pop(old.route.uid, None)
            self._writer.forget(key, old.route.uid)

    async def _fetch(self, references: Iterable[Reference]) -> None:
        """Get what nobody has looked at yet; what cannot be got stays unknown, and is asked for ever more seldom."""
        gate, now = asyncio.Semaphore(_FETCHES), time.monotonic()
        wanted = set(references)
        self._unfetched = {each: known for each, known in self._unfetched.items() if each in wanted}
        due = [each for each in wanted if each not in self._unfetched or self._unfetched[each].due <= now]

        async def fetch(reference: Reference) -> None:
            async with gate:
                await self._fetch_one(reference)

        await asyncio.gather(*map(fetch, due))

    async def _fetch_one(self, reference: Reference) -> None:
        cluster = self._cluster
        listing = cluster.begin_list(reference.kind, lambda key: key == reference.key)
        try:
            found = await self._api.find(reference)
        except EventRouteError as error:
            _log.warning("reference_not_fetched", error=str(error))
            self._put_off(reference)
            return
        finally:
            self.last_turn = time.monotonic()  # many that are slow are no sign that the loop hangs
        if found:
            cluster.see(reference.kind, found)  # newer than what a list that is under way may hold
        cluster.end_look(listing)

    def _put_off(self, reference: Reference) -> None:
        failures = self._unfetched[reference].failures + 1 if reference in self._unfetched else 1
        pause_s = min(_AGAIN_S * 2 ** min(failures, _DOUBLINGS), _LONGEST_S)
        self._unfetched[reference] = _Unfetched(failures, time.monotonic() + pause_s)

    # --- publishing ---

    async def _publish(self) -> None:
        judged = self._judged.values()
        receiver = {each.receiver.path: each.receiver for each in judged if each.receiver}
        worker = {each.worker.path: each.worker for each in judged if each.worker}
        # Deleted is one thing, a mistake or a missing Secret another: then events are to wait, not to be denied.
        existing = {route_path(*key) for key in self._judged.keys() | self._cluster.routes.keys()}
        # What they name could not be looked up yet.
        unjudged = [route for key, route in self._cluster.routes.items() if key not in self._judged]
        waiting = {route_path(*route.key): as_it_was(route) for route in unjudged}
        staying = {side: {**waiting, **self._stays.of(self._judged, side)} for side in Side}
        try:
            if await self._is_doubtful():
                return
            if await self._tables.publish(receiver, worker, existing=existing, staying=staying, unseen=self.unseen):
                self._published_at = time.monotonic()
        except Deposed as error:
            await self._step_aside(error)
        except (RedisError, OSError, EventRouteError) as error:
            metrics.PUBLISH_ERRORS.inc()
            if self._away_since is None and self._refused_since is None:
                _log.warning("tables_not_published", error=str(error))
            self._not_published(told(error) if isinstance(error, RedisError | OSError) else error)
        else:
            self._must_publish = False
            left_s = self._stays.next_end_s()
            self._grace_ends = None if left_s is None else time.monotonic() + left_s
            self._found()
            self._refused_since = None
            self._fleet = self._fleet._replace(refused="")

    def _not_published(self, error: EventRouteError) -> None:
        """Tell a Redis that is away, which concerns every route, from one that only refuses to be written to."""
        if isinstance(error, RedisAway | RedisForbids) and error.word in _SILENT:
            self._lost()
            return
        self._found()
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since >= REDIS_AWAY_S:
            self._fleet = self._fleet._replace(refused=str(error))

    async def _is_doubtful(self) -> bool:
        """Tell whether to wait: no route is listed, and the tables that were there before this process have some.

        A cluster that is being restored looks so, or the wrong one. Who deleted them all while no operator ran waits.
        """
        if self._tables.are_ours or self._cluster.routes or not await self._tables.have_routes():
            self._doubted_since = None
            return False
        if self._doubted_since is None:
            self._doubted_since = time.monotonic()
            _log.warning("no_routes_listed", but="the tables have some, and stay as they are", for_s=EMPTY_S)
        return time.monotonic() - self._doubted_since < EMPTY_S

    async def _step_aside(self, deposed: Deposed) -> None:
        """End, unless nothing was ever written under our epoch: then the Lease is younger than the table."""
        if self._tables.are_ours:
            self._lead.depose()
            return
        try:
            await self._lead.rise_above(deposed.epoch)
        except EventRouteError as error:
            _log.warning("epoch_not_taken", error=str(error))

    async def _hear(self) -> None:
        try:
            receivers, workers = await heartbeats(self._redis, RECEIVER), await heartbeats(self._redis, WORKER)
            self._must_publish |= not await self._tables.are_current()
            obstacles = await read_obstacles(self._upkeep, self._groups)
            self._obstacles = obstacles._replace(notices=await read_notices(self._redis))
            metrics.STOPPED.set(self._obstacles.stop is not None)
        except (RedisError, OSError, RedisAway, RedisForbids) as error:
            if self._away_since is None:
                _log.warning("redis_away", error=str(error))
            self._lost()
            return
        now = time.monotonic()
        self._fleet = self._fleet._replace(
            receivers=self._fleet.receivers.after(receivers, now),
            workers=self._fleet.workers.after(workers, now, may_be_none=True),
        )
        if self._lead.is_sure():
            await self._warn()

    async def _warn(self) -> None:
        """Tell of budgets that are nearly spent, which the workers notice; in a full Redis, once there is room."""
        routes = {route_path(*key): judged.route for key, judged in self._judged.items()}
        for group in self._groups:
            try:
                ending = await self._upkeep.take_warnings(group)
            except (RedisAway, RedisForbids) as error:
                _log.info("budget_warnings_not_taken", error=str(error))
                return
            for scope, ends_ms in ending.items():
                for warning in warning_of_budget(scope, ends_ms, routes):
                    self._announce(warning)

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
            known = _Told(judged, published, reason, self.scaling, stats, obstacle, current.status)
            if not (is_passing or (is_unclear and judged.is_served)) and self._told.get(key) != known:
                self._write(current, known)
                self._told[key] = known
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
