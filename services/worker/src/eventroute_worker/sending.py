"""Sending: what happens to an answer that was handed over to a sink, from the moment a worker takes it up to its end.

    route → begin → the sink, once → sent, or a pause, or a dead letter

Each attempt is a span of the receipt's trace. A sink that does not take the answer is waited for until the route's
deadline, counted from when it was handed over; a crash in between sends it again, with the same idempotency key.
"""

import time
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, Final

import msgspec
import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode

from eventroute.delivery import Delivery, decode_delivery
from eventroute.hops import markers
from eventroute.ids import DeliveryId
from eventroute.outcome import SENT, DeadReason, RunOutcome
from eventroute.prompt import Event, Plan
from eventroute.queue import Begun, Lease, Retention, Work
from eventroute.route_table import RemoteSink
from eventroute.runtime import tracing
from eventroute_worker import metrics
from eventroute_worker.answer import Answer, as_variable, decode_answer
from eventroute_worker.attempt import Attempt, End, Ended, Later, Settled, check_attempts, dead
from eventroute_worker.attempt_span import begin, under_span
from eventroute_worker.backoff import pause_s
from eventroute_worker.finding import Finder
from eventroute_worker.gate import Gate
from eventroute_worker.record import about
from eventroute_worker.sinks import RemoteSinks, Result, SinkFailed, SinkGone, SinkRefused, kind_of, split
from eventroute_worker.sinks.pace import Pace, Pacing

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOTHING_KEPT: Final = Retention(0, 0, 0)
"""Of what was sent: its delivery's own record tells of it."""


class Sender:
    """Handles one attempt at a time; any number of them concurrently."""

    def __init__(self, *, work: Work, finder: Finder, sinks: RemoteSinks, gate: Gate | None = None) -> None:
        """Take the collaborators; the gate as `Runner` takes it."""
        self._queue = work
        self._finder = finder
        self._sinks = sinks
        self._pacing = Pacing(work)
        self._gate = gate or Gate(is_open=True)

    async def __call__(self, attempt: Attempt) -> End:
        """Make one attempt under a span of its own."""
        return await under_span(
            attempt,
            self._send,
            name=tracing.SEND_ANSWER_SPAN,
            kind=SpanKind.CLIENT,
            attributes={tracing.SINK_NAME: attempt.lease.sink},
            counter=metrics.SENDINGS,
        )

    async def _send(self, attempt: Attempt, span: Span) -> Settled:
        lease = attempt.lease
        structlog.contextvars.bind_contextvars(route=lease.route)  # of this attempt's task, up to its last line
        span.set_attribute(tracing.ROUTE, lease.route)
        plan = await self._finder.find(lease)
        begun = await begin(self._queue, attempt, span)
        started = time.monotonic()
        check_attempts(begun, plan)
        delivery, answer = _read(lease, begun)
        sink = _find_sink(plan, lease.sink, delivery, answer)
        span.update_name(f"sink {kind_of(sink)}")
        span.set_attribute(tracing.SINK_KIND, kind_of(sink))
        hops = delivery.hops + 1
        ours = markers(plan.route.marker_key)
        result = Result(
            delivery,
            answer,
            tracing.trace_id(span),
            lease,
            traceparent=tracing.traceparent(span),
            hops=hops,
            marker=ours.write(hops),
            own_name=ours.own_name,
            variables=cache(partial(_variables, plan, delivery, answer)),
        )
        pace: Pace | None = None
        try:
            if pace := self._sinks.pace(sink, result):
                await self._take_turn(lease, pace, plan)
            told = await self._sinks.send(sink, result)
        except SinkRefused as refused:
            raise Ended(_dead(plan, delivery, answer, f"sink {sink.name}: {refused}")) from refused
        except SinkGone as gone:
            await self._finder.hold_sink(lease, plan, str(gone))
            raise Ended(Later(delay_s=0, counts=False, detail=str(gone))) from gone
        except SinkFailed as failure:
            span.set_status(StatusCode.ERROR)
            if pace and failure.after_s:
                await self._pacing.spare(lease, pace, plan.route.marker_key, after_s=failure.after_s)
            age_s = (begun.now_ms - max(begun.since_ms, self._gate.started_ms)) / 1000 + time.monotonic() - started
            pause = pause_s(begun.waits + 1, after_s=failure.after_s)
            if age_s + pause > plan.route.retry.deadline_s:
                detail = f"sink {sink.name}: the deadline comes before the next attempt: {failure}"
                raise Ended(_dead(plan, delivery, answer, detail)) from failure
            raise Ended(Later(delay_s=pause, counts=False, detail=str(failure))) from failure
        return Settled(outcome=SENT, detail=told, retention=_NOTHING_KEPT)

    async def _take_turn(self, lease: Lease, pace: Pace, plan: Plan) -> None:
        wait_s = await self._pacing.wait_s(lease, pace, plan.route.marker_key)
        if wait_s:
            raise Ended(Later(delay_s=wait_s, counts=False, detail="waits for its turn: others go to the same place"))


def _read(lease: Lease, begun: Begun) -> tuple[Delivery, Answer]:
    """Read what is to be sent, under the name of the delivery that it answers."""
    if begun.body is None or begun.answer is None:
        raise Ended(dead(DeadReason.DECODE, "the answer is missing"))
    answered = DeliveryId(lease.delivery.removesuffix(f":{lease.sink}"))
    try:
        delivery = decode_delivery(begun.body, id=answered, route=lease.route, received_ms=begun.accepted_ms)
        return delivery, decode_answer(begun.answer)
    except _UNREADABLE as error:
        raise Ended(dead(DeadReason.DECODE, f"the answer is unreadable: {type(error).__name__}")) from error


def _find_sink(plan: Plan, name: str, delivery: Delivery, answer: Answer) -> RemoteSink:
    _, remote = split(plan.route.sinks)
    found = next((sink for sink in remote if sink.name == name), None)
    if found is None:
        raise Ended(_dead(plan, delivery, answer, f"sink {name}: the route has no such sink any more"))
    return found


def _variables(plan: Plan, delivery: Delivery, answer: Answer) -> Mapping[str, Any]:
    event = Event(delivery)
    entity = plan.entity.text(event.variables).value if plan.entity else None
    return {**event.template_variables(entity), "answer": as_variable(answer)}


def _dead(plan: Plan, delivery: Delivery, answer: Answer, detail: str) -> Settled:
    return Settled(
        outcome=RunOutcome.DEAD,
        reason=DeadReason.SINK,
        detail=detail,
        fields=about(delivery, answer=answer),
        route=plan.route.uid,
    )
