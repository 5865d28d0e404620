"""Where answers go: one module per kind, dispatched here over the tagged union of the route table."""

from typing import assert_never

from opentelemetry.trace import SpanKind, StatusCode

from eventroute.queue import Work
from eventroute.route_table import LogSink, Sink, StreamSink
from eventroute.runtime import tracing
from eventroute_worker.sinks.log import LogSinkWriter
from eventroute_worker.sinks.model import Result, SinkFailed
from eventroute_worker.sinks.stream import StreamSinkWriter

__all__ = ["Result", "SinkFailed", "Sinks"]


class Sinks:
    """Sends answers to sinks of every kind."""

    def __init__(self, work: Work) -> None:
        """Take what the kinds need."""
        self._log = LogSinkWriter(work)
        self._stream = StreamSinkWriter(work)

    async def send(self, sink: Sink, result: Result) -> None:
        """Send an answer to a sink of the route and mark it done; raises `SinkFailed`."""
        kind = type(sink).__struct_config__.tag
        with tracing.tracer().start_as_current_span(
            f"sink {kind}",
            kind=SpanKind.CLIENT,
            attributes={tracing.SINK_KIND: str(kind), tracing.SINK_NAME: sink.name},
            record_exception=False,  # its message may hold what the sink was sent
            set_status_on_exception=False,
        ) as span:
            try:
                await self._dispatch(sink, result)
            except Exception as error:
                span.set_attribute(tracing.ERROR_TYPE, type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    async def _dispatch(self, sink: Sink, result: Result) -> None:
        match sink:
            case LogSink():
                await self._log.send(sink.name, result)
            case StreamSink():
                await self._stream.send(sink, result)
            case _:
                assert_never(sink)
