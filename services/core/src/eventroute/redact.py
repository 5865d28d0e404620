"""Redaction: values of a payload that are not to be kept are replaced before anything is written.

Only the levels that lead to a redacted value are written anew; all other parts stay the provider's own bytes. What was
taken out is visible as such, to people and to Claude.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from eventroute.payload import open_part

REDACTED: Final = "[redacted]"
"""Stands where a value stood."""

ANY: Final = "*"
"""A step that stands for every entry of a list or an object."""

_MARK: Final = msgspec.Raw(msgspec.json.encode(REDACTED))


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do with the entries of a level: where to go on, by name; nothing follows a step to a value that goes."""

    following: Mapping[str, "Steps"]


def build_steps(paths: Iterable[str]) -> Steps:
    """Put dotted paths together, so that a payload is gone through once; of two that overlap the shorter counts."""
    by_first: dict[str, list[str]] = {}
    for path in paths:
        first, _, rest = path.partition(".")
        by_first.setdefault(first, []).append(rest)
    return Steps({first: build_steps(() if "" in rest else rest) for first, rest in by_first.items()})


def redact(payload: bytes | msgspec.Raw, steps: Steps) -> msgspec.Raw:
    """Replace the values that the steps lead to; what is not there, or is no object or list, stays as it is."""
    opened = open_part(payload)
    if isinstance(opened, dict):
        for step, following in steps.following.items():
            for name in opened if step == ANY else (step,):
                if name in opened:
                    opened[name] = _replaced(opened[name], following)
    elif isinstance(opened, list):
        for step, following in steps.following.items():
            for index in _indices(step, len(opened)):
                opened[index] = _replaced(opened[index], following)
    else:
        return msgspec.Raw(payload)
    return msgspec.Raw(msgspec.json.encode(opened))


def _replaced(value: msgspec.Raw, following: Steps) -> msgspec.Raw:
    return redact(value, following) if following.following else _MARK


def _indices(step: str, length: int) -> Iterator[int]:
    if step == ANY:
        yield from range(length)
    elif step.isascii() and step.isdigit() and int(step) < length:
        yield int(step)
