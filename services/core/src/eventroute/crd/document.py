"""YAML as manifests use it, with the line of every field; JSON is a part of it.

Refused, because a manifest has no use for it and a hostile one has: aliases (the "billion laughs"), merge keys, tags,
duplicate keys, deep nesting. What a word without quotes says is `eventroute.crd.scalar`.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import yaml

from eventroute.crd.scalar import read_key, read_scalar

MAX_DEPTH: Final = 64

_LOADER: Final[type] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is not in every build of PyYAML


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    number: int
    """From 1."""
    value: Any
    lines: Mapping[str, int] = field(repr=False)
    """Dotted field path → line, from 1; the empty path is the document itself."""
    literals: frozenset[str] = field(repr=False)
    """Paths of `|` blocks, whose text begins on the line after their field's."""


class Broken(NamedTuple):
    """A document that is not readable."""

    number: int
    line: int
    message: str
    field: str = ""


class _BrokenError(Exception):
    def __init__(self, message: str, event: yaml.Event, path: str) -> None:
        super().__init__(message)
        self.line = _line(event)
        self.path = path


def read_documents(text: str) -> Iterator[Document | Broken]:
    """Read a stream of documents; a broken one does not hide the others unless the stream itself is broken there."""
    number = 0
    events = yaml.parse(text, Loader=_LOADER)
    try:
        for event in events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            number += 1
            builder = _Builder(events)
            try:
                value = builder.build(next(events), "", 0)
                yield Document(number, value, builder.lines, frozenset(builder.literals))
            except _BrokenError as error:
                yield Broken(number, error.line, str(error), error.path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable as YAML"
        yield Broken(max(number, 1), mark.line + 1 if mark else 1, str(message))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Builder:
    """Builds one document from its parse events; recursion is bounded by `MAX_DEPTH`."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self.lines: dict[str, int] = {}
        self.literals: set[str] = set()

    def build(self, event: yaml.Event, path: str, depth: int) -> Any:
        self.lines.setdefault(path, _line(event))
        if depth > MAX_DEPTH:
            raise _BrokenError(f"nested deeper than {MAX_DEPTH}", event, "")
        if isinstance(event, yaml.AliasEvent):
            raise _BrokenError(f"aliases (*{event.anchor}) are not supported; write the value out", event, path)
        tag = getattr(event, "tag", None)
        if tag not in {None, "!"}:
            raise _BrokenError(f"tags ({tag}) are not supported", event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        raise _BrokenError("unexpected end", event, path)

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _BrokenError("keys must be plain texts", event, path)
            key = self._key(event, path)
            inner = f"{path}.{key}" if path else key
            if key in values:
                written = "" if key == event.value else f", here as a bare {event.value}"
                raise _BrokenError(f'"{key}" is set twice{written}', event, inner)
            self.lines[inner] = _line(event)
            values[key] = self.build(next(self._events), inner, depth + 1)
        return values

    def _sequence(self, path: str, depth: int) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self.build(event, f"{path}[{len(values)}]", depth + 1))
        return values

    def _key(self, event: yaml.ScalarEvent, path: str) -> str:
        if event.value == "<<":
            raise _BrokenError("merge keys (<<) are not supported; write the fields out", event, path)
        key = read_key(event.value) if event.implicit[0] else event.value
        if key is None:
            raise _BrokenError(f'the key "{event.value}" is no text; put quotes around it', event, path)
        return key

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> Any:
        if event.style == "|":
            self.literals.add(path)
        if not event.implicit[0]:  # quoted, or a block
            return event.value
        value = read_scalar(event.value)
        if isinstance(value, float) and not math.isfinite(value):
            message = f"{event.value} is a number that JSON does not have; put quotes around it if it is a text"
            raise _BrokenError(message, event, path)
        return value
