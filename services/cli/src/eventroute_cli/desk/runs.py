"""`eventroute runs`: what became of deliveries."""

import asyncio
import json
from dataclasses import replace
from typing import Annotated

import typer

from eventroute.ids import DeliveryId
from eventroute.outcome import RunOutcome
from eventroute.queue import Desk, Found, Listing, Wanted
from eventroute_cli.desk.filters import LimitOption, Period, StateOption, Which, wanted
from eventroute_cli.desk.show import (
    OutputOption,
    as_json,
    found_as_json,
    plain_console,
    print_found,
    print_held,
    print_json,
    print_lines,
    print_listing,
)
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.where import Place, at_desk

_LOOK_S = 1.0
_OVERLAP_MS = 5_000  # ends are written by Redis' clock, and read a moment later
_TAIL_LIMIT = 1_000
_INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, help="What became of deliveries: list them, look at one, follow them.")

DeliveryArgument = Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, `d-…`.")]


@app.command("list")
@spread
def list_runs(
    *,
    which: Which,
    state: StateOption = None,
    period: Period,
    limit: LimitOption = 50,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """List deliveries, newest first: those that wait, run, have ended, or are dead letters.

    Without a word of where, a running `eventroute dev` or `demo` is asked.

    For example:

      eventroute runs list

      eventroute runs list --route team-a/triage --state later --state held

      eventroute runs list -n eventroute --since 2h --event 'invoice.*' -o json
    """
    meant = wanted(which, period, states=state or ())
    listing, situation = at_desk(place, lambda desk: asyncio.gather(desk.look(meant, limit=limit), desk.situation()))
    print_any(listing, output, what="deliveries")
    if output == "text":
        print_held(situation, meant, plain_console())


@app.command("show")
@spread
def show_run(
    delivery: DeliveryArgument,
    *,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Show all that is known of one delivery: its state, what was received, its answer.

    For example:

      eventroute runs show d-01a4b9d7c2f0c41f9e0b7a3d5e21

      eventroute runs show d-01a4b9d7c2f0c41f9e0b7a3d5e21 -n eventroute -o json

    Exit code 1: nothing (more) is known of it.
    """
    found = at_desk(place, lambda desk: desk.show(DeliveryId(delivery)))
    print_one(found, delivery, output)


@app.command()
@spread
def tail(
    *,
    which: Which,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Print a line for each delivery that ends, until interrupted; with -o json an object per line.

    For example:

      eventroute runs tail --route team-a

      eventroute runs tail -n eventroute -o json | jq .outcome
    """
    meant = wanted(which, states=[*RunOutcome])
    try:
        at_desk(place, lambda desk: _follow(desk, meant, output))
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None


def print_any(listing: Listing, output: str, *, what: str) -> None:
    """Print a list in the form that was asked for."""
    if output == "json":
        print_json([as_json(line) for line in listing.lines])
    else:
        print_listing(listing, plain_console(), what=what)


def print_one(found: Found | None, name: str, output: str) -> None:
    """Print one delivery in the form that was asked for; exit code 1 without one."""
    if found is None:
        not_found(name)
        raise typer.Exit(1)
    if output == "json":
        print_json(found_as_json(found))
    else:
        print_found(found, plain_console())


def not_found(name: str) -> None:
    """Say that nothing is known by this name, and where to look."""
    plain_console(stderr=True).print(
        f"error: {name}: nothing (more) is known of it here; `eventroute runs list` names what is. Records are kept as "
        "long as the route's `retention` says, dead letters for 30 days",
        style="red",
    )


async def _follow(desk: Desk, meant: Wanted, output: str) -> None:
    console = plain_console()
    since = await desk.now_ms()
    told: dict[tuple[DeliveryId, int], None] = {}
    while True:
        from_ms = max(since, await desk.now_ms() - _OVERLAP_MS)
        listing = await desk.look(replace(meant, since_ms=from_ms), limit=_TAIL_LIMIT)
        for line in reversed(listing.lines):
            if (key := (line.id, line.ended_ms)) not in told:
                told[key] = None
                if output == "json":
                    typer.echo(json.dumps(as_json(line), ensure_ascii=False))
                else:
                    print_lines([line], console, header=False)
        for key in [key for key in told if key[1] < from_ms]:
            del told[key]
        await asyncio.sleep(_LOOK_S)
