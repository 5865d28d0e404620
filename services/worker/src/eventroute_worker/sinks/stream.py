"""The `stream` sink: the answer as an entry of a capped Redis stream, added and marked in one step."""

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from eventroute import keys
from eventroute.route_table import StreamSink
from eventroute_worker import scripts
from eventroute_worker.record import sink_mark
from eventroute_worker.sinks.model import Result, SinkFailed


class StreamSinkWriter:
    """Adds answers to streams of the route's namespace."""

    def __init__(self, redis: Redis) -> None:
        """Take a client."""
        self._add = scripts.load(redis, "stream_sink")

    async def send(self, sink: StreamSink, result: Result, position: int) -> None:
        """Add the entry unless it is there; raises `SinkFailed` when the stream does not take it."""
        namespace, _, _ = result.delivery.route.partition("/")
        key = keys.stream(namespace, sink.name)
        fields = [part for field in _entry(result, position).items() for part in field]
        try:
            await self._add([keys.run(result.delivery.id), key], [sink_mark(position), sink.max_entries, *fields])
        except ResponseError as error:
            raise SinkFailed(f"stream {namespace}/{sink.name}: {error}") from error


def _entry(result: Result, position: int) -> dict[str, str]:
    delivery, answer = result.delivery, result.answer
    return {
        "delivery": delivery.id,
        "idempotency_key": result.idempotency_key(position),
        "route": delivery.route,
        "provider": delivery.provider,
        "event": delivery.event,
        "received_ms": str(delivery.received_ms),
        "outcome": answer.outcome,
        "model": answer.model,
        "text": answer.text,
        "usage": msgspec.json.encode(answer.usage).decode(),
        "cost_usd": "" if answer.cost_usd is None else str(answer.cost_usd),
        "trace_id": result.trace_id,
    }
