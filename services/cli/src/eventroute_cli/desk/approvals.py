"""`eventroute approvals`: calls of tools that wait for a person's word."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from eventroute.errors import Refused
from eventroute.ids import DeliveryId
from eventroute.queue import Approval, Desk
from eventroute_cli.desk.filters import LimitOption, RouteOption
from eventroute_cli.desk.people import confirm, whoami
from eventroute_cli.desk.runs import DeliveryArgument
from eventroute_cli.desk.show import OutputOption, plain_console, print_json
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.story import span
from eventroute_cli.desk.where import Place, at_desk
from eventroute_cli.terminal import in_a_line, visible

_LIST: Final = "`eventroute approvals list`"
_REFUSALS: Final = {
    "unknown": "nothing (more) is known of the delivery",
    "not_asked": "nobody waits for it any more: its time was over, or its delivery has ended",
    "changed": "another call would be made by now; look again: `eventroute approvals list`",
    "decided": "somebody else was faster; `eventroute explain {delivery}` says what came of it",
}

app = typer.Typer(no_args_is_help=True, help="Calls of tools that wait for a person: list, approve or decline them.")

CallArgument = Annotated[
    str, typer.Argument(metavar="[CALL]", help="Which call, `toolu_…`, where several wait.", show_default=False)
]
NoteOption = Annotated[str, typer.Option(help="Kept with the record; 200 characters. Claude is not told.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
@spread
def list_approvals(
    *,
    route: RouteOption = "",
    limit: LimitOption = 50,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """List what waits for a person, with exactly what would be sent; whose time is over first, first.

    For example:

      eventroute approvals list

      eventroute approvals list --route billing/refunds -n eventroute -o json
    """

    async def work(desk: Desk) -> tuple[list[Approval], int]:
        found = await desk.approvals()
        meant = [each for each in found if not route or f"{each.line.route}/".startswith(f"{route}/")]
        return meant, await desk.now_ms()

    waiting, now_ms = at_desk(place, work)
    if output == "json":
        print_json([_as_json(each) for each in waiting[:limit]])
        return
    console = plain_console()
    for each in waiting[:limit]:
        _print(each, now_ms, console)
    if len(waiting) > limit:
        console.print(f"… and {len(waiting) - limit:,} more; --limit shows more of them", style="dim")
    if waiting:
        console.print("`eventroute approvals approve DELIVERY` makes a call, `decline` tells Claude that it may not.")
    else:
        console.print("no call waits for a person")


@app.command()
@spread
def approve(
    delivery: DeliveryArgument,
    call: CallArgument = "",
    *,
    note: NoteOption = "",
    yes: YesOption = False,
    place: Place,
) -> None:
    """Let a call be made, once, exactly as it is shown. Asks before.

    For example:

      eventroute approvals approve d-01a4b9d7c2f0c41f9e0b7a3d5e21

      eventroute approvals approve d-01a4b9d7c2f0c41f9e0b7a3d5e21 toolu_01A09q90qw90lq917835lq9 --note 'order is paid'

    Exit code 1: it does not wait any more.
    """
    _decide(delivery, call, approved=True, note=note, yes=yes, place=place)


@app.command()
@spread
def decline(
    delivery: DeliveryArgument,
    call: CallArgument = "",
    *,
    note: NoteOption = "",
    yes: YesOption = False,
    place: Place,
) -> None:
    """Let a call not be made; Claude is told so, and goes on without it. Asks before.

    For example:

      eventroute approvals decline d-01a4b9d7c2f0c41f9e0b7a3d5e21 --note 'the customer has been called'

    Exit code 1: it does not wait any more.
    """
    _decide(delivery, call, approved=False, note=note, yes=yes, place=place)


def _decide(delivery: str, call: str, *, approved: bool, note: str, yes: bool, place: Place) -> None:
    console = plain_console()

    async def work(desk: Desk) -> str:
        chosen = _choose(await desk.approvals(DeliveryId(delivery)), delivery, call)
        _print(chosen, await desk.now_ms(), console)
        confirm("Approve this call?" if approved else "Decline this call?", yes=yes, look=_LIST)
        return await desk.decide(chosen, approved=approved, by=whoami(), note=note)

    said = at_desk(place, work)
    if said != "ok":
        why = _REFUSALS.get(said, said).format(delivery=delivery)
        plain_console(stderr=True).print(f"{delivery}: nothing was changed: {why}", style="red")
        raise typer.Exit(1)
    console.print("Approved: it is made within seconds." if approved else "Declined: Claude goes on without it.")


def _choose(waiting: Sequence[Approval], delivery: str, call: str) -> Approval:
    """Find the call that is meant; raises `Refused` when that is not clear."""
    meant = [each for each in waiting if call in ("", each.call)]
    if not meant:
        which = f"call {call} of delivery {delivery}" if call else f"delivery {delivery}"
        raise Refused(f"{which}: no call waits for a person; `eventroute approvals list` names those that do")
    if len(meant) > 1:
        calls = ", ".join(f"{each.call} ({each.ask.tool})" for each in meant)
        raise Refused(f"delivery {delivery}: which call? There are {calls}: name one behind the delivery")
    return meant[0]


def _print(approval: Approval, now_ms: int, console: Console) -> None:
    line, ask = approval.line, approval.ask
    left = f"{span(ask.until_ms - now_ms)} left"
    facts = (line.route, line.event, line.entity and f"about {line.entity}", f"asked {span(now_ms - ask.asked_ms)} ago")
    console.print(f"{in_a_line(ask.tool)}, {left}", style="bold")
    console.print(in_a_line(", ".join(filter(None, facts))))
    console.print(f"{line.id} {in_a_line(approval.call)}")
    console.print("".join(f"  {row}\n" for row in visible(ask.call).splitlines()))


def _as_json(approval: Approval) -> dict[str, Any]:
    line, ask = approval.line, approval.ask
    return {
        "delivery": line.id,
        "call": approval.call,
        "route": line.route,
        "event": line.event,
        "entity": line.entity,
        "tool": ask.tool,
        "request": ask.call,
        "asked_ms": ask.asked_ms,
        "until_ms": ask.until_ms,
    }
