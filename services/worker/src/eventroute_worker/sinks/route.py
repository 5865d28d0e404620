"""The `route` sink: the answer is handed over to another route of the namespace, under its idempotency key."""

from eventroute.route_table import RouteSink
from eventroute_worker.chain import Chain, Handover, NeverTaken, NotNow
from eventroute_worker.sinks.http import build_message
from eventroute_worker.sinks.model import AsItIs, Result, SinkFailed, SinkRefused


class RouteSinkWriter:
    """Hands answers over to other routes."""

    def __init__(self, chain: Chain) -> None:
        """Take the way from route to route."""
        self._chain = chain

    async def send(self, sink: RouteSink, result: Result) -> str:
        """Hand the answer over once; raises `SinkFailed` or `SinkRefused`.

        returns  why the target starts nothing, for people; empty = it does
        """
        text = await result.write(sink.message, AsItIs()) if sink.message else result.answer.text
        handover = Handover(
            to=sink.route,
            event=sink.event,
            key=result.idempotency_key(sink.name),
            parent=result.delivery,
            message=build_message(sink.name, result, text=text),
            hops=result.hops,
            traceparent=result.traceparent,
        )
        try:
            return (await self._chain.hand_over(handover)).why
        except NotNow as error:
            raise SinkFailed(str(error), after_s=error.after_s) from error
        except NeverTaken as error:
            raise SinkRefused(str(error)) from error
