"""Where answers go: one module per kind, dispatched here over the tagged union of the route table."""

from typing import assert_never

from opentelemetry.trace import SpanKind, StatusCode
from redis.asyncio import Redis

from eventroute.route_table import LogSink, Sink, StreamSink
from eventroute.runtime import tracing
from eventroute_worker.record import Records
from eventroute_worker.sinks.log import LogSinkWriter
from eventroute_worker.sinks.model import Result, SinkFailed
from eventroute_worker.sinks.stream import StreamSinkWriter

__all__ = ["Result", "SinkFailed", "Sinks"]


class Sinks:
    """Sends answers to sinks of every kind."""

    def __init__(self, redis: Redis, records: Records) -> None:
        """Take what the kinds need."""
        self._log = LogSinkWriter(records)
        self._stream = StreamSinkWriter(redis)

    async def send(self, sink: Sink, result: Result, position: int) -> None:
        """Send an answer to the route's sink at this position and mark it done; raises `SinkFailed`."""
        kind = type(sink).__struct_config__.tag
        with tracing.tracer().start_as_current_span(
            f"sink {kind}",
            kind=SpanKind.CLIENT,
            attributes={tracing.SINK_KIND: str(kind)},
            record_exception=False,  # its message may hold what the sink was sent
            set_status_on_exception=False,
        ) as span:
            try:
                await self._dispatch(sink, result, position)
            except Exception as error:
                span.set_attribute(tracing.ERROR_TYPE, type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    async def _dispatch(self, sink: Sink, result: Result, position: int) -> None:
        match sink:
            case LogSink():
                await self._log.send(result, position)
            case StreamSink():
                await self._stream.send(sink, result, position)
            case _:
                assert_never(sink)
