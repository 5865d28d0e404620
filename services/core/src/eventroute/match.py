"""Which prompt answers an event: patterns over event names, and the first matching entry of `prompts`.

Patterns are compared segment by segment, never as globs or regular expressions: an event name comes from outside.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from eventroute.expression import EvaluationError, Truth

ANY: Final = "*"


class Condition(Protocol):
    """A compiled `when`."""

    def test(self, variables: Mapping[str, Any]) -> Truth:
        """Evaluate over the event."""
        ...


class Rule(NamedTuple):
    """When one prompt applies."""

    events: tuple[str, ...]
    when: Condition | None


class Match(NamedTuple):
    """The first prompt that applies."""

    position: int | None
    """Position in `prompts`, from 0; None when no prompt applies."""
    errors: tuple[tuple[int, EvaluationError], ...] = ()
    """Prompts whose `when` could not be evaluated, which counts as not matching."""
    unmet: tuple[int, ...] = ()
    """Where no prompt applies: those that are for the event, and whose `when` is false."""


def first_match(rules: Sequence[Rule], variables: Mapping[str, Any]) -> Match:
    """Find the first rule whose pattern and condition hold for `variables["event"]` and the rest."""
    event = variables["event"]
    errors: list[tuple[int, EvaluationError]] = []
    unmet: list[int] = []
    for index, rule in enumerate(rules):
        if not any(accepts(pattern, event) for pattern in rule.events):
            continue
        truth = rule.when.test(variables) if rule.when else Truth(holds=True)
        if truth.error:
            errors.append((index, truth.error))
        elif truth.holds:
            return Match(index, tuple(errors))
        else:
            unmet.append(index)
    return Match(None, tuple(errors), tuple(unmet))


def accepts(pattern: str, event: str) -> bool:
    """Tell whether an event name, or what it begins with, has the pattern's form.

    `*` alone accepts anything, the empty name included. Elsewhere `*` stands for one or more characters within one
    segment, segments being separated by dots, and what follows the pattern's last segment is any: `pull_request`
    accepts `pull_request` and `pull_request.opened`, `invoice.*` accepts `invoice.paid` and `invoice.payment.failed`,
    but not `invoice`.
    """
    if pattern == ANY:
        return True
    wanted, found = pattern.split("."), event.split(".")
    return len(wanted) <= len(found) and all(map(_segment_accepts, wanted, found))


def covers(general: str, special: str) -> bool:
    """Tell whether every name that `special` accepts is accepted by `general`; may miss some, never invents one."""
    if general == ANY:
        return True
    wanted, found = general.split("."), special.split(".")
    return len(wanted) <= len(found) and all(
        one == other or ("*" not in other and _segment_accepts(one, other))
        for one, other in zip(wanted, found, strict=False)
    )


def _segment_accepts(pattern: str, segment: str) -> bool:
    """Match greedily from the left: the first possible place of each literal part leaves most for the rest."""
    first, *rest = pattern.split("*")
    if not rest:
        return segment == pattern
    if not segment.startswith(first):
        return False
    *middle, last = rest
    at = len(first)
    for part in middle:
        found = segment.find(part, at + 1)
        if found < 0:
            return False
        at = found + len(part)
    return len(segment) - len(last) >= at + 1 and segment.endswith(last)
