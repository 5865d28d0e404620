"""`eventroute explain`: what happened to a delivery, and what to do now, in a paragraph."""

import asyncio
import textwrap
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import typer

from eventroute.fence import clean
from eventroute.ids import DeliveryId
from eventroute.queue import Desk, Found
from eventroute_cli.desk.filters import RouteOption
from eventroute_cli.desk.runs import not_found
from eventroute_cli.desk.show import OutputOption, found_as_json, plain_console, print_json
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.story import clock, tell
from eventroute_cli.desk.where import Place, at_desk

_WIDTH = 100


class _Told(NamedTuple):
    found: Found | None
    story: str
    others: Sequence[str]
    """Older deliveries with the same provider id."""


@spread
def explain(
    name: Annotated[
        str,
        typer.Argument(metavar="DELIVERY|PROVIDER-ID", help="A delivery's id, `d-…`, or its sender's."),
    ],
    *,
    route: RouteOption = "",
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Say in plain words what happened to a delivery, what it waits for, and what to do now.

    For example:

      eventroute explain d-01a4b9d7c2f0c41f9e0b7a3d5e21

      eventroute explain evt_1PqRsT2eZvKYlo2C --route billing/payments

      eventroute explain 72d3162e-cc78-11e3-81ab-4c9367dc0958 -n eventroute

    Exit code 1: nothing (more) is known of it.
    """
    told = at_desk(place, lambda desk: _told(desk, name, route))
    if told.found is None:
        not_found(name)
        raise typer.Exit(1)
    if output == "json":
        print_json({"story": told.story, "others": told.others, **found_as_json(told.found)})
        return
    console = plain_console()
    console.print(textwrap.fill(clean(told.story), _WIDTH, break_long_words=False, break_on_hyphens=False))
    if told.others:
        console.print(f"\nOther deliveries with this id: {', '.join(told.others)}", style="dim")


async def _told(desk: Desk, name: str, route: str) -> _Told:
    found = await desk.show(DeliveryId(name))
    others: list[str] = []
    if found is None:
        lines = await desk.find(name, route=route)
        others = [f"{line.id} ({line.outcome or line.state}, {clock(line.moment_ms)})" for line in lines[1:]]
        found = await desk.show(lines[0].id) if lines else None
    if found is None:
        return _Told(None, "", [])
    situation, now_ms = await asyncio.gather(desk.situation(), desk.now_ms())
    return _Told(found, tell(found, situation, now_ms=now_ms), others)
