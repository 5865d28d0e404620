"""Which deliveries are meant: the options that lists and changes share."""

import re
import time
from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import typer

from eventroute.errors import Refused
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import State, Wanted
from eventroute.suggest import nearest

_PANEL: Final = "Which"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

RouteOption = Annotated[
    str, typer.Option("--route", "-r", help="NAMESPACE/NAME, or all of a NAMESPACE.", rich_help_panel=_PANEL)
]
StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", help=f"{', '.join([*State, *RunOutcome])}.", rich_help_panel=_PANEL, show_default=False),
]
ReasonOption = Annotated[str, typer.Option(help="Of dead letters: render, sink, …", rich_help_panel=_PANEL)]
EventOption = Annotated[
    str, typer.Option(help="Event name, or a pattern as in a route's prompts: 'issues.*'.", rich_help_panel=_PANEL)
]
EntityOption = Annotated[str, typer.Option(help="Whom the event was about.", rich_help_panel=_PANEL)]
SinceOption = Annotated[
    str, typer.Option(help="Ended, or received, since: 30m, 2h, 7d, or 2026-05-01T12:00.", rich_help_panel=_PANEL)
]
UntilOption = Annotated[str, typer.Option(help="And before; the same.", rich_help_panel=_PANEL)]
LimitOption = Annotated[int, typer.Option("--limit", help="So many, at most.", min=1, rich_help_panel=_PANEL)]


class Which(NamedTuple):
    """Whose deliveries, and about what; empty = any."""

    route: RouteOption = ""
    reason: ReasonOption = ""
    event: EventOption = ""
    entity: EntityOption = ""


class Period(NamedTuple):
    """When; empty = ever."""

    since: SinceOption = ""
    until: UntilOption = ""


ANY: Final = Which()
EVER: Final = Period()


def wanted(
    which: Which = ANY, period: Period = EVER, *, states: Collection[str] = (), now: float | None = None
) -> Wanted:
    """Read the options; raises `Refused` for a word that means nothing."""
    if which.reason:
        _check("--reason", which.reason, [*DeadReason])
    for state in states:
        _check("--state", state, [*State, *RunOutcome])
    clock = time.time() if now is None else now
    return Wanted(
        route=which.route,
        states=frozenset(states),
        reason=which.reason,
        event=which.event,
        entity=which.entity,
        since_ms=_moment("--since", period.since, clock),
        until_ms=_moment("--until", period.until, clock),
    )


def _check(option: str, word: str, known: list[str]) -> None:
    if word not in known:
        raise Refused(f"{option} {word!r}: it is none of {', '.join(known)}{nearest(word, known)}")


def _moment(option: str, text: str, now: float) -> int:
    """Read a time as Unix milliseconds: so long ago, or a date; 0 for nothing."""
    if not text:
        return 0
    if ago := re.fullmatch(r"([0-9]{1,9})([smhd])", text):
        return max(int((now - int(ago[1]) * _UNITS[ago[2]]) * 1000), 0)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise Refused(f"{option} {text!r}: write 30m, 2h or 7d for so long ago, or a time: 2026-05-01T12:00") from error
