"""What the desk has found, as tables and pages for people and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from eventroute.fence import clean
from eventroute.queue import Found, Line, Listing, Situation, State, Wanted, budget_cause
from eventroute_cli.desk.story import clock, held_up, stopped, tell_call
from eventroute_cli.terminal import in_a_line

OutputOption = Annotated[
    Literal["text", "json"], typer.Option("--output", "-o", help="text for people, json for programs.")
]

_HEADER: Final = ("time", "state", "route", "event", "delivery", "what")
_WHAT_CHARS: Final = 160
_PAYLOAD_CHARS: Final = 2_000
_COLOURS: Final = {"dead": "red", "held": "yellow", "suspect": "yellow", "succeeded": "green"}


def plain_console(*, stderr: bool = False) -> Console:
    """Make a console that neither wraps nor colours what is data."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def print_lines(lines: Sequence[Line], console: Console, *, header: bool = True) -> None:
    """Print a table, newest first; columns are as wide as their content."""
    rows = [_cells(line) for line in lines]
    titles = [_HEADER] if header else []
    widths = [max((len(row[column]) for row in [*titles, *rows]), default=0) for column in range(len(_HEADER) - 1)]
    for title in titles:
        console.print(_joined(title, widths), style="bold")
    for row, line in zip(rows, lines, strict=True):
        console.print(_joined(row, widths), style=_COLOURS.get(line.outcome or line.state, ""))


def print_listing(listing: Listing, console: Console, *, what: str) -> None:
    """Print a list, and what it leaves out."""
    if listing.lines:
        print_lines(listing.lines, console)
    else:
        console.print(f"no {what} like that; {listing.looked_at} were looked at")
    if not listing.is_complete:
        console.print(f"(there are more than were looked at: {listing.looked_at})", style="dim")


def print_held(situation: Situation, meant: Wanted, console: Console) -> None:
    """Print that all is stopped, and which of the routes that are meant take no turns."""
    if situation.stop.is_standing:
        console.print(stopped(situation.stop), style="yellow")
    for path, hold in sorted(situation.held.items()):
        if meant.has_route(path):
            console.print(held_up(path, hold), style="yellow")


def summary(lines: Sequence[Line]) -> str:
    """Count dead letters by their reasons: `3 dead letters: 2 render, 1 sink`."""
    counts = Counter(line.reason for line in lines)
    return f"{len(lines):,} dead letter{'' if len(lines) == 1 else 's'}: " + ", ".join(
        f"{count:,} {reason}" for reason, count in counts.most_common()
    )


def as_json(line: Line) -> dict[str, Any]:
    """Write a line for programs; all fields, also those that are empty."""
    return {name: msgspec.to_builtins(getattr(line, name)) for name in line.__struct_fields__}


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def found_as_json(found: Found) -> dict[str, Any]:
    """Write one delivery for programs: its line, what was received, and the answer."""
    delivery = found.delivery
    return {
        **as_json(found.line),
        "trace_id": found.trace_id,
        "sinks_done": list(found.sinks_done),
        "sendings": [as_json(line) for line in found.sendings],
        "cuts": found.cuts,
        "ahead": found.ahead,
        "headers": dict(delivery.headers) if delivery else None,
        "payload": _decoded(bytes(delivery.payload)) if delivery else None,
        "answer": msgspec.to_builtins(found.answer) if found.answer else None,
    }


def print_found(found: Found, console: Console) -> None:
    """Print a page on one delivery."""
    line = found.line
    facts = {
        "delivery": line.id,
        "route": line.route,
        "state": _state(line),
        "detail": line.detail,
        "provider": line.provider,
        "event": line.event,
        "provider's id": line.provider_id,
        "entity": line.entity,
        "events": str(line.events or found.collects or ""),
        "hops": str(line.hops or ""),
        "entity failed": line.entity_error,
        "missing fields": ", ".join(line.missing_fields),
        "received": clock(line.received_ms),
        "replays": str(line.replays or ""),
        "due": clock(line.due_ms) if line.state is State.LATER else "",
        "ended": clock(line.ended_ms) if line.ended_ms else "",
        "attempts": str(line.attempts or ""),
        "waits": str(line.waits or ""),
        "last error": line.last_error,
        "held for": line.cause,
        "waits for": found.ahead or "",
        "holds up": str(line.holds or ""),
        "sinks done": ", ".join(found.sinks_done),
        "on the way": "; ".join(f"{line.id}: {_state(line)}" for line in found.sendings),
        "trace": found.trace_id,
    }
    if found.answer:
        facts |= {
            "model": found.answer.model,
            "instead of": found.answer.instead_of,
            "because": found.answer.because or "",
            "does not fit": found.answer.violation,
            "tools": "; ".join(map(tell_call, found.answer.calls)),
            "stop reason": found.answer.stop_reason,
            "USD": found.answer.cost_usd or "unknown",
            "request": found.answer.request_id,
        }
    for name, value in facts.items():
        if value:
            console.print(Text(f"{name:15}", "bold").append(in_a_line(value), "not bold"))
    if found.delivery:
        _print_block("payload", _pretty(bytes(found.delivery.payload)), console)
    elif not found.is_unreadable:
        console.print("payload        not kept any more (spec.retention.payload)", style="dim")
    if found.answer:
        _print_block("answer", found.answer.text, console)


def _print_block(name: str, text: str, console: Console) -> None:
    console.print(f"\n{name}", style="bold")
    console.print(clean(text[:_PAYLOAD_CHARS]))
    if len(text) > _PAYLOAD_CHARS:
        console.print(f"… {len(text) - _PAYLOAD_CHARS:,} characters more; -o json has all of it", style="dim")


def _cells(line: Line) -> tuple[str, ...]:
    what = line.detail or line.last_error or line.entity_error
    if missing := line.missing_fields:
        what = "; ".join(filter(None, (what, f"missing: {', '.join(missing)}")))
    if line.holds:
        what = f"holds up {line.holds}; {what}"
    short = what if len(what) <= _WHAT_CHARS else f"{what[: _WHAT_CHARS - 1]}…"
    cells = (clock(line.moment_ms), _state(line), line.route, line.event or "-", line.id, short)
    return tuple(map(in_a_line, cells))


def _state(line: Line) -> str:
    waits_for = "budget" if line.cause.startswith(budget_cause("")) else ""
    return " ".join(filter(None, (line.outcome or line.state, line.reason, waits_for)))


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    *padded, last = cells
    return "  ".join([*(f"{cell:<{width}}" for cell, width in zip(padded, widths, strict=True)), last]).rstrip()


def _decoded(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode(errors="replace")


def _pretty(payload: bytes) -> str:
    value = _decoded(payload)
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
