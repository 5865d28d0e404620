"""What passes between the queue and the pipeline: one attempt at a delivery goes in, how it ended comes out.

Neither side knows the other: the queue never looks into a delivery, the pipeline never sees a lease.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from eventroute.ids import DeliveryId, RouteUid
from eventroute.outcome import DeadReason, RunOutcome


class Attempt(NamedTuple):
    """A leased job."""

    delivery: DeliveryId
    traceparent: str
    """W3C context of the receipt; empty without a trace."""
    number: int
    """From 1. Attempts that a crash cut short count; those that ended as `Later(counts=False)` do not."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The delivery has ended: it leaves the queue, and its records begin to age."""

    outcome: RunOutcome
    reason: DeadReason | None = None
    """Exactly when `outcome` is dead."""
    detail: str = ""
    """For people: what happened, without payload, prompt or answer."""
    fields: Mapping[str, str | bytes | int] = field(default_factory=dict)
    """Further fields of the run's record."""
    route: RouteUid | None = None
    """Whose statistics it counts in; None where the delivery could not be read: only `/metrics` tells of that."""
    trace_id: str = ""
    """32 hex digits; empty without a trace."""


@dataclass(frozen=True, kw_only=True)
class Later:
    """The delivery stays queued and is due again after a pause; its slot is free meanwhile."""

    delay_s: float
    counts: bool = True
    """False when the delivery is not at fault: the attempt does not use up the route's attempts."""


End = Settled | Later

Handler = Callable[[Attempt], Awaitable[End]]
"""What a job does. Whatever it raises is a dead letter `internal`, save that Redis is away: that is `Later`."""


def dead(reason: DeadReason, detail: str) -> Settled:
    """End as a dead letter."""
    return Settled(outcome=RunOutcome.DEAD, reason=reason, detail=detail)
