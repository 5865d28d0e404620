"""The JSON of payloads, read by every program with the same functions: what a receiver lets in, no worker refuses.

Strict: UTF-8 without a mark, no NaN, nothing after the value; of equal keys the last counts. Three things that genuine
senders write are read although no decoder here takes them as they are:

- half of a surrogate pair, which JSON libraries write for an emoji that was cut in two, becomes U+FFFD;
- a number that no float holds becomes the largest float of its sign: it compares as it should and can be written as
  JSON again, neither of which an infinity or a text does;
- integers stay exact up to some 4,300 digits, beyond which Python does not print them; longer ones are such numbers.

Ordinary bodies pay nothing for it: a text is mended only once it has been refused. Nothing here raises.
"""

import re
import sys
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

MAX_DEPTH: Final = 500
"""Levels of objects and lists. Left to the interpreter, the bound is a thousand less the caller's own frames (3.11), or
ten thousand, or what the stack holds: another in each version, thread and program. Half of the smallest of them."""

_FLAT: Final = 8  # levels that are counted all at once: of nearly all payloads, all of them
_LARGEST: Final = repr(sys.float_info.max).replace("+", "").encode()

Opened = dict[str, msgspec.Raw] | list[msgspec.Raw] | str | int | float | bool | None
"""A JSON value whose parts are still JSON."""

_open: Callable[[bytes | msgspec.Raw], Opened] = msgspec.json.Decoder(Opened).decode
_decode: Callable[[bytes | msgspec.Raw], Any] = msgspec.json.Decoder().decode

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""A pair, a half (the group), or any other escape."""
# A text that is never closed reaches to the end, lest every quote in it be tried anew.
_TEXT_OR_NUMBER: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|-?[0-9]++(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+', re.DOTALL)
_NO_OPENING: Final = bytes(set(range(256)) - set(b"[{"))
_NO_MARK: Final = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND_OF_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_OPENING: Final = ord("[")

_T = TypeVar("_T")


class Unparsable(NamedTuple):
    """A body that is not what its provider sends; `reason` never quotes it."""

    reason: str


class Json(msgspec.Struct, Generic[_T], frozen=True):
    """JSON that is valid as a whole, and as much of it as was asked for."""

    value: _T
    text: bytes
    """As received, or mended."""


def open_json(body: bytes) -> Json[Opened] | Unparsable:
    """Check JSON as a whole, and open its first level."""
    return _read(body, _open)


def open_part(part: bytes | msgspec.Raw) -> Opened:
    """Open a part of JSON that has been checked; None for a number that no float holds: it identifies nothing."""
    try:
        return _open(part)
    except (msgspec.ValidationError, RecursionError):
        return None


def read_json(body: bytes) -> Any | Unparsable:
    """Decode JSON as a whole."""
    found = _read(body, _decode)
    return found if isinstance(found, Unparsable) else found.value


def _read(body: bytes, decode: Callable[[bytes], _T]) -> Json[_T] | Unparsable:
    try:
        try:
            str(body, "utf-8")  # what is not opened is checked for everything else
            value = decode(body)
        except UnicodeDecodeError:
            return Unparsable("not valid JSON")
        except msgspec.DecodeError:
            body = _mended(body)
            value = decode(body)
    except RecursionError:
        return Unparsable("JSON nested too deeply")
    except ValueError:
        return Unparsable("not valid JSON")
    return Unparsable("JSON nested too deeply") if _is_deep(body) else Json(value, body)


def _mended(body: bytes) -> bytes:
    return _TEXT_OR_NUMBER.sub(_bounded, _ESCAPE.sub(_whole, body))


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def _bounded(token: re.Match[bytes]) -> bytes:
    text = token[0]
    if text.startswith(b'"'):
        return text
    try:
        _decode(text)
    except msgspec.ValidationError:  # out of range
        return b"-" + _LARGEST if text.startswith(b"-") else _LARGEST
    except msgspec.DecodeError:
        pass  # no number at all: it will be refused with everything around it
    return text


def _is_deep(body: bytes) -> bool:
    """Tell whether valid JSON has more levels than allowed.

    First all brackets are counted, which is enough for nearly every body: 0.3 us for each kB, and up to 4 us otherwise.
    """
    if len(body) <= 2 * MAX_DEPTH or len(body.translate(None, _NO_OPENING)) <= MAX_DEPTH:
        return False
    if b"\\" in body and rb"\"" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = body.translate(_ONE_KIND_OF_BRACKETS, _NO_MARK).replace(b'""', b"")
    brackets = b"".join(marks.split(b'"')[::2])  # every second piece stands within a text
    for level in range(_FLAT):
        if len(brackets) <= 2 * (MAX_DEPTH - level):
            return False
        brackets = brackets.replace(b"[]", b"")  # takes the innermost level away
    depth = _FLAT
    for bracket in brackets:
        depth += 1 if bracket == _OPENING else -1
        if depth > MAX_DEPTH:
            return True
    return False
