"""Prompt templates: Liquid, with every limit that a language shared by many teams needs.

A template is parsed when its route is compiled, and rendered by a shared worker over a payload that outsiders wrote. So
tags and filters are a list of what is harmless (no includes, nothing that reads the clock), every step of a rendering
is paid from one budget, by the length of what it touches and before it does, and rendering ends in a text or in
`RenderFailed`, never in anything else. A rendering that goes on for too long all the same ends at its next step.

What a template shows of a payload stays data: invisible characters are removed, long values are cut with a visible
mark, objects and lists are written as JSON, and whatever could hold a sentence stands inside the prompt's data fence.
A field that the payload lacks renders empty and is reported.
"""

import functools
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol, TextIO

import liquid
import msgspec
from liquid import builtin
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.context import RenderContext
from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.static_analysis import Variable
from liquid.stringify import to_liquid_string
from liquid.token import Token
from liquid.undefined import UNDEFINED, Undefined

from eventroute.errors import Refused
from eventroute.fence import clean, cut
from eventroute.suggest import nearest

VARIABLES: Final = frozenset({"payload", "event", "headers", "route", "provider", "entity", "received_at", "events"})
"""payload: the event as JSON; event: its type; headers: by name in any case; route: `namespace` and `name`;
provider: its name; entity: whom the event is about, or empty; received_at: ISO 8601 in UTC; events: all that the
run is about, oldest first, each with `event` and `payload`: several where the route debounces, the last one being the
`event` and `payload` beside it."""

MESSAGE_VARIABLES: Final = VARIABLES | {"answer"}
"""Once there is an answer, too: its `text`, `outcome`, `reason`, `model` and, with a schema, `value`."""

MAX_LENGTH: Final = 32_768
MAX_OUTPUT_BYTES: Final = 262_144
MAX_VALUE_LENGTH: Final = 20_000
"""Characters of one text value or of one JSON block."""
MAX_ITEMS: Final = 1_000
"""Of a list that a filter works on."""
MAX_LOCALS_BYTES: Final = 1_048_576
MAX_WORK: Final = 100_000
"""Look-ups, blocks, loop turns, items of lists and ranges, and 64-character pieces of texts that are touched. All of it
takes under half a second."""
MAX_PROCESSOR_S: Final = 0.25
"""Of the thread that renders, so that a busy machine fails nothing: what the budget misjudged ends here. Arbitrary, far
above what any sample takes."""
MAX_BLOCK_NESTING: Final = 12
MAX_NUMBER: Final = 2**63
MAX_MISSING_FIELDS: Final = 50

_TAGS: Final = frozenset(
    {
        *("content", "output", "illegal"),  # Liquid's own machinery: text, {{ … }}, and everything that is not a tag
        *("if", "unless", "case", "for", "break", "continue", "assign", "capture", "comment", "#"),
    }
)
_TEXT_FILTERS: Final = (
    *("append", "capitalize", "downcase", "lstrip", "prepend", "remove", "remove_first", "replace_first", "rstrip"),
    *("slice", "split", "squish", "strip", "strip_newlines", "truncate", "truncatewords", "upcase"),
)
_LIST_FILTERS: Final = ("compact", "concat", "first", "last", "map", "reject", "reverse", "sort", "sum", "where")
_NUMBER_FILTERS: Final = (
    *("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"),
)
_OTHER_FILTERS: Final = ("default", "size")
_ANY_LENGTH: Final = frozenset({"default", "first", "last", "size", "slice", "json"})
"""Filters whose cost does not grow with a list."""
_WHOLE: Final = frozenset({*_TEXT_FILTERS, "concat", "replace", "strip_html", "date"}) - _ANY_LENGTH
"""Filters that write a list as text, or make one that has its items twice: all that it holds counts. So does all of a
list that is an argument, as it may be compared with each item."""


_ATTRIBUTES: Final = frozenset({"size", "first", "last"})
"""Of an object as a whole, beside the names that it has."""


class TemplateRefused(Refused):
    """A template that cannot be rendered for any event; `line` and `column` count from 1."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1, unknown_variable: bool = False) -> None:
        """Take what is wrong and where."""
        super().__init__(message)
        self.line = line
        self.column = column
        self.unknown_variable = unknown_variable


class RenderFailed(Refused):
    """A template could not be rendered for this event, and a retry would not change that."""


class Frame(Protocol):
    """How values stand in a text: in a prompt between tags, in a message so that its reader takes them as they are."""

    def value(self, text: str, *, is_alone: bool) -> str:
        """Write one value into a sentence; `is_alone` is false where it is one of several in a row."""
        ...

    def block(self, text: str) -> str:
        """Write the JSON of an object or list."""
        ...


class Rendered(NamedTuple):
    """A text, and the fields that it wanted but the event lacks."""

    text: str
    missing_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    source: str
    _bound: liquid.BoundTemplate = field(repr=False, compare=False)
    headers: frozenset[str] | None = field(compare=False)
    """The headers that it names, in lower case; None when it may look at any."""

    def render(
        self, variables: Mapping[str, Any], frame: Frame, *, clock: Callable[[], float] = time.thread_time
    ) -> Rendered:
        """Fill in an event.

        variables  every name that it was compiled for, JSON values
        frame      how values stand in the text: in a prompt a fence, of a tag that the event's texts do not hold
        clock      seconds that this thread has worked
        raises     RenderFailed, nothing else
        """
        buffer = LimitedStringIO(MAX_OUTPUT_BYTES)
        context = _Context(self._bound, globals={**variables, _FRAME: frame})
        context.measure(clock)
        try:
            self._bound.render_with_context(context, buffer)
        except OutputStreamLimitError:
            buffer = _mark_cut(buffer)
        except LiquidError as error:
            raise RenderFailed(cut(str(error.message), 200)) from error
        except Exception as error:  # filters are lax about types: whatever they raise has one meaning here
            raise RenderFailed(f"{type(error).__name__} while rendering") from error
        return Rendered(buffer.getvalue(), tuple(context.missing))


def compile_template(source: str, known: frozenset[str] = VARIABLES) -> Template:
    """Parse a template and check every variable, filter and tag in it; raises `TemplateRefused`.

    known  the variables that there will be
    """
    if len(source) > MAX_LENGTH:
        raise TemplateRefused(f"the template has {len(source)} characters; at most {MAX_LENGTH} are allowed")
    try:
        bound = _ENVIRONMENT.from_string(source)
        analysis = bound.analyze()
    except LiquidError as error:
        line, column = _place(source, error.token.start_index if error.token else 0)
        raise TemplateRefused(cut(str(error.message), 160), line=line, column=column) from error
    except RecursionError as error:
        raise TemplateRefused("the template is nested too deeply") from error
    for name, variables in analysis.globals.items():
        if name not in known:
            line, column = _place(source, variables[0].span.index)
            message = f'unknown variable "{name}"{nearest(name, known)}'
            raise TemplateRefused(message, line=line, column=column, unknown_variable=True)
    for name, spans in analysis.filters.items():
        if name not in _ENVIRONMENT.filters:
            line, column = _place(source, spans[0].index)
            message = f'unknown filter "{name}"{nearest(name, _ENVIRONMENT.filters)}'
            raise TemplateRefused(message, line=line, column=column)
    for node in bound.nodes:
        _price(node, RenderContext(bound))
    return Template(source, bound, _headers(analysis.variables.get("headers", ())))


def _price(node: Node, context: RenderContext) -> None:
    """Let a node's parts pay for themselves: Liquid has no place to say of which class blocks and ranges are made.

    context  any of this template
    """
    if type(node) is BlockNode:
        node.__class__ = _Block
    pending = list(node.expressions())
    while pending:
        expression: Expression = pending.pop()
        if type(expression) is RangeLiteral:
            expression.__class__ = _Range
        pending.extend(expression.children())
    for child in node.children(context):
        _price(child, context)


def _headers(uses: Iterable[Variable]) -> frozenset[str] | None:
    """Name the headers that are looked up by their names, in lower case; None when that is not all."""
    names: set[str] = set()
    for use in uses:
        match use.segments:
            case [_, str(name), *_] if name not in _ATTRIBUTES:
                names.add(name.lower())
            case _:
                return None
    return frozenset(names)


def _place(source: str, index: int) -> tuple[int, int]:
    before = source[: max(index, 0)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _mark_cut(buffer: LimitedStringIO) -> LimitedStringIO:
    """End a text that reached the limit; every write is whole, so no fence is left open."""
    ended = LimitedStringIO(2 * MAX_OUTPUT_BYTES)
    ended.write(buffer.getvalue() + f"\n[… the rest was cut: the text reached {MAX_OUTPUT_BYTES} bytes]")
    return ended


# --- rendering --------------------------------------------------------------------------------------------------------

_FRAME: Final = "\0frame"
"""No template can name it."""
_ABSENT: Final = object()
_PIECE: Final = 64
"""Characters of a text, or items of a list, that cost about as much as one look-up."""


class _Json(str):
    """JSON of a part of the event: stays fenced data through every further filter."""

    __slots__ = ()


class _Missing(Undefined):
    """A field that the event lacks: empty, and reported once something wanted to show it."""

    __slots__ = ("_context",)

    def __init__(self, name: str, context: "_Context", token: Token | None) -> None:
        super().__init__(name, token=token)
        self._context = context

    def __str__(self) -> str:
        self.report()
        return ""

    def report(self) -> None:
        missing = self._context.missing
        if len(missing) < MAX_MISSING_FIELDS:
            missing.setdefault(self.name)


class _Context(RenderContext):
    """One rendering: pays for each step, cleans texts, and notes what is missing."""

    __slots__ = ("_clock", "_ends", "_held", "_work", "missing")

    def __init__(self, template: liquid.BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self._work = self._held = 0
        self.measure(time.thread_time)
        self.missing: dict[str, None] = {}

    def measure(self, clock: Callable[[], float]) -> None:
        """Begin to measure the time."""
        self._clock = clock
        self._ends = clock() + MAX_PROCESSOR_S

    def spend(self, work: int) -> None:
        """Pay for what is about to be done."""
        self._work += work
        if self._work > MAX_WORK:
            raise ResourceLimitError("the template does too much for this event", token=None)
        if self._clock() > self._ends:
            raise ResourceLimitError(f"the template takes more than {MAX_PROCESSOR_S} s for this event", token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        self.spend(1)
        value = super().get(path, token=token, default=_ABSENT)
        if value is _ABSENT:
            return _Missing(_dotted(path), self, token) if default is UNDEFINED else default
        if isinstance(value, str):
            self.spend(min(len(value), MAX_VALUE_LENGTH) // _PIECE)
            return _readable(value)
        if isinstance(value, Sized):  # whatever it is for may walk through it
            self.spend(len(value) // _PIECE)
        return value

    def assign(self, key: str, val: object) -> None:
        self.spend(1)
        self._held += sys.getsizeof(val) - (sys.getsizeof(self.locals[key]) if key in self.locals else 0)
        super().assign(key, val)

    def get_size_of_locals(self) -> int:
        """Tell what has been counted; Liquid would look at all names again for each that is set."""
        return self._held

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.spend(length)

    def shown(self, value: object) -> str:
        """Write a value as it stands in the text."""
        frame: Frame = self.globals[_FRAME]  # type: ignore[assignment]  # globals hold objects
        if isinstance(value, dict | list):
            self.spend(MAX_VALUE_LENGTH // _PIECE)
            value = _json(value)
        text = to_liquid_string(value, autoescape=False)
        self.spend(len(text) // _PIECE)
        return frame.block(text) if isinstance(value, _Json) else frame.value(text, is_alone=not self.loops)


def _readable(text: str) -> str:
    """Clean a text and cut it, at a cost that does not grow with what is cut."""
    kept = clean(text[:MAX_VALUE_LENGTH])
    gone = len(text) - MAX_VALUE_LENGTH
    return f"{kept}[… {gone} more characters were cut]" if gone > 0 else kept


def _dotted(path: Iterable[object]) -> str:
    first, *rest = path
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


class _Block(BlockNode):
    """What stands in a tag, which costs time even if it looks up nothing."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        _ours(context).spend(1)
        return super().render_to_output(context, buffer)


class _Range(RangeLiteral):
    """`(1..9)`, which pays for all that it will be walked through."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        made = super().evaluate(context)
        _ours(context).spend(made.stop - made.start)  # `len` fails for the longest
        return made


def _ours(context: RenderContext) -> _Context:
    if not isinstance(context, _Context):  # the signatures are Liquid's; the context is always ours
        raise TypeError(type(context).__name__)
    return context


class _OutputNode(OutputNode):
    """`{{ … }}`."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_ours(context).shown(self.expression.evaluate(context)))


class _Output(Output):
    node_class = _OutputNode


# --- filters ----------------------------------------------------------------------------------------------------------


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Bound what a filter takes and gives, so that no chain of filters can grow without limit."""
    any_length = name in _ANY_LENGTH

    @functools.wraps(function)
    def guarded(value: object, *arguments: object, context: _Context, **options: object) -> object:
        if isinstance(value, _Missing) and name != "default":
            value.report()
        for item in (value, *arguments):
            _check(name, item, context, any_length=any_length)
        for item in (value, *arguments) if name in _WHOLE else arguments:
            if isinstance(item, list | tuple):
                _pay_for_all(item, context)
        result = function(value, *arguments, **options)
        if not isinstance(result, str) or isinstance(result, _Json):
            return result
        kind = _Json if isinstance(value, _Json) else type(result)
        return kind(cut(result, MAX_VALUE_LENGTH))

    guarded.with_context = True  # type: ignore[attr-defined]  # how Liquid is told to pass the context
    return guarded


def _check(name: str, value: object, context: _Context, *, any_length: bool) -> None:
    context.spend(1)
    if isinstance(value, str):
        context.spend(len(value) // _PIECE)
    elif isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise ResourceLimitError(f'the number for "{name}" is too large', token=None)
    elif isinstance(value, dict) and (not any_length or name == "slice"):
        raise LiquidError(f'"{name}" takes no object; use json, or name a field', token=None)
    elif isinstance(value, list | tuple | range) and not any_length:
        if len(value) > MAX_ITEMS:
            raise ResourceLimitError(f'"{name}" takes at most {MAX_ITEMS} items; use slice first', token=None)
        context.spend(len(value))
        items = tuple(itertools.islice(_flat(value), MAX_ITEMS + 1))
        if len(items) > MAX_ITEMS:  # Liquid works on what lists within a list hold
            raise ResourceLimitError(f'"{name}" takes at most {MAX_ITEMS} items in all', token=None)
        context.spend(len(items))
        if name != "join":  # it stops where its text is cut
            context.spend(sum(len(item) // _PIECE for item in items if isinstance(item, str)))


def _pay_for_all(value: object, context: _Context) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        context.spend(1 + (len(item) // _PIECE if isinstance(item, str) else 0))
        if isinstance(item, list | tuple):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.values())


def _flat(value: Iterable[object], levels: int = 5) -> Iterator[object]:
    for item in value:
        if levels and isinstance(item, list | tuple):
            yield from _flat(item, levels - 1)
        else:
            yield item


_CUT: Final = "[… more characters were cut]"

_HIDDEN: Final = re.compile(r"<(?:(!--)|(script|style)\b|[a-z/!?])", re.IGNORECASE)
_HIDDEN_ENDS: Final = {
    "": re.compile(">"),
    "!--": re.compile("-->"),
    **{name: re.compile(f"</{name}[^<>]*+>", re.IGNORECASE) for name in ("script", "style")},
}


def _strip_html(value: object) -> str:
    """Remove tags, comments, scripts and styles; what is never closed hides the rest, but for a tag, which is text."""
    text = to_liquid_string(value, autoescape=False)
    kept: list[str] = []
    at = 0
    while opened := _HIDDEN.search(text, at):
        kept.append(text[at : opened.start()])
        end = _HIDDEN_ENDS[(opened[1] or opened[2] or "").lower()].search(text, opened.end())
        if end is None:
            return "".join(kept) + ("" if opened[1] or opened[2] else text[opened.start() :])
        at = end.end()
    return "".join(kept) + text[at:]


def _replace(value: object, old: object, new: object = "") -> str:
    text, searched, replacement = str(value), str(old), str(new)
    if text.count(searched) * len(replacement) > MAX_VALUE_LENGTH:
        raise ResourceLimitError('"replace" would make the text too long', token=None)
    return text.replace(searched, replacement)


def _join(value: object, separator: object = " ") -> str:
    items = value if isinstance(value, list | tuple) else [value]
    text = ""
    for position, item in enumerate(items):
        written = _json(item) if isinstance(item, dict | list) else to_liquid_string(item, autoescape=False)
        text += (str(separator) if position else "") + written[: MAX_VALUE_LENGTH + 1]
        if len(text) > MAX_VALUE_LENGTH:
            break
    return clean(text)


def _date(value: object, form: object = "%Y-%m-%d %H:%M UTC") -> str:
    """Write a Unix time (seconds, or milliseconds from 10^11) or an ISO 8601 text in UTC; anything else as it is."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000 if abs(value) >= 1e11 else value, UTC)  # noqa: PLR2004
        else:
            moment = datetime.fromisoformat(str(value))
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.strftime(str(form)[:64])
    except (ValueError, OverflowError, OSError):
        return to_liquid_string(value, autoescape=False)


def _json(value: object) -> str:
    """Write compact JSON; nothing for a field that the event lacks."""
    if isinstance(value, Undefined):
        return ""
    text = msgspec.json.encode(_beginning(value, [MAX_VALUE_LENGTH])).decode()
    is_cut = len(text) > MAX_VALUE_LENGTH
    return _Json(clean(text[:MAX_VALUE_LENGTH]) + (_CUT if is_cut else ""))


def _beginning(value: Any, room: list[int]) -> Any:
    """Copy as much of a value as has some characters as JSON, however large it is.

    room  characters that are left, one number; once it is below zero, what is written is longer than they were
    """
    if isinstance(value, str):
        room[0] -= len(value) + 2
        return value if room[0] >= 0 else value[: MAX_VALUE_LENGTH + 1]
    if isinstance(value, dict):
        room[0] -= 2
        pairs: dict[Any, Any] = {}
        for key, item in value.items():
            if room[0] < 0:
                break
            pairs[_beginning(key, room)] = _beginning(item, room)
        return pairs
    if isinstance(value, list | tuple | range):
        room[0] -= 2
        items: list[Any] = []
        for item in value:
            if room[0] < 0:
                break
            items.append(_beginning(item, room))
        return items
    room[0] -= 1
    return value


class _Environment(liquid.Environment):
    """Liquid with only what is listed in this module."""

    block_nesting_limit = MAX_BLOCK_NESTING
    local_namespace_limit = MAX_LOCALS_BYTES
    output_stream_limit = MAX_OUTPUT_BYTES

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Register the listed tags and filters, each filter behind its guard."""
        del extra
        builtin.register(self)
        self.tags = {name: tag for name, tag in self.tags.items() if name in _TAGS}
        self.add_tag(_Output)
        listed = (*_TEXT_FILTERS, *_LIST_FILTERS, *_NUMBER_FILTERS, *_OTHER_FILTERS)
        filters = {name: self.filters[name] for name in listed}
        filters |= {"replace": _replace, "join": _join, "date": _date, "json": _json, "strip_html": _strip_html}
        self.filters = {name: _guarded(name, function) for name, function in filters.items()}


_ENVIRONMENT: Final = _Environment()
