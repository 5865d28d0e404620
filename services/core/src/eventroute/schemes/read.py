"""Reading a verified request: its events, what identifies each of them, or the handshake that it is.

Nothing here raises. Payloads stay the provider's own bytes, of which only what the row names is decoded.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from eventroute.outcome import Refusal
from eventroute.payload import Unparsable, read_json
from eventroute.schemes.batch import Item, batch_items
from eventroute.schemes.derived import (
    comes_first,
    covers_body,
    identity_is_signed,
    lending,
    signs,
    timestamp_is_signed,
)
from eventroute.schemes.handshake import Handshake, Judge, build_judge
from eventroute.schemes.inner import unwrapper
from eventroute.schemes.key import Key
from eventroute.schemes.message import Message, message_builder
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Document, Request, document
from eventroute.schemes.source import Getter, getter

COPY_S: Final = 600
"""How long equal bytes count as a copy where nothing identifies them. Arbitrary: senders that repeat a request whose
answer they have not heard do so within minutes, and what is reported anew later is another event."""

_MAX_TYPE: Final = 200  # characters of an event type; arbitrary, so that nobody sends a book as one


class Mark(msgspec.Struct, frozen=True):
    """Something that tells a repetition from a new event."""

    kind: Literal["id", "digest", "copy"]
    """The provider's id; the signed bytes, where the id could be forged or a signed time stands for it; the same bytes
    where nothing else identifies the event, which proves nothing and is believed for a moment only."""
    value: bytes
    lifetime_s: int


class Event(msgspec.Struct, frozen=True):
    """One event of a request."""

    type: str
    """In the provider's words; empty when the request names none."""
    id: str | None
    """The provider's delivery id, for people; what it is compared by is in `marks`."""
    payload: bytes
    """JSON: the body, one item of a batch, or a form as an object of strings."""
    marks: tuple[Mark, ...]
    """What must not be accepted twice; empty for an empty body, and where equal bodies are events of their own."""
    value: Any = None
    """The payload, decoded, if that was asked for."""
    is_own: bool = False
    """Who asked caused it."""


class Events(msgspec.Struct, frozen=True):
    """What is to be queued: all of it or nothing. Never empty."""

    items: tuple[Event, ...]


def read(
    scheme: Scheme,
    request: Request,
    *,
    decode: bool = False,
    own: frozenset[bytes] = frozenset(),
    key: Key | None = None,
) -> Events | Handshake | Unparsable:
    """Take a verified request apart; call it only after `verify` has accepted the request.

    decode  fill in `Event.value`, which a filter looks into; without, nobody here needs a whole payload
    own     the names of who asks, as the provider writes them, to fill in `Event.is_own`
    key     the one that the request was verified with, for a handshake that asks for a proof
    """
    reader = _reader(scheme)
    parsed = reader.document(request)
    if isinstance(parsed, Unparsable):
        return parsed
    for judge in reader.handshakes:
        answer = judge(request, key, b"")
        if isinstance(answer, Handshake | Unparsable):
            return answer
    items = reader.items(parsed)
    if isinstance(items, Unparsable):
        return items
    events: list[Event] = []
    for index, (value, payload) in enumerate(items):
        event_type = reader.event_type(request, value)
        if event_type is None:
            return Unparsable("the event type contradicts the body")
        if event_type in scheme.ignored_events:
            continue
        decoded = read_json(payload) if decode else None
        if isinstance(decoded, Unparsable):
            return decoded
        id_, marks = reader.identity(request, value, index)
        is_own = bool(own) and any(get(request, value) in own for get in reader.actors)
        events.append(Event(event_type, id_, payload, marks, decoded, is_own))
    return Events(tuple(events)) if events else Handshake(scheme.success_status)


# --- the reader: a row's columns as functions, made once per row ------------------------------------------------------

_Marks = tuple[Mark, ...]


class _Reader(NamedTuple):
    document: Callable[[Request], Document | Unparsable]
    handshakes: tuple[Judge, ...]
    items: Callable[[Document], list[Item] | Unparsable]
    event_type: Callable[[Request, Any], str | None]
    identity: Callable[[Request, Any, int], tuple[str | None, _Marks]]
    actors: tuple[Getter, ...]


@lru_cache(maxsize=1024)
def _reader(scheme: Scheme) -> _Reader:
    return _Reader(
        document=_document(scheme),
        handshakes=tuple(build_judge(scheme, rule) for rule in scheme.handshake if not comes_first(rule)),
        items=batch_items(scheme),
        event_type=_event_type(scheme),
        identity=_identity(scheme),
        actors=tuple(getter(scheme, source) for source in scheme.actor),
    )


def _document(scheme: Scheme) -> Callable[[Request], Document | Unparsable]:
    anything = scheme.document == "any"
    is_batch = bool(scheme.batch)
    unwrap = unwrapper(scheme)

    def parsed(request: Request) -> Document | Unparsable:
        if anything and not request.body:
            return Document(None, b"null")
        found = document(request, scheme.form)
        if isinstance(found, Document) and isinstance(found.value, dict):
            return unwrap(found) if unwrap else found
        if isinstance(found, Unparsable) or anything:
            return found
        return found if is_batch and isinstance(found.value, list) else Unparsable("not a JSON object")

    return parsed


def _event_type(scheme: Scheme) -> Callable[[Request, Any], str | None]:
    """Build the function that names an event; None = the body lacks what that event would have."""
    getters = [getter(scheme, source) for source in scheme.event]
    implied = {name.encode(): frozenset(keys) for name, keys in scheme.implies}

    def event_type(request: Request, value: Any) -> str | None:
        parts: list[bytes] = []
        for get in getters:
            part = get(request, value)
            if not part:
                break
            parts.append(part)
        wanted = implied.get(parts[0]) if parts else None
        if wanted and not (isinstance(value, dict) and value.keys() >= wanted):
            return None
        return b".".join(parts).decode("utf-8", "replace")[:_MAX_TYPE]

    return event_type


def _identity(scheme: Scheme) -> Callable[[Request, Any, int], tuple[str | None, _Marks]]:
    """Build the function that tells what identifies an event.

    An id that nothing signs, or beside an event type that nothing signs, can be changed by whoever captured a request,
    and so can one whose neighbours in the signed text can lend it bytes: there the digest of the signed bytes is a mark
    as well. Without an id that digest serves where it covers a signed timestamp. Elsewhere equal bodies may be distinct
    events, and are taken for copies of one only for as long as a sender that has lost our answer takes to send again.
    An empty body says nothing: two of them are two events, and so are two equal ones of a row that says so.
    """
    getters = [getter(scheme, source) for source in scheme.id]
    forgeable = signs(scheme) and bool(scheme.id) and (not identity_is_signed(scheme) or lending(scheme))
    stamped = timestamp_is_signed(scheme)
    digest, lifetime_s = _digest(scheme), scheme.dedup_ttl_s
    copied = digest if covers_body(scheme) else _body_digest(scheme)

    def identity(request: Request, value: Any, index: int) -> tuple[str | None, _Marks]:
        parts: list[bytes] = []
        for get in getters:
            part = get(request, value)
            if part is not None and not _is_blank(part):
                parts.append(part)
        has_id = bool(parts) and len(parts) == len(getters)
        marks: list[Mark] = []
        if has_id:
            marks.append(Mark("id", parts[0] if len(parts) == 1 else _joined(parts), lifetime_s))
        if forgeable or (stamped and not has_id):
            marks.append(Mark("digest", digest(request, index), lifetime_s))
        if not marks and request.body and not scheme.alike:
            marks.append(Mark("copy", copied(request, index), COPY_S))
        return b":".join(parts).decode("utf-8", "replace") if has_id else None, tuple(marks)

    return identity


def _is_blank(part: bytes) -> bool:
    """Tell ids that many events share: empty, `null`, or all zeros like a UUID that was never set."""
    return not part.strip(b"0- ") or part == b"null"


def _joined(parts: list[bytes]) -> bytes:
    """Join so that no two lists of parts come out alike: each part with its length before it."""
    return b"".join(b"%d:%s" % (len(part), part) for part in parts)


def _digest(scheme: Scheme) -> Callable[[Request, int], bytes]:
    """Build the digest of the signed bytes, distinct for each item of a batch."""
    build: Message = message_builder(scheme)

    def digest(request: Request, index: int) -> bytes:
        messages = build(request)
        return _of_item(scheme, request.body if isinstance(messages, Refusal) else messages[0], index)

    return digest


def _body_digest(scheme: Scheme) -> Callable[[Request, int], bytes]:
    return lambda request, index: _of_item(scheme, request.body, index)


def _of_item(scheme: Scheme, message: bytes, index: int) -> bytes:
    found = hashlib.sha256(message).digest()
    return found + index.to_bytes(4, "big") if scheme.batch else found
