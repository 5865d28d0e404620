"""What a sink is given, and how it says that it failed: by `SinkFailed`; the queue's own errors come as they are."""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from eventroute.delivery import Delivery
from eventroute.errors import GaveUp, RetryLater
from eventroute.queue import Lease
from eventroute.template import MESSAGE_VARIABLES, Frame, RenderFailed, Template, compile_template
from eventroute_worker.answer import Answer

_LARGE_BYTES: Final = 65_536
"""Of an event: a text that is written from it may take longer than 5 ms."""


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
    variables: Callable[[], Mapping[str, Any]] = dict
    """Reads the event: all that templates know of it and of its answer, by `MESSAGE_VARIABLES`."""

    own_name: Callable[[str], str] = str
    """Names what answers are written to, so that it is found again as ours (`eventroute.hops`)."""
    traceparent: str = ""
    """W3C context of this attempt; empty without a trace."""

    def idempotency_key(self, sink: str) -> str:
        """Name this answer at the sink of this name: the same however often it is sent."""
        return f"{self.delivery.id}:{sink}"

    async def write(self, template: str, frame: Frame, *, field: str = "message") -> str:
        """Fill in a template of the sink's; raises `SinkRefused` when this answer cannot be told by it.

        frame  how values stand in the text, so that its reader takes them for nothing else
        field  where the template stands
        """
        write = partial(self._write, template, frame)
        try:
            is_large = len(self.delivery.payload) > _LARGE_BYTES
            return await asyncio.to_thread(write) if is_large else write()
        except RenderFailed as error:
            raise SinkRefused(f"{field}: {error}") from error

    def _write(self, template: str, frame: Frame) -> str:
        return _compiled(template).render(self.variables(), frame).text


@lru_cache(maxsize=1024)
def _compiled(template: str) -> Template:
    return compile_template(template, MESSAGE_VARIABLES)


class AsItIs:
    """The frame of what is no markup to its reader."""

    def value(self, text: str, *, is_alone: bool) -> str:
        """Keep it."""
        del is_alone
        return text

    def block(self, text: str) -> str:
        """Keep it."""
        return text


class SinkFailed(RetryLater):
    """A sink did not take the answer; a later attempt may succeed."""

    def __init__(self, detail: str, *, after_s: float | None = None) -> None:
        """Take what happened, for people, and the least wait that the sink asked for."""
        super().__init__(detail)
        self.after_s = after_s


class SinkGone(GaveUp):
    """Whoever is behind a sink wants no more of anything, until somebody writes the route anew."""


class SinkRefused(GaveUp):
    """A sink will not take this answer, however often it is sent."""
