"""What became of a delivery, read from the worker's record of its run."""

from typing import NamedTuple

from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue.keys import Group
from eventroute.runtime.tracing import parse_traceparent
from eventroute_worker.answer import Answer, decode_answer


class RunView(NamedTuple):
    """A run as far as it has got."""

    outcome: str
    """Empty until the run has ended."""
    reason: str
    answer: Answer | None
    trace_id: str
    """Lower-case hex; empty before the first attempt."""


async def read_run(redis: Redis, delivery: DeliveryId) -> RunView:
    """Look at a run; all fields are empty before its first attempt."""
    names = ("outcome", "reason", "answer", "last_traceparent")
    outcome, reason, answer, traceparent = await redis.hmget(Group(0).delivery(delivery), names)
    context = parse_traceparent((traceparent or b"").decode())
    return RunView(
        outcome=(outcome or b"").decode(),
        reason=(reason or b"").decode(),
        answer=decode_answer(answer) if answer else None,
        trace_id=f"{context.trace_id:032x}" if context else "",
    )
