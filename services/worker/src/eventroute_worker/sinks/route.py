"""The `route` sink: the answer becomes a delivery of another route of the namespace, in the same trace.

It is judged as a receiver judges an event, by what the target says: hops, suspension, filter, lanes, rate, its share of
the queue. The sending's idempotency key is its claim, so that it is accepted once however often it is handed over.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from eventroute.delivery import Delivery
from eventroute.expression import Budget, EvaluationError
from eventroute.ids import Claim, RoutePath, answer_claim, entity_id, new_delivery_id
from eventroute.outcome import DeadReason, Receipt
from eventroute.prompt import Event, Plan
from eventroute.queue import Admissions, Again, Candidate, Fate, Full, Joined, Limited, New, Repeat
from eventroute.redact import build_steps, redact
from eventroute.route_table import ReceiverRoute, RouteSink
from eventroute.runtime import tracing
from eventroute.runtime.stats import Tally
from eventroute.schemes import INSIDE
from eventroute_worker.finding import Routes
from eventroute_worker.sinks.http import build_message
from eventroute_worker.sinks.model import AsItIs, Result, SinkFailed, SinkRefused

_OUTCOMES: Final[dict[type[Fate], Receipt]] = {
    Again: Receipt.REDELIVERED,
    Joined: Receipt.DEBOUNCED,
    New: Receipt.QUEUED,
    Repeat: Receipt.DUPLICATE,
}


class RouteSinkWriter:
    """Hands answers over to other routes."""

    def __init__(
        self, routes: Routes, admissions: Admissions, tally: Tally, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the table, the way into the queue, and what counts for the targets' status."""
        self._routes = routes
        self._admissions = admissions
        self._tally = tally
        self._clock = clock

    async def send(self, sink: RouteSink, result: Result) -> str:
        """Hand the answer over once; raises `SinkFailed` or `SinkRefused`.

        returns  why the target starts nothing, for people; empty = it does
        """
        plan, route = await self._find(sink.route)
        if result.hops >= route.max_hops:
            raise SinkRefused(
                f"route {sink.route}: {result.hops} answers stand behind this event, and its maxHops is "
                f"{route.max_hops}; raise that if the chain is meant to be so long"
            )
        if route.suspend == "drop":
            self._tally.add_receipt(route.uid, Receipt.SUSPENDED)
            return f"route {sink.route} is suspended, and drops its events"
        text = await result.write(sink.message, AsItIs()) if sink.message else result.answer.text
        delivery = self._delivery(sink, route, result, text)
        candidate = _candidate(plan, route, delivery, result, key=result.idempotency_key(sink.name))
        if candidate is None:
            self._tally.add_receipt(route.uid, Receipt.FILTERED)
            return f"the filter of route {sink.route} does not want it"
        await self._admit(route, candidate, result)
        return ""

    async def _find(self, path: RoutePath) -> tuple[Plan, ReceiverRoute]:
        plan = self._routes.get(path)
        if plan is None:
            await self._routes.refresh()
            plan = self._routes.get(path)
        if plan is None:
            is_there = self._routes.is_broken(path) and self._routes.deleted_since(path) is None
            raise SinkFailed(f"route {path} {'cannot be served as it is written' if is_there else 'does not exist'}")
        if plan.route.receives is None and plan.route.provider == INSIDE.name:
            raise SinkFailed(f"route {path} cannot take events as it is written")
        if plan.route.receives is None:
            raise SinkRefused(f"route {path} takes no answers: name one of provider {INSIDE.name}")
        return plan, plan.route.receives

    def _delivery(self, sink: RouteSink, route: ReceiverRoute, result: Result, text: str) -> Delivery:
        key = result.idempotency_key(sink.name)
        return Delivery(
            id=new_delivery_id(),
            route=route.path,
            generation=route.generation,
            provider=INSIDE.name,
            event=sink.event,
            provider_id=key[:200],
            hops=result.hops,
            parent=result.delivery.id,
            received_ms=int(self._clock() * 1000),
            payload=msgspec.Raw(msgspec.json.encode(build_message(sink.name, result, text=text))),
        )

    async def _admit(self, route: ReceiverRoute, candidate: Candidate, result: Result) -> None:
        found = await self._admissions.admit(
            route.path, [candidate], rate=route.rate_limit, traceparent=result.traceparent, debounce=route.debounce
        )
        if isinstance(found, Limited):
            raise SinkFailed(f"route {route.path}: its rateLimit is used up", after_s=found.wait_s)
        if isinstance(found, Full):
            whose = "the queue is full" if found.what == "queue" else "it has its share of the queue"
            raise SinkFailed(f"route {route.path}: {whose}")
        (fate,) = found.fates
        outcome = Receipt.UNDECIDED if candidate.dead and isinstance(fate, New) else _OUTCOMES[type(fate)]
        self._tally.add_receipt(route.uid, outcome)
        if outcome in {Receipt.QUEUED, Receipt.REDELIVERED, Receipt.DEBOUNCED}:
            self._tally.add_accepted(
                route.uid,
                fate.delivery,
                generation=route.generation,
                time_ms=candidate.delivery.received_ms,
                trace_id=tracing.trace_id_of(result.traceparent),
            )


def _candidate(plan: Plan, route: ReceiverRoute, delivery: Delivery, result: Result, *, key: str) -> Candidate | None:
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
    claim = Claim(answer_claim(result.delivery.route, key), _remembered_s(plan))
    return Candidate(delivery, [claim], dead, whom if route.per_entity else "", whom if stands_for_others else "")


def _remembered_s(plan: Plan) -> int:
    return max(INSIDE.dedup_ttl_s, 2 * plan.route.retry.deadline_s)
