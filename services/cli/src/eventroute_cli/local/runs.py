"""What became of a delivery, read from its record."""

from typing import NamedTuple

import msgspec
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.queue.keys import Group
from eventroute.runtime.tracing import parse_traceparent
from eventroute_worker.answer import Answer, decode_answer


class About(msgspec.Struct, frozen=True):
    """What a run notes of what it was about."""

    entity_error: str = ""
    missing_fields: tuple[str, ...] = ()


class RunView(NamedTuple):
    """A run as far as it has got."""

    outcome: str
    """Empty until the run has ended."""
    reason: str
    answer: Answer | None
    trace_id: str
    """Lower-case hex; empty before the first attempt."""
    detail: str = ""
    entity_error: str = ""
    """Why nobody knows whom the event was about; then no history was told or kept."""
    missing_fields: tuple[str, ...] = ()
    """What the prompt's template names and the event lacks."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What people should hear of the run beside its outcome."""
        said = (
            self.detail,
            f"entity: {self.entity_error}" if self.entity_error else "",
            f"missing in the event: {', '.join(self.missing_fields)}" if self.missing_fields else "",
        )
        return tuple(filter(None, said))


async def read_run(redis: Redis, delivery: DeliveryId) -> RunView:
    """Look at a run; all fields are empty before its first attempt."""
    names = ("outcome", "reason", "detail", "answer", "about", "last_traceparent")
    outcome, reason, detail, answer, about, traceparent = await redis.hmget(Group(0).delivery(delivery), names)
    context = parse_traceparent((traceparent or b"").decode())
    noted = msgspec.json.decode(about, type=About) if about else About()
    return RunView(
        outcome=(outcome or b"").decode(),
        reason=(reason or b"").decode(),
        answer=decode_answer(answer) if answer else None,
        trace_id=f"{context.trace_id:032x}" if context else "",
        detail=(detail or b"").decode(),
        entity_error=noted.entity_error,
        missing_fields=noted.missing_fields,
    )
