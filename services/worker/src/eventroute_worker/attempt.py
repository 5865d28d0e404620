"""What passes between the queue and the pipeline: one attempt at a delivery goes in, how it ended comes out.

Neither side knows the other: the queue never looks into a delivery, the pipeline never renews a lease.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar

from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Plan
from eventroute.queue import Amount, Begun, Lease, Retention, Trouble
from eventroute.throttle import Size

_T = TypeVar("_T")

DEFAULT_RETENTION: Final = Retention(body=3_600_000, answer=86_400_000, record=7 * 86_400_000)
"""An hour, a day, a week: a body is for replays, an answer for questions of the same day, a record for figures."""

_RESUMPTIONS: Final = 8
"""Attempts beyond the route's own, once there is an answer that only needs to be delivered. Arbitrary."""


def _nobody_waits() -> None:
    pass


class Superseded(Exception):
    """A newer event stands for this one."""

    def __init__(self, by: str) -> None:
        """Take the id of the newer delivery."""
        super().__init__(by)
        self.by = by


class Newer:
    """Tells an attempt that a newer delivery has superseded its own; what it waits for is cut off then."""

    def __init__(self) -> None:
        """Begin without one."""
        self._by = ""
        self._scope: asyncio.Timeout | None = None

    def tell(self, by: str) -> None:
        """Say so, once or several times."""
        self._by = by
        if self._scope is not None and not self._scope.expired():  # a call that is being cut off may take its time
            self._scope.reschedule(0)

    def check(self) -> None:
        """Raise `Superseded` when there is one."""
        if self._by:
            raise Superseded(self._by)

    async def cuts_off(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make a call, as long as there is none; raises `Superseded`."""
        self.check()
        try:
            async with asyncio.timeout(None) as self._scope:
                return await call()
        except TimeoutError:
            if self._by:
                raise Superseded(self._by) from None
            raise
        finally:
            self._scope = None


@dataclass(frozen=True)
class Attempt:
    """A leased delivery."""

    lease: Lease
    free_slot: Callable[[], None] = _nobody_waits
    """To be called once Claude has answered, or need not: the next delivery may be leased."""
    newer: Newer = field(default_factory=Newer)
    has_more: Callable[[], None] = _nobody_waits
    """To be called when its answer has been handed over to sinks: there is something to send."""

    @property
    def delivery(self) -> DeliveryId:
        """Which one."""
        return self.lease.delivery


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The delivery has ended: it leaves the queue, and its record begins to age."""

    outcome: RunOutcome | Literal["sent"]
    reason: str = ""
    """A `DeadReason` exactly when `outcome` is dead; else what the answer says of its outcome."""
    detail: str = ""
    """For people: what happened, without payload, prompt or answer."""
    fields: Mapping[str, str | bytes | int] = field(default_factory=dict)
    """Further fields of the record."""
    route: RouteUid | None = None
    """Whose statistics it counts in; None where the delivery could not be read: only `/metrics` tells of that."""
    trace_id: str = ""
    """32 hex digits; empty without a trace."""
    retention: Retention = DEFAULT_RETENTION


@dataclass(frozen=True, kw_only=True)
class Later:
    """The delivery is tried again after a pause; its slot is free meanwhile."""

    delay_s: float
    counts: bool = True
    """False when the delivery is not at fault: the attempt does not use up the route's attempts."""
    detail: str = ""
    """For people: why."""


@dataclass(frozen=True, kw_only=True)
class Parked:
    """The delivery waits until a standing trouble is mended, which is not its own."""

    trouble: Trouble
    has_asked: bool
    """It was this attempt that met the trouble, not an earlier one."""
    need: Amount | None = None
    """What has no room in a budget, where that is the trouble."""


@dataclass(frozen=True, kw_only=True)
class Throttled:
    """The delivery waits for its turn at the throttle: there is no place for its call now."""

    bucket: str
    size: Size
    until_ms: int = 0
    """The earliest time at which there may be one, Unix ms by Redis' clock; 0 = not known."""
    detail: str = ""
    """For people: what the API said; empty when it was not asked."""


End = Settled | Later | Parked | Throttled


class Ended(Exception):
    """The run is over, or paused, with this end."""

    def __init__(self, end: End) -> None:
        """Take the end."""
        super().__init__()
        self.end = end


Handler = Callable[[Attempt], Awaitable[End]]
"""What is done with a delivery. Raises `LeaseLost` when another worker has it, `RedisAway` and `RedisForbids`; whatever
else it raises is a dead letter `internal`."""


def dead(reason: DeadReason, detail: str) -> Settled:
    """End as a dead letter."""
    return Settled(outcome=RunOutcome.DEAD, reason=reason, detail=detail)


def check_attempts(begun: Begun, plan: Plan) -> None:
    """End what has been cut short too often, as it may be what kills its workers; raises `Ended`."""
    allowed = plan.route.retry.attempts + (_RESUMPTIONS if begun.answer else 0)
    if begun.attempts > allowed:
        end = dead(DeadReason.ATTEMPTS, f"{begun.attempts - 1} attempts were cut short")
        raise Ended(replace(end, route=plan.route.uid))
