"""The `stream` sink: the answer as an entry of a capped Redis stream, added and marked in one step."""

import msgspec

from eventroute.queue import Work
from eventroute.route_table import StreamSink
from eventroute.runtime.scripts import RedisForbids
from eventroute_worker.sinks.model import Result, SinkFailed


class StreamSinkWriter:
    """Adds answers to streams of the route's namespace."""

    def __init__(self, work: Work) -> None:
        """Take the calls to the queue, where streams stand too."""
        self._work = work

    async def send(self, sink: StreamSink, result: Result) -> None:
        """Add the entry unless it is there; raises `SinkFailed` when the stream does not take it."""
        namespace, _, _ = result.delivery.route.partition("/")
        stream = f"{namespace}/{sink.stream}"
        try:
            await self._work.add_to_stream(
                result.lease, sink.name, stream, _entry(result, sink.name), max_entries=sink.max_entries
            )
        except RedisForbids as error:
            raise SinkFailed(f"stream {stream}: {error}") from error


def _entry(result: Result, sink: str) -> dict[str, str]:
    delivery, answer = result.delivery, result.answer
    return {
        "delivery": delivery.id,
        "idempotency_key": result.idempotency_key(sink),
        "route": delivery.route,
        "provider": delivery.provider,
        "event": delivery.event,
        "received_ms": str(delivery.received_ms),
        "outcome": answer.outcome,
        "model": answer.model,
        "text": answer.text,
        "hops": str(result.hops),
        "marker": result.marker,
        "usage": msgspec.json.encode(answer.usage).decode(),
        "cost_usd": "" if answer.cost_usd is None else str(answer.cost_usd),
        "trace_id": result.trace_id,
    }
