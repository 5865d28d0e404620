"""A run: what happens to a delivery from the moment a worker takes it up to its outcome.

    load → route → match → answer (saved: from an earlier attempt, or history → render → Claude → save)
         → sinks, each marked when done → history → outcome

Whatever ends a run early raises `Ended` with how; a crash anywhere resumes after the last thing that was saved. Knows
nothing of leases and queues, and holds no state between attempts.
"""

import time
from dataclasses import replace
from typing import Final, NamedTuple, NoReturn, Protocol

import msgspec
import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode

from eventroute.delivery import Delivery, decode_delivery
from eventroute.errors import Refused
from eventroute.expression import Text
from eventroute.ids import RoutePath
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.prompt import Event, Plan, Prompt
from eventroute.route_table import ModelCall
from eventroute.runtime import tracing
from eventroute.secret import Secret
from eventroute.template import RenderFailed
from eventroute_worker import metrics
from eventroute_worker.answer import Answer, GivenUp, Postponed, Reply
from eventroute_worker.attempt import Attempt, End, Later, Settled, dead
from eventroute_worker.backoff import pause_s
from eventroute_worker.history import History
from eventroute_worker.record import Begun, Records
from eventroute_worker.sinks import Result, SinkFailed, Sinks

_NO_ROUTE_PAUSE_S: Final = 5.0  # until the table may have been read, or an unreadable entry been replaced
_NO_ROUTE_DEADLINE_S: Final = 86_400  # a day, as long as routes wait by default: nobody else says how long to try

_RESUMPTIONS: Final = 8
"""Attempts beyond the route's own, once there is an answer that only needs to be delivered. Arbitrary."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_log = structlog.get_logger()


class Routes(Protocol):
    """The worker's copy of the route table."""

    version: int | None

    def get(self, path: RoutePath) -> Plan | None:
        """Find a route."""
        ...

    def is_broken(self, path: RoutePath) -> bool:
        """Tell whether a route exists that cannot be read."""
        ...

    async def refresh(self) -> None:
        """Read the table again if it has changed."""
        ...


class Asks(Protocol):
    """Claude, or what stands in for it."""

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        """Ask once."""
        ...


class Ended(Exception):
    """The run is over, or paused, with this end."""

    def __init__(self, end: End) -> None:
        """Take the end."""
        super().__init__()
        self.end = end


class _Work(NamedTuple):
    """One attempt's view of its delivery."""

    attempt: Attempt
    begun: Begun
    delivery: Delivery
    plan: Plan
    event: Event
    entity: str | None

    @property
    def deadline_ms(self) -> int:
        return self.delivery.received_ms + self.plan.route.retry.deadline_s * 1000


class Runner:
    """Handles one attempt at a time; any number of them concurrently."""

    def __init__(self, *, records: Records, routes: Routes, claude: Asks, history: History, sinks: Sinks) -> None:
        """Take the collaborators."""
        self._records = records
        self._routes = routes
        self._claude = claude
        self._history = history
        self._sinks = sinks

    async def __call__(self, attempt: Attempt) -> End:
        """Run one attempt under its own span, a child of the receipt's."""
        with tracing.tracer().start_as_current_span(
            tracing.PROCESS_SPAN,
            context=tracing.remote_context(attempt.traceparent),
            kind=SpanKind.CONSUMER,
            attributes={
                **tracing.messaging("process"),
                tracing.MESSAGING_MESSAGE_ID: attempt.delivery,
                tracing.ATTEMPT: attempt.number,
            },
            record_exception=False,  # its message may hold a part of the payload
            set_status_on_exception=False,
        ) as span:
            end: End
            try:
                end = await self._run(attempt, span)
            except Ended as ended:
                end = ended.end
            except Exception as error:
                span.set_attribute(tracing.ERROR_TYPE, type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            if isinstance(end, Settled):
                end = replace(end, trace_id=tracing.trace_id(span))
            _describe(span, end)
            _log.info("attempt_ended", delivery=attempt.delivery, attempt=attempt.number, **_named(end))
        return end

    async def _run(self, attempt: Attempt, span: Span) -> Settled:
        begun = await self._records.begin(attempt.delivery, traceparent=tracing.traceparent(span))
        if (previous := tracing.parse_traceparent(begun.last_traceparent)) is not None:
            span.add_link(previous)
        delivery = _read_delivery(begun)
        structlog.contextvars.bind_contextvars(route=delivery.route)  # of this attempt's task, up to its last line
        span.set_attributes(
            {tracing.ROUTE: delivery.route, tracing.PROVIDER: delivery.provider, tracing.EVENT: delivery.event}
        )
        plan = await self._find_route(delivery)
        _check_attempts(attempt, begun, delivery, plan)
        event = _read_event(delivery)
        entity = plan.entity.text(event.variables) if plan.entity else Text(None)
        work = _Work(attempt, begun, delivery, plan, event, entity.value)
        answer = begun.answer or await self._ask(work)
        if answer.text and answer.outcome is not RunOutcome.REFUSED:
            await self._send(work, answer, span)
            if entity.value and plan.route.history:
                await self._history.remember(plan.route.history, delivery, entity.value, answer)
        seen = {"missing_fields": " ".join(answer.missing_fields), "entity_error": entity.error or ""}
        end = Settled(outcome=answer.outcome, detail=_remark(answer), fields=seen)
        return _with(end, delivery)

    async def _find_route(self, delivery: Delivery) -> Plan:
        """Find the route as it was when the delivery was accepted, or newer."""
        plan = self._routes.get(delivery.route)
        if plan is None or plan.route.uid != delivery.route_uid or plan.route.generation < delivery.generation:
            await self._routes.refresh()
            plan = self._routes.get(delivery.route)
        if plan is not None and plan.route.uid == delivery.route_uid:
            return plan
        if self._routes.version is None or self._routes.is_broken(delivery.route):
            if _now_ms() > delivery.received_ms + _NO_ROUTE_DEADLINE_S * 1000:
                raise Ended(_with(dead(DeadReason.DEADLINE, "the route could not be served for a day"), delivery))
            raise Ended(Later(delay_s=_NO_ROUTE_PAUSE_S, counts=False))
        raise Ended(_with(Settled(outcome=RunOutcome.DISCARDED, detail="route_deleted"), delivery))

    async def _ask(self, work: _Work) -> Answer:
        """Get an answer and save it, before anything is done with it."""
        retry = work.plan.route.retry
        if _now_ms() > work.deadline_ms:
            self._end(work, dead(DeadReason.DEADLINE, f"no answer within {retry.deadline_s} s of the receipt"))
        match = work.plan.match(work.event)
        if match.position is None:
            failed = "".join(f"; prompts[{position}].when: {error}" for position, error in match.errors)
            self._end(work, Settled(outcome=RunOutcome.DISCARDED, detail=f"no_prompt{failed}"))
        prompt = await self._render(work, match.position)
        call = work.plan.route.prompts[match.position].model
        reply = await self._claude.ask(call, prompt, api_key=work.plan.route.api_key)
        if isinstance(reply, GivenUp):
            self._end(work, dead(reply.reason, reply.detail))
        if isinstance(reply, Postponed):
            reason = DeadReason.TIMEOUT if reply.timed_out else DeadReason.ATTEMPTS
            await self._postpone(work, reply.detail, exhausted=reason, after_s=reply.after_s)
        answer = msgspec.structs.replace(reply, missing_fields=prompt.missing_fields)
        return await self._records.save_answer(work.delivery.id, answer)

    async def _render(self, work: _Work, position: int) -> Prompt:
        route = work.plan.route
        told = (
            await self._history.recall(route.history, work.delivery, work.entity)
            if work.entity and route.history
            else []
        )
        try:
            return work.plan.build_prompt(position, work.event, entity=work.entity, history=told)
        except RenderFailed as error:
            self._end(work, dead(DeadReason.RENDER, f"prompts[{position}].user: {error}"))

    async def _send(self, work: _Work, answer: Answer, span: Span) -> None:
        """Give the answer to each sink that does not have it yet; one that fails does not keep it from the others."""
        result = Result(work.delivery, answer, tracing.trace_id(span))
        failures = []
        for position, sink in enumerate(work.plan.route.sinks):
            if position in work.begun.sinks_done:
                continue
            try:
                await self._sinks.send(sink, result, position)
            except SinkFailed as failure:
                failures.append(f"sinks[{position}]: {failure}")
        if failures:
            await self._postpone(work, "; ".join(failures), exhausted=DeadReason.SINK)

    async def _postpone(
        self, work: _Work, detail: str, *, exhausted: DeadReason, after_s: float | None = None
    ) -> NoReturn:
        """Try again later, as the route's retry rule allows.

        exhausted  the reason of the dead letter when this was the last attempt; when the next one would come after the
                   deadline it is `deadline`, unless the answer is there and only a sink is missing
        """
        pause = pause_s(work.attempt.number, after_s=after_s)
        if work.attempt.number >= work.plan.route.retry.attempts:
            self._end(work, dead(exhausted, f"attempt {work.attempt.number}: {detail}"))
        if _now_ms() + pause * 1000 > work.deadline_ms:
            reason = DeadReason.SINK if exhausted is DeadReason.SINK else DeadReason.DEADLINE
            self._end(work, dead(reason, f"the deadline comes before the next attempt: {detail}"))
        await self._records.note_error(work.delivery.id, detail)
        raise Ended(Later(delay_s=pause))

    @staticmethod
    def _end(work: _Work, end: Settled) -> NoReturn:
        raise Ended(_with(end, work.delivery))


def _read_delivery(begun: Begun) -> Delivery:
    if begun.delivery is None:
        raise Ended(dead(DeadReason.DECODE, "the delivery is missing"))
    try:
        return decode_delivery(begun.delivery)
    except _UNREADABLE as error:
        raise Ended(dead(DeadReason.DECODE, f"the delivery is unreadable: {type(error).__name__}")) from error


def _check_attempts(attempt: Attempt, begun: Begun, delivery: Delivery, plan: Plan) -> None:
    """Give up a delivery whose attempts keep being cut short, before its payload, which may be why, is looked at."""
    allowed = plan.route.retry.attempts + (_RESUMPTIONS if begun.answer else 0)
    if attempt.number > allowed:
        raise Ended(_with(dead(DeadReason.ATTEMPTS, f"{attempt.number - 1} attempts were cut short"), delivery))


def _read_event(delivery: Delivery) -> Event:
    try:
        return Event(delivery)
    except Refused as error:
        raise Ended(_with(dead(DeadReason.DECODE, str(error)), delivery)) from error


def _with(end: Settled, delivery: Delivery) -> Settled:
    """Say what the run was about, for as long as its record outlives the delivery."""
    about: dict[str, str | bytes | int] = {
        "route": delivery.route,
        "provider": delivery.provider,
        "event": delivery.event,
        "received_ms": delivery.received_ms,
    }
    return replace(end, fields={**about, **end.fields}, route=delivery.route_uid)


def _remark(answer: Answer) -> str:
    if not answer.text:
        return f"the answer holds no text (stop reason {answer.stop_reason})"
    return "" if answer.outcome is RunOutcome.SUCCEEDED else f"stop reason {answer.stop_reason}"


def _named(end: End) -> dict[str, str]:
    if isinstance(end, Later):
        return {"end": "later", "delay_s": f"{end.delay_s:.3f}"}
    return {"end": end.outcome, "reason": end.reason or "", "detail": end.detail}


def _describe(span: Span, end: End) -> None:
    named = _named(end)
    metrics.ATTEMPTS.labels(named["end"]).inc()
    span.set_attribute(tracing.OUTCOME, named["end"])
    if reason := named.get("reason"):
        span.set_attribute(tracing.REASON, reason)
        span.set_status(StatusCode.ERROR)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
