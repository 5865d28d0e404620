"""A trace context survives the way through the queue, and rubbish never becomes one."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from eventroute.runtime import tracing


def test_a_written_context_reads_back() -> None:
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        header = tracing.traceparent(span)
    context = tracing.parse_traceparent(header)
    assert context is not None
    assert (context.trace_id, context.span_id, context.is_remote) == (
        span.get_span_context().trace_id,
        span.get_span_context().span_id,
        True,
    )
    assert trace.get_current_span(tracing.remote_context(header)).get_span_context() == context


def test_no_trace_writes_nothing() -> None:
    assert tracing.traceparent(trace.INVALID_SPAN) == ""


@pytest.mark.parametrize(
    "header",
    [
        "",
        "-",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "g" * 32 + "-" + "1" * 16 + "-01",
        "x" * 55,
        "00-1-1-1",
    ],
)
def test_what_is_not_a_traceparent_starts_no_trace(header: str) -> None:
    assert tracing.parse_traceparent(header) is None
    assert not trace.get_current_span(tracing.remote_context(header)).get_span_context().is_valid


def test_without_a_collector_nothing_is_installed() -> None:
    assert tracing.setup("test", {}) is None
    assert tracing.setup("test", {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is None
