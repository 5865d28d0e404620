"""What a sink is given, and how it says that it failed: by `SinkFailed`; the queue's own errors come as they are."""

from typing import NamedTuple

from eventroute.delivery import Delivery
from eventroute.errors import GaveUp, RetryLater
from eventroute.queue import Lease
from eventroute_worker.answer import Answer


class Result(NamedTuple):
    """An answer on its way out."""

    delivery: Delivery
    answer: Answer
    trace_id: str
    """32 hexadecimal digits; empty without a trace."""
    lease: Lease
    hops: int = 1
    """How many answers of ours stand behind whatever this one is written to, itself included."""
    marker: str = ""
    """What tells so, to be written with it (`eventroute.hops`)."""

    def idempotency_key(self, sink: str) -> str:
        """Name this answer at the sink of this name: the same however often it is sent."""
        return f"{self.delivery.id}:{sink}"


class SinkFailed(RetryLater):
    """A sink did not take the answer; a later attempt may succeed."""

    def __init__(self, detail: str, *, after_s: float | None = None) -> None:
        """Take what happened, for people, and the least wait that the sink asked for."""
        super().__init__(detail)
        self.after_s = after_s


class SinkRefused(GaveUp):
    """A sink will not take this answer, however often it is sent."""
