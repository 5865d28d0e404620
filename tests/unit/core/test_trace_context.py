"""A trace context survives the way through the queue, and rubbish never becomes one."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio, TraceIdRatioBased
from opentelemetry.trace import SpanKind

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


@pytest.mark.parametrize(("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")])
def test_a_collector_is_sent_nothing_where_a_variable_says_so(name: str, value: str) -> None:
    assert tracing.setup("test", {name: value, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is None


def test_a_trace_is_recorded_exactly_when_the_sampler_takes_its_id() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.5), id_generator=tracing.ForeseenIds())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = [tracing.start_trace(provider.get_tracer("t"), "s", SpanKind.SERVER) for _ in range(100)]
    for span in spans:
        span.end()
    ids = [span.get_span_context().trace_id for span in spans]
    taken = {each for each in ids if each % 2**64 < TraceIdRatioBased(0.5).bound}
    assert len(set(ids)) == len({span.get_span_context().span_id for span in spans}) == 100
    assert 0 < len(taken) < 100
    assert {context.trace_id for span in exporter.get_finished_spans() if (context := span.context)} == taken
    assert {span.get_span_context().trace_id for span in spans if span.is_recording()} == set()  # all have ended
    assert {each for each, span in zip(ids, spans, strict=True) if tracing.traceparent(span).endswith("3")} == taken


def test_what_is_not_recorded_looks_as_the_sdk_has_it() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, id_generator=tracing.ForeseenIds())
    tracer = provider.get_tracer("t")
    ours = tracing.start_trace(tracer, "s", SpanKind.SERVER).get_span_context()
    theirs = tracer.start_span("s").get_span_context()
    assert (ours.is_valid, ours.is_remote, ours.trace_flags, ours.trace_state) == (
        theirs.is_valid,
        theirs.is_remote,
        theirs.trace_flags,
        theirs.trace_state,
    )


def test_without_a_provider_there_is_no_trace() -> None:
    assert not tracing.start_trace(trace.NoOpTracer(), "s", SpanKind.SERVER).get_span_context().is_valid
