"""The one trace: its set-up by the standard OTEL_ variables, its way through the queue, and every name it uses.

    POST /hooks/{namespace}/{name}  SERVER     receiver
    └── send eventroute             PRODUCER   receiver; its context travels in the job
        └── process eventroute      CONSUMER   worker, one per attempt, linked to the attempt before
            ├── chat {model}        CLIENT     worker
            ├── execute_tool {tool} CLIENT     worker
            └── sink {kind}         CLIENT     worker

Attributes never hold a secret, a body, a prompt or an answer. Attribute names follow OpenTelemetry's HTTP, messaging
and GenAI conventions, the latter two still in development: this module is the only place that spells them.
"""

import os
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer

DESTINATION: Final = "eventroute"
RECEIPT_SPAN: Final = "POST /hooks/{namespace}/{name}"
SEND_SPAN: Final = f"send {DESTINATION}"
PROCESS_SPAN: Final = f"process {DESTINATION}"
SEND_ANSWER_SPAN: Final = "sink"  # until it is known of which kind

HTTP_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_STATUS: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_OPERATION: Final = "messaging.operation.name"
MESSAGING_OPERATION_TYPE: Final = "messaging.operation.type"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_MESSAGE_ID: Final = "messaging.message.id"
MESSAGING_BATCH_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"
ROUTE: Final = "eventroute.route"
PROVIDER: Final = "eventroute.provider"
EVENT: Final = "eventroute.event"
EVENT_ID: Final = "eventroute.event.id"
EVENT_COUNT: Final = "eventroute.event.count"
HOPS: Final = "eventroute.hops"
OUTCOME: Final = "eventroute.outcome"
REASON: Final = "eventroute.reason"
DETAIL: Final = "eventroute.detail"
ATTEMPT: Final = "eventroute.attempt"
GENAI_OPERATION: Final = "gen_ai.operation.name"
GENAI_PROVIDER: Final = "gen_ai.provider.name"
GENAI_TOOL_NAME: Final = "gen_ai.tool.name"
GENAI_TOOL_CALL: Final = "gen_ai.tool.call.id"
GENAI_REQUEST_MODEL: Final = "gen_ai.request.model"
GENAI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
GENAI_RESPONSE_ID: Final = "gen_ai.response.id"
GENAI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GENAI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GENAI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GENAI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
SINK_KIND: Final = "eventroute.sink.kind"
SINK_NAME: Final = "eventroute.sink.name"

_EXPORT_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRACEPARENT_PARTS: Final = 4
_NO_PARENT: Final = Context()
_UNSAMPLED: Final = TraceFlags(TraceFlags.RANDOM_TRACE_ID)


def setup(service: str, environ: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """Install the tracer provider that the standard variables ask for; None when they name no collector.

    Without a collector spans would be made and thrown away, so then none is made at all: the API's no-op tracer stays.
    Sampling, batch sizes and headers are the SDK's own variables (OTEL_TRACES_SAMPLER, OTEL_BSP_…).
    """
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if is_off or not any(map(environ.get, _EXPORT_VARIABLES)):
        return None
    # The exporter is optional and slow to import: only programs that export pay for it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    name = environ.get("OTEL_SERVICE_NAME", service)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), id_generator=ForeseenIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def stay_under(span: Span) -> None:
    """Let what this task still does be told as a child of a span that has ended."""
    attach(trace.set_span_in_context(NonRecordingSpan(span.get_span_context())))


def tracer() -> Tracer:
    """Hand out EventRoute's tracer; a no-op until `setup` installed a provider."""
    return trace.get_tracer("eventroute")


class ForeseenIds(RandomIdGenerator):
    """Draws the next trace's id beforehand, so that a sampler, which goes by it, can be asked before a span is made."""

    def __init__(self) -> None:
        """Draw the first one."""
        self.next_trace = super().generate_trace_id()

    def generate_trace_id(self) -> int:
        """Hand out the one that was drawn, and draw another."""
        taken, self.next_trace = self.next_trace, super().generate_trace_id()
        return taken


def start_trace(tracer: Tracer, name: str, kind: SpanKind) -> Span:
    """Begin a span without a parent.

    Most are not recorded where a part of all requests is sampled. Of these there is nothing but their ids, for which
    the SDK's own way takes more than twice as long.
    """
    if isinstance(tracer, SdkTracer) and isinstance(ids := tracer.id_generator, ForeseenIds):
        sampled = tracer.sampler.should_sample(_NO_PARENT, ids.next_trace, name, kind)
        if sampled.decision is Decision.DROP:
            trace_id, span_id = ids.generate_trace_id(), ids.generate_span_id()
            return NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=_UNSAMPLED))
    return tracer.start_span(name, context=_NO_PARENT, kind=kind)


def messaging(operation: str) -> dict[str, str]:
    """Say what a span does with the queue: `send` or `process`."""
    return {
        MESSAGING_SYSTEM: "redis",
        MESSAGING_OPERATION: operation,
        MESSAGING_OPERATION_TYPE: operation,
        MESSAGING_DESTINATION: DESTINATION,
    }


def traceparent(span: Span) -> str:
    """Write a span's context as a W3C `traceparent`; empty when there is no trace."""
    trace_id, span_id, _, flags, _, is_valid = span.get_span_context()
    return f"00-{trace_id:032x}-{span_id:016x}-{int(flags):02x}" if is_valid else ""


def trace_id(span: Span) -> str:
    """Write the id of a span's trace, 32 hex digits; empty when there is no trace."""
    context = span.get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else ""


def trace_id_of(traceparent: str) -> str:
    """Take the id of the trace out of what `traceparent` wrote."""
    return traceparent[3:35]


def parse_traceparent(header: str) -> SpanContext | None:
    """Read a W3C `traceparent`; None when it is absent or not one."""
    parts = header.split("-")
    if len(parts) < _TRACEPARENT_PARTS or [len(part) for part in parts[:_TRACEPARENT_PARTS]] != [2, 32, 16, 2]:
        return None
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:_TRACEPARENT_PARTS])
    except ValueError:
        return None
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return context if context.is_valid else None


def remote_context(header: str) -> Context:
    """Make the context in which a span continues a trace from elsewhere; an empty one without a valid header."""
    remote = parse_traceparent(header)
    return trace.set_span_in_context(NonRecordingSpan(remote), Context()) if remote else Context()
