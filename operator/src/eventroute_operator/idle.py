"""A route that answers with success, and of whose events Claude was asked about none: its status has to say so.

The rule: since the spec last changed, events have come, the first of them an hour ago at least; each that was judged
was left out; and none waits in the queue of which nobody can know yet. One that finds a prompt ends it until the spec
changes. Handshakes and what a scheme ignores (`ping`) are no events, and repeats are none of their own.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from eventroute.crd.status import MAX_MESSAGE_LENGTH
from eventroute.outcome import LeftOut
from eventroute.runtime.stats import Effect

PATIENCE: Final = timedelta(hours=1)
"""After the first event; arbitrary, so that a route that is tried out may begin with others than those it is for."""

_TYPES: Final = 3  # named of the most frequent cause; fewer where the message would be too long
_TYPE: Final = re.compile(r"[\w.:/-]+", re.ASCII)
"""Names that are shown; strangers may choose others."""

_CAUSES: Final = {
    LeftOut.NO_PROMPT: ("{} of types that no prompt's `events` name", "prompts"),
    LeftOut.WHEN: ("{} for which no `when` is true", "prompts"),
    LeftOut.FILTERED: ("{} filtered", "filter"),
    LeftOut.UNDECIDED: ("{} that `filter` fails on", "filter"),
    LeftOut.OWN_ACTION: ("{} own actions", "ownActors"),
}


def nothing_matched(effect: Effect | None, generation: int, now: datetime) -> str | None:
    """Say what became of a route's events, and where to look, when none was for Claude; None = all is well.

    effect  what has come of its events, of whichever generation; None = there were none
    """
    if effect is None or effect.generation != generation or effect.asked or not effect.left:
        return None
    is_judged = {LeftOut.NO_PROMPT, LeftOut.WHEN} & effect.left.keys()
    if effect.queued and not is_judged:
        return None
    since = datetime.fromtimestamp(effect.since_ms // 1000, UTC)
    return _message(effect, since) if now - since >= PATIENCE else None


def _message(effect: Effect, since: datetime) -> str:
    counts = {cause: sum(types.values()) for cause, types in effect.left.items()}
    causes = sorted(counts, key=lambda cause: (-counts[cause], cause))
    total = sum(counts.values())
    fields = ", ".join(dict.fromkeys(f"spec.{_CAUSES[cause][1]}" for cause in causes))
    head = f"{total} event{'s' * (total != 1)} since {since:%Y-%m-%dT%H:%MZ}, none for Claude: "
    first, *others = (_CAUSES[cause][0].format(counts[cause]) for cause in causes)
    messages = (
        f"{head}{', '.join([first + _named(effect.left[causes[0]], shown), *others])}; see {fields}"
        for shown in range(_TYPES, 0, -1)
    )
    short = f"{head}{', '.join([first, *others])}; see {fields}"
    return next((message for message in messages if len(message) <= MAX_MESSAGE_LENGTH), short)


def _named(types: dict[str, int], shown: int) -> str:
    """Name the most frequent types; the dots stand for others."""
    ranked = sorted(types, key=lambda name: (-types[name], name))
    names = [name for name in ranked if _TYPE.fullmatch(name)][:shown]
    if not names:
        return ""
    told = [f"{name} {types[name]}" for name in names]
    return f" ({', '.join([*told, '…'] if len(types) > len(names) else told)})"
