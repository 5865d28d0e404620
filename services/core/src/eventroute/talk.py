"""A conversation with tools, as it is kept between its steps and sent again with each.

What Claude said comes back to it unchanged, thoughts included: the API tells when they were edited. So it is kept as
the bytes that came. Results stand in one message, in the order of the calls.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

MAX_BYTES: Final = 1024 * 1024
"""Of all that is kept of one conversation. Arbitrary; far more than a model is asked about in one run."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as Claude is told of it."""

    name: str
    description: str
    input_schema: dict[str, Any]


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A call that Claude wants."""

    id: str
    name: str
    input: Any


class CallOutcome(StrEnum):
    """How a call ended: a label of metrics, and a word in records."""

    DONE = "done"
    """The service answered with success."""
    FAILED = "failed"
    """It answered with anything else, or not at all, and the call had no side effect or did not arrive."""
    UNKNOWN = "unknown"
    """It may have happened: nobody heard of it."""
    REFUSED = "refused"
    """Not made: unknown or not allowed for this event, arguments that do not fit, a limit."""
    DRY_RUN = "dry_run"
    """Not made, as the manifest says so."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of a call when its arguments and its result are gone."""

    name: str
    outcome: CallOutcome
    arguments: str
    """16 hexadecimal digits of their hash: equal arguments have equal ones."""
    status: int = 0
    """HTTP; 0 = there was none."""
    duration_ms: int = 0
    why: str = ""
    """Why there was no answer; Claude is not told."""


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is over: what Claude is told, and what is told of it."""

    text: str
    is_error: bool
    record: CallRecord


class Exchange(NamedTuple):
    """One turn of Claude's, and what its calls led to."""

    said: bytes
    """Its content blocks, JSON as it came."""
    results: Sequence[tuple[str, CallResult]]
    """By the ids of the calls, in their order."""
    note: str = ""
    """Told behind the results."""

    @property
    def size(self) -> int:
        """Bytes of what is sent, about."""
        return len(self.said) + len(self.note.encode()) + sum(len(said.text.encode()) + 100 for _, said in self.results)

    def messages(self) -> list[dict[str, Any]]:
        """Write the two messages, results before anything else."""
        told: list[dict[str, Any]] = [
            {"type": "tool_result", "tool_use_id": id, "content": said.text, "is_error": said.is_error}
            for id, said in self.results  # noqa: A001
        ]
        if self.note:
            told.append({"type": "text", "text": self.note})
        return [{"role": "assistant", "content": msgspec.json.decode(self.said)}, {"role": "user", "content": told}]


class _Block(msgspec.Struct, frozen=True):
    type: str
    id: str = ""
    name: str = ""
    input: Any = None


_blocks: Final = msgspec.json.Decoder(list[_Block])


def read_uses(said: bytes) -> tuple[ToolUse, ...]:
    """Find the calls that a turn wants; raises `msgspec.DecodeError`."""
    return tuple(
        ToolUse(id=block.id, name=block.name, input=block.input)
        for block in _blocks.decode(said)
        if block.type == "tool_use"
    )
