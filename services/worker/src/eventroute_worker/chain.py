"""The way from route to route: what is handed over becomes a delivery of the target, in the same trace.

It is judged as a receiver judges an event, by what the target says: hops, suspension, filter, lanes, rate, its share of
the queue. Its key is its claim, so that it is accepted once however often it is handed over.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.delivery import Delivery
from eventroute.errors import GaveUp, RetryLater
from eventroute.expression import Budget, EvaluationError
from eventroute.ids import Claim, DeliveryId, RoutePath, answer_claim, entity_id, new_delivery_id
from eventroute.outcome import DeadReason, Receipt
from eventroute.prompt import Event, Plan
from eventroute.queue import Admissions, Again, Candidate, Fate, Full, Joined, Limited, New, Repeat
from eventroute.redact import build_steps, redact
from eventroute.route_table import ReceiverRoute
from eventroute.runtime import tracing
from eventroute.runtime.stats import Tally
from eventroute.schemes import INSIDE
from eventroute_worker.finding import Routes

_OUTCOMES: Final[dict[type[Fate], Receipt]] = {
    Again: Receipt.REDELIVERED,
    Joined: Receipt.DEBOUNCED,
    New: Receipt.QUEUED,
    Repeat: Receipt.DUPLICATE,
}


class Handover(NamedTuple):
    """What is handed over."""

    to: RoutePath
    event: str
    """What it is called there."""
    key: str
    """The same however often it is handed over, and of nothing else of its route."""
    parent: Delivery
    """What it comes of."""
    message: Mapping[str, Any]
    hops: int
    """How many answers of ours stand behind it."""
    traceparent: str


class Handed(NamedTuple):
    """What became of it."""

    delivery: DeliveryId | None
    """None = the target starts nothing."""
    why: str = ""
    """Why it does not."""


class NotNow(RetryLater):
    """The target cannot take it now."""

    def __init__(self, detail: str, *, after_s: float | None = None) -> None:
        """Take what is the matter, for people, and the least wait."""
        super().__init__(detail)
        self.after_s = after_s


class NeverTaken(GaveUp):
    """The target will not take it."""


class Chain:
    """Hands over to other routes."""

    def __init__(
        self, routes: Routes, admissions: Admissions, tally: Tally, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the table, the way into the queue, and what counts for the targets' status."""
        self._routes = routes
        self._admissions = admissions
        self._tally = tally
        self._clock = clock

    async def hand_over(self, handover: Handover) -> Handed:
        """Hand it over once; raises `NotNow` or `NeverTaken`."""
        plan, route = await self._find(handover.to)
        if handover.hops >= route.max_hops:
            raise NeverTaken(
                f"route {handover.to}: {handover.hops} answers stand behind this event, and its maxHops is "
                f"{route.max_hops}; raise that if the chain is meant to be so long"
            )
        if route.suspend == "drop":
            self._tally.add_receipt(route.uid, Receipt.SUSPENDED)
            return Handed(None, f"route {handover.to} is suspended, and drops its events")
        candidate = _candidate(plan, route, self._delivery(handover, route), handover)
        if candidate is None:
            self._tally.add_receipt(route.uid, Receipt.FILTERED)
            return Handed(None, f"the filter of route {handover.to} does not want it")
        return Handed(await self._admit(route, candidate, handover.traceparent))

    async def _find(self, path: RoutePath) -> tuple[Plan, ReceiverRoute]:
        plan = self._routes.get(path)
        if plan is None:
            await self._routes.refresh()
            plan = self._routes.get(path)
        if plan is None:
            is_there = self._routes.is_broken(path) and self._routes.deleted_since(path) is None
            raise NotNow(f"route {path} {'cannot be served as it is written' if is_there else 'does not exist'}")
        if plan.route.receives is None and plan.route.provider == INSIDE.name:
            raise NotNow(f"route {path} cannot take events as it is written")
        if plan.route.receives is None:
            raise NeverTaken(f"route {path} takes no answers: name one of provider {INSIDE.name}")
        return plan, plan.route.receives

    def _delivery(self, handover: Handover, route: ReceiverRoute) -> Delivery:
        return Delivery(
            id=new_delivery_id(),
            route=route.path,
            generation=route.generation,
            provider=INSIDE.name,
            event=handover.event,
            provider_id=handover.key[:200],
            hops=handover.hops,
            parent=handover.parent.id,
            received_ms=int(self._clock() * 1000),
            payload=msgspec.Raw(msgspec.json.encode(handover.message)),
        )

    async def _admit(self, route: ReceiverRoute, candidate: Candidate, traceparent: str) -> DeliveryId:
        found = await self._admissions.admit(
            route.path, [candidate], rate=route.rate_limit, traceparent=traceparent, debounce=route.debounce
        )
        if isinstance(found, Limited):
            raise NotNow(f"route {route.path}: its rateLimit is used up", after_s=found.wait_s)
        if isinstance(found, Full):
            whose = "the queue is full" if found.what == "queue" else "it has its share of the queue"
            raise NotNow(f"route {route.path}: {whose}")
        (fate,) = found.fates
        outcome = Receipt.UNDECIDED if candidate.dead and isinstance(fate, New) else _OUTCOMES[type(fate)]
        self._tally.add_receipt(route.uid, outcome)
        if outcome in {Receipt.QUEUED, Receipt.REDELIVERED, Receipt.DEBOUNCED}:
            self._tally.add_accepted(
                route.uid,
                fate.delivery,
                generation=route.generation,
                time_ms=candidate.delivery.received_ms,
                trace_id=tracing.trace_id_of(traceparent),
            )
        return fate.delivery


def _candidate(plan: Plan, route: ReceiverRoute, delivery: Delivery, handover: Handover) -> Candidate | None:
    """Ask the target's filter and entity, as a receiver does; None = it is not wanted."""
    variables, budget = Event(delivery).variables, Budget()
    dead: tuple[DeadReason, str] | None = None
    if plan.filter is not None:
        holds, error = plan.filter.test(variables, budget)
        if not holds and (not error or error is EvaluationError.MISSING_FIELD):
            return None
        dead = None if holds else (DeadReason.FILTER, f"filter: {error}")
    stands_for_others = route.debounce or route.supersede
    whom = ""
    if plan.entity is not None and (route.per_entity or stands_for_others):
        whom = entity_id(route.uid, plan.entity.text(variables, budget).value)
    if route.redact.payload:
        kept = redact(delivery.payload, build_steps(route.redact.payload))
        delivery = msgspec.structs.replace(delivery, payload=kept)
    claim = Claim(answer_claim(handover.parent.route, handover.key), _remembered_s(plan))
    return Candidate(delivery, [claim], dead, whom if route.per_entity else "", whom if stands_for_others else "")


def _remembered_s(plan: Plan) -> int:
    return max(INSIDE.dedup_ttl_s, 2 * plan.route.retry.deadline_s)
