"""Sources: how a row names a value of a request, and the functions that fetch it. The grammar is in `model`."""

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Document, Request, as_text, at, document, parameter

Place = Literal["header", "signature", "body", "item", "query"]
PLACES: Final[tuple[Place, ...]] = ("header", "signature", "body", "item", "query")

Getter = Callable[[Request, Any], bytes | None]
"""Fetches a value as bytes from a request and, for `item:`, from a batch item; None = absent."""


class Source(NamedTuple):
    """One alternative, taken apart."""

    place: Place
    name: str


def alternatives(text: str) -> tuple[Source, ...]:
    """Take `header:a|body:b` apart; raises `ValueError` where it is not written in the grammar."""
    return tuple(_parse(part) for part in text.split("|"))


def _parse(text: str) -> Source:
    place, colon, name = text.partition(":")
    for known in PLACES:
        if place == known and colon and name:
            return Source(known, name)
    raise ValueError(f"{text!r} is not header:NAME, signature:KEY, body:PATH, item:PATH or query:NAME")


def getter(scheme: Scheme, text: str) -> Getter:
    """Build the function that fetches a source's value."""
    getters = [_getter(scheme, source) for source in alternatives(text)]
    return getters[0] if len(getters) == 1 else _first(getters)


def _first(getters: list[Getter]) -> Getter:
    def first(request: Request, item: Any) -> bytes | None:
        for get in getters:
            if (found := get(request, item)) is not None:
                return found
        return None

    return first


def _getter(scheme: Scheme, source: Source) -> Getter:
    match source.place:
        case "header":
            return _header(source.name)
        case "signature":
            return _entry(scheme, source.name)
        case "body":
            return _body(scheme, source.name)
        case "item":
            return _item(source.name)
        case "query":
            return lambda request, _item: parameter(request, source.name)


def _header(name: str) -> Getter:
    wanted = name.lower().encode()
    return lambda request, _item: request.fields.get(wanted)


def _entry(scheme: Scheme, key: str) -> Getter:
    """Fetch one entry of the signature list; twice the same key is ambiguous and counts as absent."""
    signature = getter(scheme, scheme.signature)
    separator, wanted = scheme.separator.encode(), f"{key}=".encode()

    def entry(request: Request, _item: Any) -> bytes | None:
        header = signature(request, None)
        if header is None:
            return None
        found = [part for part in header.split(separator) if part.startswith(wanted)]
        return found[0][len(wanted) :] if len(found) == 1 else None

    return entry


def _body(scheme: Scheme, path: str) -> Getter:
    steps = tuple(path.split("."))

    def body(request: Request, _item: Any) -> bytes | None:
        parsed = document(request, scheme.form)
        return _bytes(at(parsed.value, steps)) if isinstance(parsed, Document) else None

    return body


def _item(path: str) -> Getter:
    steps = tuple(path.split("."))
    return lambda _request, item: _bytes(at(item, steps))


def _bytes(value: Any) -> bytes | None:
    text = as_text(value)
    return None if text is None else text.encode()
