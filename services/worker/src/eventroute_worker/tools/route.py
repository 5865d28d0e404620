"""The `route` tool: the arguments become a delivery of another route of the namespace, which works on them by itself.

The call's key is the delivery's claim: a call that is made again, as its worker has died, finds what it became.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from eventroute.route_table import RouteTool
from eventroute_worker.chain import Chain, Handover, NeverTaken, NotNow
from eventroute_worker.tools.kinds import Call, Heard

TYPE: Final = "eventroute.call"
"""Of every message; what happened at the provider stands in its `data.event`."""
_NOT_MADE: Final = "Nothing was handed over"


class RouteKind:
    """Makes hand-overs ready."""

    def __init__(self, chain: Chain | None) -> None:
        """Take the way from route to route; None = nothing is handed over."""
        self._chain = chain

    def prepare(self, call: Call) -> "_Ready":
        """Write what is handed over."""
        rule = call.tool.rule
        if not isinstance(rule, RouteTool):
            raise TypeError(f"tool {rule.name} hands nothing over")
        handover = Handover(
            to=rule.route,
            event=rule.event,
            key=call.key,
            parent=call.parent,
            message=build_message(rule.name, call),
            hops=call.parent.hops + 1,
            traceparent=call.traceparent,
        )
        return _Ready(self._chain, handover, call.arguments)


@dataclass(frozen=True)
class _Ready:
    chain: Chain | None
    handover: Handover
    arguments: Mapping[str, Any]

    def describe(self) -> str:
        """Write exactly what would be handed over."""
        arguments = msgspec.json.encode(self.arguments).decode()
        return f"event {self.handover.event} of route {self.handover.to}\n{arguments}"

    async def make(self) -> Heard:
        """Hand it over once."""
        if self.chain is None:
            return Heard(f"{_NOT_MADE}.", is_success=False, why="this worker hands nothing over to other routes")
        try:
            handed = await self.chain.hand_over(self.handover)
        except NotNow as error:
            return Heard(f"{_NOT_MADE}: it cannot be taken now.", is_success=False, why=str(error))
        except NeverTaken as error:
            return Heard(f"{_NOT_MADE}: it is not taken.", is_success=False, why=str(error))
        if handed.delivery is None:
            return Heard(f"{_NOT_MADE}: it is not wanted.", is_success=False, why=handed.why)
        text = f"Handed over, as delivery {handed.delivery}. What becomes of it is not told here."
        return Heard(text, is_success=True, delivery=handed.delivery)


def build_message(tool: str, call: Call) -> dict[str, Any]:
    """Write what the target is told; the arguments stand where an answer's data does."""
    parent = call.parent
    return {
        "type": TYPE,
        "data": {
            "delivery": parent.id,
            "idempotency_key": call.key,
            "route": parent.route,
            "provider": parent.provider,
            "event": parent.event,
            "provider_id": parent.provider_id,
            "received_ms": parent.received_ms,
            "tool": tool,
            "value": call.arguments,
            "hops": parent.hops + 1,
            "marker": call.marker,
        },
    }
