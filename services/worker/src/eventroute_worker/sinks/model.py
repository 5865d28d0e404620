"""What a sink is given, and how it says that it failed. Sinks raise `SinkFailed`, and Redis' own errors as they are."""

from typing import NamedTuple

from eventroute.delivery import Delivery
from eventroute.errors import RetryLater
from eventroute_worker.answer import Answer


class Result(NamedTuple):
    """An answer on its way out."""

    delivery: Delivery
    answer: Answer
    trace_id: str
    """32 hexadecimal digits; empty without a trace."""

    def idempotency_key(self, position: int) -> str:
        """Name this answer at this sink: the same however often it is sent."""
        return f"{self.delivery.id}:{position}"


class SinkFailed(RetryLater):
    """A sink did not take the answer; a later attempt may succeed."""
