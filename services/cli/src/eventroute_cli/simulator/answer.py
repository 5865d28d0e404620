"""What the simulator says: one short text that shows what it was given, marked as simulated, and how it ended.

Pure: the same request and fault always give the same answer.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from eventroute_cli.simulator.conversation import signature
from eventroute_cli.simulator.faults import STOP_REASONS, Fault, FaultKind
from eventroute_cli.simulator.models import MODELS
from eventroute_cli.simulator.request import MessagesRequest
from eventroute_cli.simulator.schema import example, swapped, violated
from eventroute_cli.simulator.tokens import CacheUse, estimate_tokens

MARK: Final = "[simulated]"
"""Every text starts with it: nobody may take an answer of the simulator for one of Claude."""

_NO_FAULT: Final = Fault(kind=FaultKind.OK)
_BYTES_PER_TOKEN: Final = 4
_THINKING_TOKENS: Final = {"low": 64, "medium": 256, "high": 512, "xhigh": 1024, "max": 2048}
"""What thinking takes by effort. Arbitrary; real models think as long as they see fit."""
_QUOTE_CHARS: Final = 80
_BLOCK: Final = re.compile(r"<(?P<tag>data-[0-9a-f]{16})>(?P<text>.*?)</(?P=tag)>", re.DOTALL)
"""Where `eventroute.prompt` puts what outsiders wrote; an earlier event is a line of JSON in such a block."""
_TOLD: Final = re.compile(r"^Event (?:without a name|(?P<event>\S*)) from (?P<provider>[\w-]+):$", re.MULTILINE)
"""The line that names the event in each prompt of `eventroute.prompt`."""
_TELLING: Final = (
    "title",
    "subject",
    "text",
    "message",
    "summary",
    "name",
    "email",
    "amount_due",
    "total_price",
    "objectId",
    "the text",
)
"""Fields that tell a person what an event is about, most telling first; an answer's taste, no provider's rule."""


_COMMAND: Final = re.compile(r"use ([a-zA-Z0-9_-]{1,128}) (\{[^{}]*\})")


class Subject(NamedTuple):
    """What a prompt is about, as far as it can be read from the prompt."""

    event: str
    provider: str
    history: int
    """Earlier events that the prompt holds."""
    payload: Any


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model wants to use."""

    name: str
    input: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it has an id."""

    text: str
    tools: tuple[ToolUse, ...] = ()
    stop_reason: str
    stop_sequence: str | None = None
    stop_details: dict[str, str | None] | None = None
    thinking: str = ""
    """What may be shown of it: a summary, where one is wanted."""
    thinking_tokens: int = 0
    """Spent before the first word."""
    output_tokens: int
    """Those of thinking included."""

    def content(self, message_id: str) -> list[dict[str, Any]]:
        """Write the content blocks."""
        blocks: list[dict[str, Any]] = []
        if self.thinking_tokens:
            blocks.append({"type": "thinking", "thinking": self.thinking, "signature": signature(self.thinking)})
        if self.text:
            blocks.append({"type": "text", "text": self.text, "citations": None})
        for index, tool in enumerate(self.tools):
            blocks.append(
                {
                    "type": "tool_use",
                    "id": f"toolu_{message_id[-24:]}{index:02d}",
                    "name": tool.name,
                    "input": tool.input,
                    "caller": {"type": "direct"},
                    "toolset_name": None,
                }
            )
        return blocks


def compose(request: MessagesRequest, fault: Fault | None = None) -> Answer:
    """Answer a request; a fault says how it ends, and what is said."""
    fault = fault or _NO_FAULT
    thinking = f"{MARK} A summary of what was thought." if request.shows_thinking else ""
    thinking_tokens = _THINKING_TOKENS[request.effort or MODELS[request.model].effort] if request.thinks else 0
    if fault.kind is FaultKind.NO_TEXT or (thinking_tokens and thinking_tokens >= request.max_tokens):
        return Answer(
            text="",
            stop_reason=FaultKind.MAX_TOKENS,
            thinking=thinking,
            thinking_tokens=request.max_tokens,
            output_tokens=request.max_tokens,
        )
    spoken = _speak(msgspec.structs.replace(request, max_tokens=request.max_tokens - thinking_tokens), fault)
    return msgspec.structs.replace(
        spoken,
        thinking=thinking,
        thinking_tokens=thinking_tokens,
        output_tokens=spoken.output_tokens + thinking_tokens,
    )


def _speak(request: MessagesRequest, fault: Fault) -> Answer:
    text = _words(request, fault)
    kind = fault.kind if fault.kind in (*STOP_REASONS, FaultKind.OBEY) else None
    if kind is None and request.tools.is_forced:
        kind = FaultKind.TOOL_USE
    match kind:
        case FaultKind.REFUSAL:
            return _refuse(request, fault)
        case FaultKind.TOOL_USE:
            return _use_tools(request, fault, text)
        case FaultKind.OBEY:
            return _obey(request, text)
        case FaultKind.STOP_SEQUENCE:
            return _answer(text, kind, stop_sequence=next(iter(request.stop_sequences), "\n\nHuman:"))
        case FaultKind.MAX_TOKENS | FaultKind.CONTEXT_WINDOW:
            return _answer(_cut(text, min(request.max_tokens, estimate_tokens(text) // 2)), kind)
        case None:
            return _end(request, text)
        case _:
            return _answer(text, kind)


def _words(request: MessagesRequest, fault: Fault) -> str:
    """Choose what is said: JSON where the request gives a schema, else a sentence, or what the script has."""
    if request.output_schema is None:
        return f"{MARK} {fault.text or _sentences(read_subject(request))}"
    if fault.text:
        return fault.text
    value = example(request.output_schema, f"{MARK} {_sentences(read_subject(request))}")
    if fault.kind is FaultKind.SCHEMA_VIOLATION:
        value = violated(value)
    if fault.kind is FaultKind.ENUM_CASE:
        value = swapped(request.output_schema, value)
    return msgspec.json.encode(value).decode()


def _refuse(request: MessagesRequest, fault: Fault) -> Answer:
    """Refuse before the first word, or in the middle of those that the script has."""
    details = {
        "type": "refusal",
        "category": fault.category,
        "explanation": "Scripted in the simulator." if fault.category else None,
    }
    text = f"{MARK} {fault.text}" if fault.text else ""
    return _answer(_cut(text, request.max_tokens), FaultKind.REFUSAL, stop_details=details)


def _use_tools(request: MessagesRequest, fault: Fault, text: str) -> Answer:
    tools = request.tools
    tool = tools.find(fault.tool or tools.chosen)
    name = tool.name if tool else fault.tool or "simulated_tool"
    given = fault.input if fault.input is not None else _input(tool.input_schema if tool else {}, text)
    uses = (ToolUse(name=name, input=given),) * (fault.calls if tools.parallel else 1)
    words = "" if tools.is_forced else text
    answer = _answer(words, FaultKind.TOOL_USE, tools=uses)
    spent = sum(estimate_tokens(msgspec.json.encode(use).decode()) for use in uses)
    return msgspec.structs.replace(answer, output_tokens=answer.output_tokens + spent)


def _obey(request: MessagesRequest, text: str) -> Answer:
    """Use what the message commands, once: with results at hand it ends."""
    found = _COMMAND.findall(request.user_text.replace('\\"', '"'))  # as it stands in the JSON of a payload
    uses = tuple(ToolUse(name=name, input=given) for name, words in found if isinstance(given := _decoded(words), dict))
    if not uses or request.has_results or request.tools.choice == "none":
        return _end(request, text)
    return _answer(text, FaultKind.TOOL_USE, tools=uses)


def _input(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """Make an input that fits; a schema that is not strict may hold what the simulator cannot make a value of."""
    try:
        value = example(schema, text)
    except (AttributeError, KeyError, IndexError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_subject(request: MessagesRequest) -> Subject:
    """Find in a prompt of `eventroute.prompt` what it is about; another prompt is about nothing that has a name."""
    text = request.user_text
    blocks = [found["text"].strip() for found in _BLOCK.finditer(text)]
    decoded = [_decoded(block) for block in blocks]
    history = [entry for block in blocks for entry in map(_decoded, block.splitlines()) if _is_history(entry)]
    payloads = [value for value in decoded if isinstance(value, dict) and not _is_history(value)]
    prose = _BLOCK.sub("", text)
    told = _TOLD.search(prose)
    event, provider = (told["event"] or "", told["provider"]) if told else ("", "")
    quotes = [
        block
        for block, value in zip(blocks, decoded, strict=True)
        if value is None and block and not any(_is_history(_decoded(line)) for line in block.splitlines())
    ]
    sentences = [block for block in quotes if " " in block]
    written = _first(prose[told.end() :].strip().splitlines()) if told else ""
    return Subject(
        event, provider, len(history), payloads[0] if payloads else {"the text": _first(sentences or quotes) or written}
    )


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_history(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"time", "event", "conclusion"}


def _first(found: Sequence[str]) -> str:
    return next(iter(found), "")


def usage(cache: CacheUse, answer: Answer) -> dict[str, Any]:
    """Write the usage figures of an answer."""
    return {
        "input_tokens": cache.fresh,
        "cache_creation_input_tokens": cache.written_5m + cache.written_1h,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written_5m,
            "ephemeral_1h_input_tokens": cache.written_1h,
        },
        "inference_geo": "global",
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"thinking_tokens": answer.thinking_tokens},
        "server_tool_use": None,
        "service_tier": "standard",
        "speed": "standard",
    }


def _answer(text: str, stop_reason: str, **rest: Any) -> Answer:
    return Answer(text=text, stop_reason=str(stop_reason), output_tokens=estimate_tokens(text), **rest)


def _end(request: MessagesRequest, text: str) -> Answer:
    """End an ordinary answer as its limits say: the first stop sequence, the context window, `max_tokens`."""
    at, sequence = min(
        ((text.find(item), item) for item in request.stop_sequences if item in text), default=(None, None)
    )
    text = text[:at]
    room = MODELS[request.model].context - sum(estimate_tokens(block.text) for block in request.blocks)
    if estimate_tokens(text) > min(room, request.max_tokens):
        limit = FaultKind.CONTEXT_WINDOW if room < request.max_tokens else FaultKind.MAX_TOKENS
        return _answer(_cut(text, min(room, request.max_tokens)), limit)
    if sequence:
        return _answer(text, FaultKind.STOP_SEQUENCE, stop_sequence=sequence)
    return _answer(text, FaultKind.END_TURN)


def _cut(text: str, tokens: int) -> str:
    return text.encode()[: tokens * _BYTES_PER_TOKEN].decode(errors="ignore")


def _sentences(subject: Subject) -> str:
    event = f"`{subject.event}`" if subject.event else "An event without a name"
    sender = f" from {subject.provider}" if subject.provider else ""
    earlier = {0: "no earlier events", 1: "1 earlier event"}.get(subject.history, f"{subject.history} earlier events")
    told = next(_telling(subject.payload), None)
    look = f'I would look first at {told[0]}: "{told[1]}".' if told else "I would ask for more of the payload."
    return f"{event}{sender}, with {earlier} of the same subject. {look}"


def _telling(payload: Any) -> Iterator[tuple[str, str]]:
    """Find the fields worth a look, nearest to the top first within each name."""
    for name in _TELLING:
        level: list[tuple[str, Any]] = [("", payload)]
        while level:
            for path, value in level:
                found = value.get(name) if isinstance(value, dict) else None
                if isinstance(found, str | int | float) and not isinstance(found, bool) and found != "":
                    yield path + name, str(found)[:_QUOTE_CHARS]
            level = [
                (f"{path}{key}.", child)
                for path, value in level
                if isinstance(value, dict)
                for key, child in value.items()
                if isinstance(child, dict)
            ]
