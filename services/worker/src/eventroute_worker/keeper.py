"""Keeping the queue in order while the worker runs: what waits for something comes back when that is mended.

Every worker looks once a second at the few routes that are held and the few troubles that stand, holds routes that are
suspended, and lets go of what its own table and keys say is mended. What needs doing once per installation is done by
one of them, the keeper: to shed what has ended, make room in a Redis that fills up, probe standing troubles, bury what
a deleted route left, write down how many of a route's deliveries may run
beside each other.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import structlog

from eventroute.ids import RoutePath, parse_path
from eventroute.prompt import Plan
from eventroute.queue import Group, HoldReason, Limit, Trouble, Upkeep, group_of
from eventroute.queue.upkeep import Held, Standing
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute_worker import metrics
from eventroute_worker.gate import Gate
from eventroute_worker.spending import Treasury
from eventroute_worker.troubles import Troubles

LOOK_S: Final = 1.0
"""How often to look: what was changed without this process hearing of it shows within two seconds."""

_KEEPER_MS: Final = 5_000  # nobody else keeps for so long after the keeper's last look; arbitrary
_ROUTES: Final = 200  # per call, and
_SHED: Final = 50  # so much of each phase of one route: some milliseconds of Redis' time at the very most
_UNPARKED: Final = 200  # per call, some 2 ms of Redis' time
_PROBE_MS: Final = 60_000  # one call a minute costs little, and a mended key is seen within it
_DELETED_MS: Final = 600_000  # deleting a route and creating it anew loses nothing for so long
_FORSAKEN: Final = 200  # per call

_FULL: Final = 0.7  # of the memory that Redis may use: from here on what has ended makes room
_DAY_MS: Final = 86_400_000
_RELIEF: Final = (("bodies", 0), ("answers", 0), ("records", _DAY_MS))
"""What goes first, and how old it must be, in ms from its end."""
_RELIEVED: Final = 500  # per call: frees about a megabyte of bodies in about a millisecond

_log = structlog.get_logger()


class Serves(Protocol):
    """The worker's copy of the route table."""

    version: int | None

    def get(self, path: RoutePath) -> Plan | None:
        """Find a route."""
        ...

    def all(self) -> Collection[Plan]:
        """Return the routes that are served."""
        ...

    def is_broken(self, path: RoutePath) -> bool:
        """Tell whether a route exists that cannot be served, or existed until lately."""
        ...

    def deleted_since(self, path: RoutePath) -> int | None:
        """Tell when a route was deleted whose name is still held, Unix milliseconds."""
        ...

    async def refresh(self) -> None:
        """Read the table again if it has changed."""
        ...


class Keeper:
    """Looks after the queue for as long as the worker runs."""

    def __init__(  # noqa: PLR0913 - collaborators, all but one by name
        self,
        upkeep: Upkeep,
        *,
        worker: str,
        groups: Sequence[Group],
        routes: Serves,
        troubles: Troubles,
        may_meet: Callable[[Trouble], bool],
        limits: Callable[[], Mapping[RoutePath, Limit]],
        treasury: Treasury | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Take the collaborators.

        may_meet  tells whether routes, or the worker's key, may still meet a trouble as they are by now
        limits    says how many of a route's deliveries may run beside each other, where not any number may
        treasury  keeps the accounts of budgets; None = there are none
        gate      whether anything may be taken, and so asked about a trouble; None = always
        """
        self._upkeep = upkeep
        self._worker = worker
        self._groups = groups
        self._routes = routes
        self._troubles = troubles
        self._may_meet = may_meet
        self._limits = limits
        self._treasury = treasury
        self._gate = gate or Gate(is_open=True)
        self._cursors = dict.fromkeys(groups, 0)
        self._woken = asyncio.Event()
        troubles.on_mended = self.wake

    def wake(self) -> None:
        """Look at once: something that others wait for is mended, or the route table has changed."""
        self._woken.set()

    async def run(self) -> None:
        """Look for ever, at once when woken."""
        is_told = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.look()
                is_told = False
            except (RedisAway, RedisForbids) as error:
                if not is_told:
                    _log.warning("upkeep_failed", error=str(error))
                is_told = True

    async def look(self) -> None:
        """Look at every group once, and tell what waits in those that this worker keeps."""
        # Whoever has missed a change would let go of what others hold, and hold what they let go.
        await self._routes.refresh()
        mended = self._troubles.begin_look()
        stored: list[Trouble] = []
        held_by, parked_by, throttled = Counter[str](), Counter[str](), Counter[str]()
        used: dict[str, float] = {}
        if self._treasury:
            await self._treasury.settle()
        for group in self._groups:
            held = await self._upkeep.held(group)
            await self.release(group, held)
            await self._hold_suspended(group, held)
            standing = await self._upkeep.standing(group)
            stored += await self._unpark(group, standing, mended)
            if await self._keep(group):
                await self._limit(group)
                await self._keep_what_waits(group, held, standing)
                if self._treasury and self._routes.version is not None:  # a cold process knows of no budget
                    used |= await self._treasury.look(group, standing, lets_go=self._gate.is_open)
                held_by.update(why.reason for why in held.values())
                for trouble, waiting, _ in standing:
                    parked_by[trouble.reason] += waiting
                throttled.update(await self._upkeep.waiting(group))
        self._troubles.end_look(stored)
        metrics.tell(metrics.HELD_ROUTES, held_by)
        metrics.tell(metrics.PARKED, parked_by)
        metrics.tell(metrics.BUDGET_USED, used)
        buckets = await self._upkeep.buckets(throttled)
        metrics.tell(metrics.THROTTLED, throttled)
        metrics.tell(metrics.CALLS, {name: each.under_way for name, each in buckets.items()})
        metrics.tell(metrics.CALL_LIMIT, {name: each.limit for name, each in buckets.items()})
        left = {name: each.requests_left for name, each in buckets.items() if each.requests_left is not None}
        metrics.tell(metrics.REQUESTS_LEFT, left)

    async def release(self, group: Group, held: Mapping[RoutePath, Held]) -> None:
        """Let go of held routes that can be served by now, and are not suspended, and of sinks that may be mended."""
        served = [path for path, why in held.items() if self._may_go(path, why)]
        if await self._upkeep.release(group, served):
            _log.info("routes_released", routes=served)

    def _may_go(self, path: RoutePath, why: Held) -> bool:
        plan = self._routes.get(parse_path(path)[0])
        if plan is None or plan.route.is_suspended:
            return False
        return why.reason != HoldReason.GONE or plan.route.generation > why.generation

    async def _hold_suspended(self, group: Group, held: Mapping[RoutePath, Held]) -> None:
        suspended = [plan.route.path for plan in self._routes.all() if plan.route.is_suspended]
        for path in suspended:
            is_held = path in held and held[path].reason == HoldReason.SUSPENDED
            if not is_held and group_of(path, len(self._groups)) == group:
                await self._upkeep.hold(group, path, HoldReason.SUSPENDED)
                _log.info("route_suspended", route=path)

    async def _unpark(self, group: Group, standing: Sequence[Standing], mended: Collection[str]) -> list[Trouble]:
        """Let go of what waits for a mended trouble; returns the troubles that still stand."""
        stand: list[Trouble] = []
        is_warm = self._routes.version is not None  # a cold process knows of no route
        for trouble, _, _ in standing:
            if trouble.cause in mended or (is_warm and not self._may_meet(trouble)):
                _log.info("trouble_mended", cause=trouble.cause, reason=trouble.reason)
                while await self._upkeep.unpark(group, trouble.cause, count=_UNPARKED):
                    pass
            else:
                stand.append(trouble)
        return stand

    async def _keep(self, group: Group) -> bool:
        """Shed what is over; returns whether this worker is the keeper."""
        found = await self._upkeep.keep(
            group, worker=self._worker, for_ms=_KEEPER_MS, cursor=self._cursors[group], routes=_ROUTES, count=_SHED
        )
        if found is None:
            return False
        self._cursors[group], _ = found
        await self._relieve(group)
        return True

    async def _limit(self, group: Group) -> None:
        """Write down what routes say of how many may run at once; what a route said that cannot be served holds."""
        if self._routes.version is None:
            return
        known = await self._upkeep.limits(group)
        wanted = {path: limit for path, limit in self._limits().items() if group_of(path, len(self._groups)) == group}
        gone = [path for path in known if path not in wanted and not self._routes.is_broken(path)]
        changed = {path: limit for path, limit in wanted.items() if known.get(path) != limit}
        await self._upkeep.limit(group, {**changed, **dict.fromkeys(gone, Limit())})

    async def _relieve(self, group: Group) -> None:
        """Make room when Redis fills up: what has ended goes before anybody hears 503."""
        if not await self._is_full(group):
            return
        paths = await self._upkeep.routes(group)
        for kind, older_ms in _RELIEF:
            going = set(paths)
            while going:
                for path in sorted(going):
                    if not await self._upkeep.relieve(group, path, kind, older_ms=older_ms, count=_RELIEVED):
                        going.discard(path)
                    if not await self._is_full(group):
                        return
        _log.warning("redis_fills_up", full=_FULL)

    async def _is_full(self, group: Group) -> bool:
        used, most = await self._upkeep.memory(group)
        return bool(most) and used > _FULL * most

    async def _keep_what_waits(self, group: Group, held: dict[RoutePath, Held], standing: Sequence[Standing]) -> None:
        for path, why in held.items():
            await self._keep_held(group, path, why)
        for trouble, waiting, _ in standing:
            if waiting and self._gate.is_open and not trouble.budget:
                await self._upkeep.probe(group, trouble.cause, every_ms=_PROBE_MS)

    async def _keep_held(self, group: Group, path: RoutePath, why: Held) -> None:
        """Say anew why a route is held when that has changed, and bury what a deleted one has left."""
        route, _ = parse_path(path)
        if self._routes.version is None or self._routes.get(route) is not None:
            return
        is_there = self._routes.is_broken(route) and self._routes.deleted_since(route) is None
        reason = HoldReason.WITHHELD if is_there else HoldReason.DELETED
        if why.reason != reason:
            await self._upkeep.hold(group, path, reason)
        elif not is_there:
            await self._forsake(group, path)

    async def _forsake(self, group: Group, path: RoutePath) -> None:
        while (buried := await self._upkeep.forsake(group, path, after_ms=_DELETED_MS, count=_FORSAKEN)) > 0:
            _log.warning("deleted_route_forsaken", route=path, deliveries=buried)
