"""Which events a provider is known to send, from dated data (`schemes/events.json`), and what another name means.

Only `eventroute lint` asks, and only to warn: a provider may send what nobody has written down yet. Of a provider that
is not in the data every name is fine.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final, Self

import msgspec

from eventroute.match import accepts
from eventroute.suggest import nearest

_SEPARATORS: Final = str.maketrans("", "", "-_./: ")
_ALIKE_FIRST: Final = 0.8
"""How much of a name's first segment must be right for another one to be meant: "issue" is "issues"."""
_ALIKE: Final = 0.65
"""The same of the segments after it, which are fewer: "created" is "creation", and not "edited"."""


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The events of one provider."""

    rows: tuple[str, ...]
    """The rows of the scheme table whose events these are."""
    as_of: str
    """The day on which the source was read."""
    source: str
    events: tuple[str, ...]
    """Names as the row spells them; `*` where a part is the user's own, as in Slack's commands."""

    def sends(self, pattern: str) -> bool:
        """Tell whether a pattern of a route is for any of these events."""
        return any(accepts(pattern, name) or ("*" in name and accepts(name, pattern)) for name in self.events)

    def meant(self, pattern: str) -> str:
        """Find the pattern that somebody probably meant by one that is for none of these events; empty = no idea."""
        plain = [name for name in self.events if "*" not in name]
        spelled = {_folded(head): head for name in plain for head in _heads(name)}
        return spelled.get(_folded(pattern)) or ".".join(_segments_meant(pattern, plain))

    def hint(self, pattern: str) -> str:
        """Write `; did you mean "issues.opened"?`, or nothing."""
        meant = self.meant(pattern)
        return f'; did you mean "{meant}"?' if meant else nearest(pattern, [n for n in self.events if "*" not in n])


class EventNames:
    """What is known of each provider's events."""

    def __init__(self, listings: Iterable[Listing] = ()) -> None:
        """Take each provider's listing; without any, every name is fine."""
        self._of_row = {row: listing for listing in listings for row in listing.rows}

    @classmethod
    def load(cls) -> Self:
        """Read the built-in data."""
        return cls(_built_in().values())

    def of(self, provider: str) -> Listing | None:
        """Find what a row of the scheme table sends; None = not known."""
        return self._of_row.get(provider)


@cache
def _built_in() -> Mapping[str, Listing]:
    data = files("eventroute.schemes").joinpath("events.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Listing])


def _heads(name: str) -> Iterator[str]:
    """List what a name begins with, segment by segment, and itself."""
    parts = name.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _folded(name: str) -> str:
    """Forget case and separators, which are what people mix up most."""
    return name.casefold().translate(_SEPARATORS)


def _segments_meant(pattern: str, names: Iterable[str]) -> Iterator[str]:
    """Go down the names with a pattern, a segment each, as far as something like it is there."""
    found = [name.split(".") for name in names]
    for depth, segment in enumerate(pattern.split(".")):
        options = {parts[depth] for parts in found if len(parts) > depth}
        known = any(accepts(segment, option) for option in options)
        meant = segment if known else _segment_meant(segment, options, _ALIKE if depth else _ALIKE_FIRST)
        if not meant:
            return
        yield meant
        found = [parts for parts in found if len(parts) > depth and accepts(meant, parts[depth])]


def _segment_meant(segment: str, options: Iterable[str], alike_by: float) -> str:
    folded = {_folded(option): option for option in sorted(options)}
    alike = difflib.get_close_matches(_folded(segment), folded, n=1, cutoff=alike_by)
    return folded[alike[0]] if alike else ""
