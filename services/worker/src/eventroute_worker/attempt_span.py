"""The span of an attempt, a child of the receipt's, and what trace, log and metrics say of how it ended."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue
from prometheus_client import Counter

from eventroute.outcome import RunOutcome
from eventroute.queue import Begun, Work
from eventroute.runtime import tracing
from eventroute_worker.attempt import Attempt, End, Ended, Later, Parked, Settled, Throttled

_log = structlog.get_logger()


async def under_span(
    attempt: Attempt,
    steps: Callable[[Attempt, Span], Awaitable[End]],
    *,
    name: str,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue],
    counter: Counter,
) -> End:
    """Make an attempt; whatever its steps end it with is its end, be it returned or raised as `Ended`.

    counter  of one label, the end
    """
    with tracing.tracer().start_as_current_span(
        name,
        context=tracing.remote_context(attempt.lease.traceparent),
        kind=kind,
        attributes={**attributes, tracing.MESSAGING_MESSAGE_ID: attempt.delivery},
        record_exception=False,  # its message may hold a part of the payload, or of the answer
        set_status_on_exception=False,
    ) as span:
        try:
            end = await steps(attempt, span)
        except Ended as ended:
            end = ended.end
        except Exception as error:
            span.set_attribute(tracing.ERROR_TYPE, type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        if isinstance(end, Settled):
            end = replace(end, trace_id=tracing.trace_id(span))
        named = _named(end)
        counter.labels(named["end"]).inc()
        _describe(span, end, named)
        _log.info("attempt_ended", delivery=attempt.delivery, **named)
    tracing.stay_under(span)  # the queue writes the end in this task
    return end


async def begin(queue: Work, attempt: Attempt, span: Span) -> Begun:
    """Begin an attempt in the queue, and link its span to that of the attempt before."""
    begun = await queue.begin(attempt.lease, traceparent=tracing.traceparent(span))
    span.set_attribute(tracing.ATTEMPT, begun.attempts)
    if (previous := tracing.parse_traceparent(begun.last_traceparent)) is not None:
        span.add_link(previous)
    return begun


def _named(end: End) -> dict[str, str]:
    match end:
        case Later():
            return {"end": "later", "delay_s": f"{end.delay_s:.3f}", "detail": end.detail}
        case Parked():
            return {"end": "parked", "reason": end.trouble.reason, "detail": end.trouble.detail}
        case Throttled():
            return {"end": "throttled", "detail": end.detail}
        case Settled():
            return {"end": end.outcome, "reason": end.reason, "detail": end.detail}


def _describe(span: Span, end: End, named: Mapping[str, str]) -> None:
    span.set_attribute(tracing.OUTCOME, named["end"])
    if detail := named["detail"]:
        span.set_attribute(tracing.DETAIL, detail)
    if reason := named.get("reason"):
        span.set_attribute(tracing.REASON, reason)
        if not isinstance(end, Settled) or end.outcome is RunOutcome.DEAD:
            span.set_status(StatusCode.ERROR)
