"""Prompt templates: Liquid, with every limit that a language shared by many teams needs.

A template is parsed when its route is compiled, and rendered by a shared worker over a payload that outsiders wrote. So
tags and filters are a list of what is harmless (no includes, nothing that reads the clock), every step of a rendering
is paid from one budget, and rendering ends in a text or in `RenderFailed`, never in anything else.

What a template shows of a payload stays data: invisible characters are removed, long values are cut with a visible
mark, objects and lists are written as JSON, and whatever could hold a sentence stands inside the prompt's data fence.
A field that the payload lacks renders empty and is reported.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TextIO

import liquid
import msgspec
from liquid import builtin
from liquid.builtin.output import Output, OutputNode
from liquid.context import RenderContext
from liquid.exceptions import LiquidError, OutputStreamLimitError, ResourceLimitError
from liquid.output import LimitedStringIO
from liquid.static_analysis import Variable
from liquid.stringify import to_liquid_string
from liquid.token import Token
from liquid.undefined import UNDEFINED, Undefined

from eventroute.errors import Refused
from eventroute.fence import Fence, clean, cut
from eventroute.suggest import nearest

VARIABLES: Final = frozenset({"payload", "event", "headers", "route", "provider", "entity", "received_at", "events"})
"""payload: the event as JSON; event: its type; headers: by name in any case; route: `namespace` and `name`;
provider: its name; entity: whom the event is about, or empty; received_at: ISO 8601 in UTC; events: all that the
run is about, oldest first, each with `event` and `payload`: several where the route debounces, the last one being the
`event` and `payload` beside it."""

MAX_LENGTH: Final = 32_768
MAX_OUTPUT_BYTES: Final = 262_144
MAX_VALUE_LENGTH: Final = 20_000
"""Characters of one text value or of one JSON block."""
MAX_ITEMS: Final = 1_000
"""Of a list that a filter works on."""
MAX_LOCALS_BYTES: Final = 1_048_576
MAX_WORK: Final = 100_000
"""Look-ups, loop turns, list items and 64-character pieces that filters touch. All of it takes under half a second."""
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
    *("slice", "split", "squish", "strip", "strip_html", "strip_newlines", "truncate", "truncatewords", "upcase"),
)
_LIST_FILTERS: Final = ("compact", "concat", "first", "last", "map", "reject", "reverse", "sort", "sum", "where")
_NUMBER_FILTERS: Final = (
    *("abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "times"),
)
_OTHER_FILTERS: Final = ("default", "size")
_ANY_LENGTH: Final = frozenset({"default", "first", "last", "size", "slice", "json"})
"""Filters whose cost does not grow with a list."""


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

    def render(self, variables: Mapping[str, Any], fence: Fence) -> Rendered:
        """Fill in an event.

        variables  every name of `VARIABLES`, JSON values
        fence      around each JSON block, a tag that the event's texts do not hold
        raises     RenderFailed, nothing else
        """
        buffer = LimitedStringIO(MAX_OUTPUT_BYTES)
        context = _Context(self._bound, globals={**variables, _FENCE: fence})
        try:
            self._bound.render_with_context(context, buffer)
        except OutputStreamLimitError:
            buffer = _mark_cut(buffer)
        except LiquidError as error:
            raise RenderFailed(cut(str(error.message), 200)) from error
        except Exception as error:  # filters are lax about types: whatever they raise has one meaning here
            raise RenderFailed(f"{type(error).__name__} while rendering") from error
        return Rendered(buffer.getvalue(), tuple(context.missing))


def compile_template(source: str) -> Template:
    """Parse a template and check every variable, filter and tag in it; raises `TemplateRefused`."""
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
        if name not in VARIABLES:
            line, column = _place(source, variables[0].span.index)
            message = f'unknown variable "{name}"{nearest(name, VARIABLES)}'
            raise TemplateRefused(message, line=line, column=column, unknown_variable=True)
    for name, spans in analysis.filters.items():
        if name not in _ENVIRONMENT.filters:
            line, column = _place(source, spans[0].index)
            message = f'unknown filter "{name}"{nearest(name, _ENVIRONMENT.filters)}'
            raise TemplateRefused(message, line=line, column=column)
    return Template(source, bound, _headers(analysis.variables.get("headers", ())))


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
    ended.write(buffer.getvalue() + f"\n[… the rest was cut: the prompt reached {MAX_OUTPUT_BYTES} bytes]")
    return ended


# --- rendering --------------------------------------------------------------------------------------------------------

_FENCE: Final = "\0fence"
"""No template can name it."""
_ABSENT: Final = object()


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

    __slots__ = ("_work", "missing")

    def __init__(self, template: liquid.BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self._work = 0
        self.missing: dict[str, None] = {}

    def spend(self, work: int) -> None:
        self._work += work
        if self._work > MAX_WORK:
            raise ResourceLimitError("the template does too much for this event", token=None)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        self.spend(1)
        value = super().get(path, token=token, default=_ABSENT)
        if value is _ABSENT:
            return _Missing(_dotted(path), self, token) if default is UNDEFINED else default
        return cut(clean(value), MAX_VALUE_LENGTH) if isinstance(value, str) else value

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.spend(length)

    def shown(self, value: object) -> str:
        """Write a value as it stands in the prompt."""
        fence: Fence = self.globals[_FENCE]  # type: ignore[assignment]  # globals hold objects
        if isinstance(value, dict | list):
            value = _Json(cut(_json(value), MAX_VALUE_LENGTH))
        text = to_liquid_string(value, autoescape=False)
        return fence.block(text) if isinstance(value, _Json) else fence.value(text)


def _dotted(path: Iterable[object]) -> str:
    first, *rest = path
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


class _OutputNode(OutputNode):
    """`{{ … }}`."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        if not isinstance(context, _Context):  # the signature is Liquid's; the context is always ours
            raise TypeError(type(context).__name__)
        return buffer.write(context.shown(self.expression.evaluate(context)))


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
        result = function(value, *arguments, **options)
        if not isinstance(result, str):
            return result
        kind = _Json if isinstance(value, _Json) else type(result)
        return kind(cut(result, MAX_VALUE_LENGTH))

    guarded.with_context = True  # type: ignore[attr-defined]  # how Liquid is told to pass the context
    return guarded


def _check(name: str, value: object, context: _Context, *, any_length: bool) -> None:
    context.spend(1)
    if isinstance(value, str):
        context.spend(len(value) // 64)
    elif isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise ResourceLimitError(f'the number for "{name}" is too large', token=None)
    elif isinstance(value, dict) and not any_length:
        raise LiquidError(f'"{name}" takes no object; use json, or name a field', token=None)
    elif isinstance(value, list | tuple | range) and not any_length:
        if len(value) > MAX_ITEMS:
            raise ResourceLimitError(f'"{name}" takes at most {MAX_ITEMS} items; use slice first', token=None)
        context.spend(len(value))


def _replace(value: object, old: object, new: object = "") -> str:
    text, searched, replacement = str(value), str(old), str(new)
    if text.count(searched) * len(replacement) > MAX_VALUE_LENGTH:
        raise ResourceLimitError('"replace" would make the text too long', token=None)
    return text.replace(searched, replacement)


def _join(value: object, separator: object = " ") -> str:
    items = value if isinstance(value, list | tuple) else [value]
    text = ""
    for position, item in enumerate(items):
        text += (str(separator) if position else "") + to_liquid_string(item, autoescape=False)
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
    return (
        "" if isinstance(value, Undefined) else _Json(cut(clean(msgspec.json.encode(value).decode()), MAX_VALUE_LENGTH))
    )


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
        filters |= {"replace": _replace, "join": _join, "date": _date, "json": _json}
        self.filters = {name: _guarded(name, function) for name, function in filters.items()}


_ENVIRONMENT: Final = _Environment()
