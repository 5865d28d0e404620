"""A conversation with tools, as it is kept between its steps and sent again with each.

What Claude said comes back to it unchanged, thoughts included: the API tells when they were edited. So it is kept as
the bytes that came. Results stand in one message, in the order of the calls.

What the API has run itself stands in what Claude said, uses and results alike. A use may be left open: where the API
pauses, and where Claude wants a tool of ours beside it. Its result is the beginning of the next turn, and until then
nothing but results may follow it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from eventroute.served import ServedKind

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
    DECLINED = "declined"
    """Not made: a person has said no, or nobody has said yes in time."""


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
    delivery: str = ""
    """What it became at another route."""
    by: str = ""
    """Whose word on it there is, where people are asked."""
    note: str = ""
    """What they said of it; Claude is not told."""


ASK: Final = "talk:ask:"
"""Field of a delivery, before the id of a call: an `Ask`."""
WORD: Final = "talk:word:"
"""The same: a `Word`."""
WORD_CHARS: Final = 200
"""Of who has said it, and of the note."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is asked: whether a call may be made."""

    tool: str
    call: str
    """Exactly what would be done. Headers are left out: an event has no part in them."""
    digest: str
    """Of the call: an approval is for these bytes, once."""
    asked_ms: int
    until_ms: int
    """When it counts as declined; both by Redis' clock."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has said."""

    approved: bool
    digest: str
    by: str
    note: str = ""
    at_ms: int


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

    @property
    def takes_note(self) -> bool:
        """Tell whether anything may be said behind the results."""
        return bool(self.results) and not has_open_use(self.said)

    def messages(self) -> list[dict[str, Any]]:
        """Write the two messages, results before anything else; where the API has paused there is but the first."""
        told: list[dict[str, Any]] = [
            {"type": "tool_result", "tool_use_id": id, "content": said.text, "is_error": said.is_error}
            for id, said in self.results  # noqa: A001
        ]
        if self.note:
            told.append({"type": "text", "text": self.note})
        message = {"role": "assistant", "content": msgspec.json.decode(self.said)}
        return [message, {"role": "user", "content": told}] if told else [message]


class _Block(msgspec.Struct, frozen=True):
    type: str
    id: str = ""
    name: str = ""
    input: Any = None
    server_name: str = ""
    tool_use_id: str = ""
    is_error: bool = False
    content: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct, frozen=True):
    error_code: str


class ServedResult(NamedTuple):
    """What came of a tool that the API has run."""

    kind: ServedKind
    use: str
    """The id of its use, which may stand in an earlier turn."""
    error: str
    """A word for what went wrong; empty = nothing."""

    @property
    def outcome(self) -> CallOutcome:
        """Say how it ended."""
        return CallOutcome.FAILED if self.error else CallOutcome.DONE


_blocks: Final = msgspec.json.Decoder(list[_Block])
_errors: Final = msgspec.json.Decoder(_Error)
_SERVED_USES: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_RESULTS: Final[dict[str, ServedKind]] = {
    "web_search_tool_result": "web_search",
    "web_fetch_tool_result": "web_fetch",
    "code_execution_tool_result": "code_execution",
    "bash_code_execution_tool_result": "code_execution",
    "text_editor_code_execution_tool_result": "code_execution",
    "mcp_tool_result": "mcp",
}
_DIGITS: Final = 16
_NAME: Final = 64


def arguments_hash(arguments: Any) -> str:
    """Name arguments without telling them."""
    return hashlib.sha256(msgspec.json.encode(arguments, order="deterministic")).hexdigest()[:_DIGITS]


def read_served(said: bytes) -> tuple[ServedResult, ...]:
    """Find what the API has run in a turn; raises `msgspec.DecodeError`."""
    return tuple(_served(_blocks.decode(said)))


def has_open_use(said: bytes) -> bool:
    """Tell whether the API has yet to run something that a turn wants of it; raises `msgspec.DecodeError`."""
    blocks = _blocks.decode(said)
    done = {result.use for result in _served(blocks)}
    return any(block.type in _SERVED_USES and block.id not in done for block in blocks)


def read_calls(turns: Iterable[bytes], results: Mapping[str, CallRecord]) -> tuple[CallRecord, ...]:
    """Tell of all calls of a conversation that are over, in their order; raises `msgspec.DecodeError`.

    results  what came of our own tools, by the ids of their uses
    """
    blocks = [block for said in turns for block in _blocks.decode(said)]
    served = {result.use: result for result in _served(blocks)}
    records = (_record(block, results, served.get(block.id)) for block in blocks)
    return tuple(filter(None, records))


def _record(block: _Block, results: Mapping[str, CallRecord], result: ServedResult | None) -> CallRecord | None:
    if block.type == "tool_use":
        return results.get(block.id)
    if block.type not in _SERVED_USES or result is None:
        return None
    name = f"{block.server_name}.{block.name}" if block.server_name else block.name
    return CallRecord(
        name=name[:_NAME], outcome=result.outcome, arguments=arguments_hash(block.input), why=result.error
    )


def _served(blocks: Iterable[_Block]) -> Iterator[ServedResult]:
    for block in blocks:
        if kind := _RESULTS.get(block.type):
            yield ServedResult(kind, block.tool_use_id, _error(block))


def _error(block: _Block) -> str:
    """Name what went wrong: the API's word for it, of which there are a few; what a server says is its own."""
    try:
        return _errors.decode(block.content).error_code[:_NAME]
    except msgspec.DecodeError:
        return "error" if block.is_error else ""


def read_uses(said: bytes) -> tuple[ToolUse, ...]:
    """Find the calls that a turn wants; raises `msgspec.DecodeError`."""
    return tuple(
        ToolUse(id=block.id, name=block.name, input=block.input)
        for block in _blocks.decode(said)
        if block.type == "tool_use"
    )
