"""The URL of a tool: fixed scheme, host and port, with arguments in places of path and query that they cannot leave.

    https://api.example.com/refunds/{{ id }}?currency={{ currency }}

`{{ name }}` stands for an argument, percent-encoded to the last character that has a meaning in URLs. What percent
signs do not keep everywhere is refused instead: servers and proxies that decode a path before they read it take `%2F`
for a slash, and a segment of dots for a step upwards. Pure; used where routes are judged, and where tools are called.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import quote

from eventroute.errors import Refused

_PLACE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}")
_SHAPE: Final = re.compile(r"(?P<origin>https?://[^/?#\s{}\\@]+)(?P<path>/[^?#\s\\]*)?(?:\?(?P<query>[^#\s\\]*))?")
_UNSAFE_IN_PATH: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_DOTS: Final = frozenset({"", ".", ".."})
_MAX_LENGTH: Final = 1024
"""Of one argument, in characters. Arbitrary; a URL of some thousands is refused by many servers."""


class ToolUrlRefused(Refused):
    """A URL that leaves open where it leads, or an argument that would."""


class ToolUrl:
    """A URL made ready."""

    def __init__(self, source: str, names: Collection[str]) -> None:
        """Read; raises `ToolUrlRefused`.

        names  arguments that are always there
        """
        plain = _PLACE.sub(lambda found: found[0].replace(" ", ""), source)
        parts = _SHAPE.fullmatch(plain)
        if parts is None:
            raise ToolUrlRefused(
                "must be http(s)://host/path?query, with {{ name }} in path and query only, no user and no fragment"
            )
        self._origin = parts["origin"]
        self._path = [_split(segment, names) for segment in (parts["path"] or "/").split("/")]
        self._query = _split(parts["query"], names) if parts["query"] is not None else None

    @property
    def places(self) -> frozenset[str]:
        """Names of the arguments that stand in it."""
        pieces = [*(piece for segment in self._path for piece in segment), *(self._query or ())]
        return frozenset(piece[1] for piece in pieces if piece[0])

    @property
    def example(self) -> str:
        """The URL with an argument of one letter in each place, which leads where all others do."""
        return self.fill(dict.fromkeys(self.places, "x"))

    def fill(self, arguments: Mapping[str, Any]) -> str:
        """Write the URL of a call; raises `ToolUrlRefused` for an argument that does not fit into its place."""
        path = "/".join(_segment(segment, arguments) for segment in self._path)
        query = "" if self._query is None else "?" + "".join(_fill(self._query, arguments))
        return f"{self._origin}{path}{query}"


_Piece = tuple[bool, str]
"""An argument's name, or text that stays as it is."""


def _split(text: str, names: Collection[str]) -> tuple[_Piece, ...]:
    pieces = _PLACE.split(text)
    found = tuple((index % 2 == 1, piece) for index, piece in enumerate(pieces) if piece or index % 2)
    for is_name, piece in found:
        if is_name and piece not in names:
            raise ToolUrlRefused(f"{{{{ {piece} }}}} is not a required text or number of input")
        if not is_name and ("{" in piece or "}" in piece):
            raise ToolUrlRefused("holds a brace that is no {{ name }}; write %7B and %7D")
    return found


def _segment(pieces: tuple[_Piece, ...], arguments: Mapping[str, Any]) -> str:
    """Fill a segment of the path; its arguments may be no separators, nor make it a step to another folder."""
    filled = _fill(pieces, arguments)
    for (is_name, name), _ in zip(pieces, filled, strict=True):
        if is_name and _UNSAFE_IN_PATH.search(_text(arguments[name])):
            raise ToolUrlRefused(f"{name} must not hold slashes, backslashes or control characters")
    whole = "".join(filled)
    if whole in _DOTS and any(is_name for is_name, _ in pieces):
        raise ToolUrlRefused("the path would have a segment that is empty or of dots")
    return whole


def _fill(pieces: tuple[_Piece, ...], arguments: Mapping[str, Any]) -> list[str]:
    return [_encoded(piece, arguments[piece]) if is_name else piece for is_name, piece in pieces]


def _encoded(name: str, value: Any) -> str:
    text = _text(value)
    if len(text) > _MAX_LENGTH:
        raise ToolUrlRefused(f"{name} is longer than {_MAX_LENGTH} characters")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise ToolUrlRefused(f"{name} is no text that a URL can hold") from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
