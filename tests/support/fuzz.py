"""Damage at random: of bytes, of texts and of trees; and how much of it a run deals out.

A usual run takes the same examples each time, for some seconds a test. With `EVENTROUTE_FUZZ_EXAMPLES` set, as
`make fuzz` does, it takes so many, and others each time, and makes what fails as small as it can, for minutes.
"""

import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

_FRAGMENTS: Final = (
    *(
        b"",
        b"\x00",
        b"\r\n",
        b"\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"=",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"%00", b"%2e%2e", b"%", b"&"),
    *(b"?", b"-1", b"0", b"1e999", b"9" * 30, b"NaN", b"null", b"true", b"[" * 600, b'{"a":' * 600, b"A" * 5000),
    *(b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"expect: 100-continue\r\n", b"0\r\n\r\n"),
    *(b"connection: close\r\n", b"x: " + b"y" * 70_000 + b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/0.9", b"//"),
)
_WORDS: Final = (
    *("&a ", "*a", "<<: ", "!!binary ", "!!python/object:os.system ", "---\n", "...\n", "%YAML 1.2\n", "? ", "- "),
    *("|\n", ">-\n", "#", "{{ ", " }}", "{% for a in payload %}", "{% ", "~", '"\\ud800"', "0x1F", "2026-01-01"),
    *(".inf", ".nan", "\t", "- " * 300, "[" * 300, "{a: " * 300, "((((((((", "payload.", ".all(x, ", "'" * 50),
    *("\u2028", "\x7f", "\ufeff", "é" * 400),
)
_ODD: Final[tuple[Any, ...]] = (  # all of it JSON, as an API server hands it on: no NaN, no halves of surrogate pairs
    *(None, True, False, 0, -1, 2**63 - 1, -(2**63), 1.5, 1e308, "", " ", "\x00", "\ufffd", "x" * 40_000, "*", "1h"),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": {"c": []}}}, "{{ payload", "payload.a ==", "9" * 400 + "h"),
)


def bounded(examples: int) -> settings:
    """Deal out so many examples, unless the run is told to deal out more."""
    asked = os.environ.get("EVENTROUTE_FUZZ_EXAMPLES")
    return settings(
        max_examples=int(asked) if asked else examples,
        derandomize=not asked,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if asked else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


class Edit(NamedTuple):
    """One change: what stands at a place, so far through the whole, gives way to something else."""

    at: float
    gone: int
    put: bytes
    again: bool
    """What has gone is put back behind it."""

    def of(self, data: bytes) -> bytes:
        """Change these bytes."""
        start = int(self.at * len(data))
        end = start + self.gone
        kept = data[start:end] * (2 if self.again else 0)
        return data[:start] + self.put + kept + data[end:]


def edits(*, fragments: Sequence[bytes] = _FRAGMENTS, most: int = 4) -> st.SearchStrategy[list[Edit]]:
    """Make some changes, or none."""
    gone = st.integers(0, 3) | st.integers(0, 400) | st.just(10**9)
    put = st.sampled_from(fragments) | st.binary(max_size=3)
    return st.lists(st.builds(Edit, st.floats(0, 1), gone, put, st.booleans()), max_size=most)


def words() -> st.SearchStrategy[list[Edit]]:
    """Make some changes of a text that is YAML, with templates and expressions in it."""
    return edits(fragments=[word.encode() for word in _WORDS], most=3)


def edited(data: bytes, changes: Sequence[Edit]) -> bytes:
    """Make the changes, one after the other."""
    for change in changes:
        data = change.of(data)
    return data


class Swap(NamedTuple):
    """One change of a tree: the node that is so far through it gives way to another value, or only its key does."""

    at: float
    put: Any
    is_key: bool


def swaps() -> st.SearchStrategy[list[Swap]]:
    """Make some changes of a tree."""
    put = st.sampled_from(_ODD) | st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1)
    return st.lists(st.builds(Swap, st.floats(0, 1, exclude_max=True), put, st.booleans()), min_size=1, max_size=3)


def swapped(tree: Any, changes: Sequence[Swap]) -> Any:
    """Make the changes in a copy."""
    for change in changes:
        places = _places(tree)
        if places:
            tree = _swapped(tree, places[int(change.at * len(places))], change)
    return tree


def _places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    inner = [place for step, value in steps for place in _places(value, (*path, step))]
    return [*inner, path] if path else inner


def _swapped(tree: Any, path: tuple[Any, ...], change: Swap) -> Any:
    if not path:
        return change.put
    step, *rest = path
    if isinstance(tree, list):
        return [_swapped(each, tuple(rest), change) if index == step else each for index, each in enumerate(tree)]
    if change.is_key and not rest:
        return {str(change.put)[:80] if name == step else name: value for name, value in tree.items()}
    return {name: _swapped(value, tuple(rest), change) if name == step else value for name, value in tree.items()}
