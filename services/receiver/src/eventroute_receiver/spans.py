"""The receiver's part of the trace: one span for the receipt, one for handing over to the queue.

Made by hand: a general ASGI instrumentation makes three spans per request and costs more than the whole receipt.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from eventroute.queue import Candidate
from eventroute.runtime import tracing
from eventroute.schemes import Event
from eventroute_receiver.answer import Answer
from eventroute_receiver.routes import Hook

_NO_PARENT: Final = Context()
_SEND: Final = tracing.messaging("send")
_SERVER_ERROR: Final = 500
_MAX_ID_CHARS: Final = 200
_MAX_PATH_CHARS: Final = 200  # longer than any route; a path without a route is whatever somebody sent


def start_receipt(tracer: Tracer, headers: list[tuple[bytes, bytes]]) -> Span:
    """Begin the trace. A sender's own `traceparent` is linked, not adopted: outsiders do not decide what is sampled."""
    span = tracing.start_trace(tracer, tracing.RECEIPT_SPAN, SpanKind.SERVER)
    if span.is_recording():
        theirs = [
            tracing.parse_traceparent(value.decode("latin-1")) for name, value in headers if name == b"traceparent"
        ]
        if theirs and theirs[-1]:
            span.add_link(theirs[-1])
    return span


def note_events(span: Span, events: Sequence[Event], kept: Sequence[Candidate]) -> None:
    """Name what a verified request is about: its first event, by type and the sender's id, and how many there are.

    Of what is kept, the most answers of ours behind one are told, if there are any.

    No id attribute where the event has none: then only equal bytes, and for minutes only, count as the same event.
    """
    if span.is_recording():
        first = events[0]
        span.set_attributes({tracing.EVENT: first.type, tracing.EVENT_COUNT: len(events)})
        if first.id:
            span.set_attribute(tracing.EVENT_ID, first.id[:_MAX_ID_CHARS])
        if hops := max((each.delivery.hops for each in kept), default=0):
            span.set_attribute(tracing.HOPS, hops)


def start_send(tracer: Tracer, receipt: Span, *, count: int) -> Span:
    """Begin the span whose context travels in the job."""
    if not receipt.is_recording():
        return receipt
    return tracer.start_span(
        tracing.SEND_SPAN,
        context=set_span_in_context(receipt, _NO_PARENT),
        kind=SpanKind.PRODUCER,
        attributes=_SEND if count == 1 else {**_SEND, tracing.MESSAGING_BATCH_COUNT: count},
    )


def end_receipt(span: Span, answer: Answer, hook: Hook | None, scope: Mapping[str, Any]) -> None:
    """Note how the request was answered, and where it went: a route, or a path without one."""
    if span.is_recording():
        where = {tracing.URL_PATH: scope["raw_path"].decode("latin-1")[:_MAX_PATH_CHARS]}
        if hook:
            where |= {tracing.ROUTE: hook.route.path, tracing.PROVIDER: hook.route.scheme.name}
        span.set_attributes(
            {
                tracing.HTTP_METHOD: scope["method"],
                tracing.HTTP_ROUTE: "/hooks/{namespace}/{name}",
                tracing.HTTP_STATUS: answer.status,
                tracing.OUTCOME: answer.outcome,
                **({tracing.REASON: answer.reason} if answer.reason else {}),
                **where,
            }
        )
        if answer.status >= _SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
    span.end()
