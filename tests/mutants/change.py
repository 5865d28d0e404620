"""A small change of one file, and which of many are tried."""

import difflib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What some test must notice."""

    path: str
    """Of the file, from the root of the tree."""
    line: int
    kind: str
    """For people: what was done."""
    apply: Callable[[], str]
    """Builds the file's changed text: only for those that are tried, as there are thousands."""


def sample(changes: Iterable[Change], *, seed: int, count: int) -> list[Change]:
    """Choose some, each as likely as any other, the same ones for the same seed; in the order of files and lines."""
    found = list(changes)
    chosen = sorted(random.Random(seed).sample(range(len(found)), min(count, len(found)) if count else len(found)))
    return [found[position] for position in chosen]


def show(before: str, after: str) -> list[str]:
    """Show what differs: the lines as they were, and as they are."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in list(lines)[2:] if not line.startswith("@@")]
