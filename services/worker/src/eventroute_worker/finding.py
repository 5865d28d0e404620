"""Finding the route of what was leased; where it cannot be served or is suspended, its deliveries wait for a change."""

from typing import Final, Protocol

from eventroute.ids import RoutePath
from eventroute.prompt import Plan
from eventroute.queue import Group, HoldReason, Lease
from eventroute_worker.attempt import Ended, Later

_COLD_S: Final = 1.0  # until the table may have been read


class Routes(Protocol):
    """The worker's copy of the route table."""

    version: int | None

    def get(self, path: RoutePath) -> Plan | None:
        """Find a route."""
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


class Holds(Protocol):
    """Who holds routes."""

    async def hold(self, group: Group, path: RoutePath, reason: str, detail: str = "", *, generation: int = 0) -> bool:
        """Let a route take no more turns."""
        ...


class Finder:
    """Finds routes for attempts."""

    def __init__(self, routes: Routes, holds: Holds) -> None:
        """Take the table, and who holds what cannot be served."""
        self._routes = routes
        self._holds = holds

    async def find(self, lease: Lease, *, anew: bool = False) -> Plan:
        """Find the route of a lease, or hold what it is of and raise `Ended`.

        anew  what this process knows of the route is too old
        """
        path = lease.route
        plan = None if anew else self._routes.get(path)
        if plan is None:
            await self._routes.refresh()
            plan = self._routes.get(path)
        if plan is not None and not plan.route.is_suspended:
            return plan
        if self._routes.version is None:
            raise Ended(Later(delay_s=_COLD_S, counts=False))
        await self._holds.hold(lease.group, lease.path, self._why_held(path, plan))
        raise Ended(Later(delay_s=0, counts=False))

    async def hold_sink(self, lease: Lease, plan: Plan, detail: str) -> None:
        """Send nothing more to a sink until its route is written anew."""
        await self._holds.hold(lease.group, lease.path, HoldReason.GONE, detail, generation=plan.route.generation)

    def _why_held(self, path: RoutePath, plan: Plan | None) -> HoldReason:
        if plan is not None:
            return HoldReason.SUSPENDED
        is_there = self._routes.is_broken(path) and self._routes.deleted_since(path) is None
        return HoldReason.WITHHELD if is_there else HoldReason.DELETED
