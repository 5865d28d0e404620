"""`eventroute dead`: dead letters, and what people do about them."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Final

import typer
from rich.console import Console

from eventroute.errors import Refused
from eventroute.ids import DeliveryId
from eventroute.queue import Desk, Line, Mode, State, Wanted
from eventroute.queue.desk import CHUNK
from eventroute_cli.desk.filters import LimitOption, Period, Which, wanted
from eventroute_cli.desk.runs import DeliveryArgument, print_any, print_one
from eventroute_cli.desk.show import OutputOption, plain_console, print_json, print_lines, summary
from eventroute_cli.desk.spread import spread
from eventroute_cli.desk.where import Place, at_desk

_FEW: Final = 5
"""So many are replayed without a question."""
_SHOWN: Final = 20  # of what was refused, or would be done
_PACES: Final = 5  # chunks per second of a paced replay; arbitrary
_NEWS_S: Final = 5.0  # between lines of progress where nobody watches a terminal
_DEFAULT_PER_SECOND: Final = 100.0
_DEAD: Final = (State.DEAD,)

_REFUSALS: Final = {
    "unknown": "nothing (more) is known of it",
    "queued": "it has not ended: it runs, or waits to",
    "no_body": "its payload is not kept any more (`spec.retention.payload`): let the provider send it again",
    "no_answer": "no answer of it is saved: leave --sinks-only out",
    "alive": "it is no dead letter, and only those are discarded",
}

app = typer.Typer(no_args_is_help=True, help="Dead letters: list them, look at one, replay or discard them.")

DeliveriesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[DELIVERY]…", help="Their ids, `d-…`.", show_default=False)
]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters that the filters leave.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
PaceOption = Annotated[
    float,
    typer.Option("--per-second", help="With --all: so many a second, that new events keep their room.", min=0.1),
]


@app.command("list")
@spread
def list_dead(
    *,
    which: Which,
    period: Period,
    limit: LimitOption = 50,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """List dead letters, newest first, with why each was given up.

    For example:

      eventroute dead list

      eventroute dead list --route team-a/triage --reason render --since 7d

      eventroute dead list -n eventroute -o json
    """
    meant = wanted(which, period, states=_DEAD)
    print_any(at_desk(place, lambda desk: desk.look(meant, limit=limit)), output, what="dead letters")


@app.command("show")
@spread
def show_dead(
    delivery: DeliveryArgument,
    *,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Show all that is known of a dead letter; `eventroute explain` says what to do about it.

    For example:

      eventroute dead show d-01a4b9d7c2f0c41f9e0b7a3d5e21

    Exit code 1: nothing (more) is known of it.
    """
    found = at_desk(place, lambda desk: desk.show(DeliveryId(delivery)))
    print_one(found, delivery, output)


@app.command()
@spread
def replay(
    deliveries: DeliveriesArgument = None,
    *,
    all_: AllOption = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Ask Claude again, and tell every sink again; an answer is paid for anew.")
    ] = False,
    sinks_only: Annotated[
        bool, typer.Option("--sinks-only", help="Hand the saved answer to every sink again; Claude is not asked.")
    ] = False,
    per_second: PaceOption = _DEFAULT_PER_SECOND,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    which: Which,
    period: Period,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Run deliveries again. They go on from what is saved: no answer is paid for twice, and no sink told twice.

    By their ids also those that have not failed, for as long as their payload is kept (--whole, --sinks-only). What
    comes while many are replayed is not replayed with them. The deadline of each counts from its replay.

    For example:

      eventroute dead replay d-01a4b9d7c2f0c41f9e0b7a3d5e21

      eventroute dead replay --all --route team-a/triage --reason render --dry-run

      eventroute dead replay --all --reason sink --per-second 10 --yes -n eventroute

      eventroute dead replay d-01a4b9d7c2f0c41f9e0b7a3d5e21 --whole

    Exit code 1: one of them could not be replayed.
    """
    if whole and sinks_only:
        raise Refused("--whole asks Claude again, and --sinks-only does not: give one of them")
    mode: Mode = "whole" if whole else "sinks" if sinks_only else "resume"
    meant = wanted(which, period, states=_DEAD)

    async def work(desk: Desk) -> Mapping[DeliveryId, str]:
        chosen = await _choose(desk, deliveries, meant, is_all=all_)
        if dry_run or not chosen:
            return _only_said(chosen, "replayed", output)
        if len(chosen) > _FEW:
            _confirm(f"Replay {_counted(chosen)}?", yes=yes)
        pace = per_second if all_ else 0.0
        return await _in_chunks(
            lambda part: desk.replay(part, mode=mode), list(chosen), per_second=pace, verb="replayed"
        )

    _report(at_desk(place, work), "replayed", output)


@app.command()
@spread
def discard(
    deliveries: DeliveriesArgument = None,
    *,
    all_: AllOption = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    which: Which,
    period: Period,
    output: OutputOption = "text",
    place: Place,
) -> None:
    """Remove dead letters for good, with what was received. Asks before.

    For example:

      eventroute dead discard d-01a4b9d7c2f0c41f9e0b7a3d5e21

      eventroute dead discard --all --reason unparsable --until 7d --dry-run

    Exit code 1: one of them was not there to discard.
    """
    meant = wanted(which, period, states=_DEAD)

    async def work(desk: Desk) -> Mapping[DeliveryId, str]:
        chosen = await _choose(desk, deliveries, meant, is_all=all_)
        if dry_run or not chosen:
            return _only_said(chosen, "discarded", output)
        _confirm(f"Discard {_counted(chosen)} for good?", yes=yes)
        return await _in_chunks(desk.discard, list(chosen), per_second=0, verb="discarded")

    _report(at_desk(place, work), "discarded", output)


Chosen = Mapping[DeliveryId, Line | None]


async def _choose(desk: Desk, deliveries: list[str] | None, meant: Wanted, *, is_all: bool) -> Chosen:
    """Find what is meant, the oldest first; None for an id that says so itself."""
    if bool(deliveries) == is_all:
        raise Refused("which? Name deliveries by their ids, or give --all, with filters if not all are meant")
    if deliveries:
        if meant != wanted(states=_DEAD):
            raise Refused("filters choose among --all; leave them out where ids are named")
        lines = await asyncio.gather(*(desk.show(DeliveryId(name)) for name in deliveries[:_SHOWN]))
        named = dict.fromkeys(map(DeliveryId, deliveries), None)
        return named | {found.line.id: found.line for found in lines if found}
    listing = await desk.look(meant, limit=None)
    if not listing.is_complete:
        plain_console(stderr=True).print(
            "there are more than one command takes: run it again for the rest", style="dim"
        )
    return {line.id: line for line in reversed(listing.lines)}


def _counted(chosen: Chosen) -> str:
    lines = [line for line in chosen.values() if line]
    return summary(lines) if len(lines) == len(chosen) else f"{len(chosen):,} deliveries"


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Nobody is there to ask: say --yes, or look before with --dry-run")
    typer.confirm(question, abort=True, err=True)


def _only_said(chosen: Chosen, verb: str, output: str) -> Mapping[DeliveryId, str]:
    """Say what would be done."""
    if output == "json":
        return dict.fromkeys(chosen, "would")
    console = plain_console()
    lines = [line for line in chosen.values() if line]
    print_lines(lines[:_SHOWN], console)
    console.print(f"would be {verb}: {_counted(chosen)}" if chosen else "no dead letters like that")
    return {}


async def _in_chunks(
    change: Callable[[Sequence[DeliveryId]], Awaitable[Mapping[DeliveryId, str]]],
    chosen: Sequence[DeliveryId],
    *,
    per_second: float,
    verb: str,
) -> Mapping[DeliveryId, str]:
    """Change some at a time, no faster than so many a second (0 = as fast as Redis can), and say how far it is."""
    size = min(CHUNK, max(1, int(per_second / _PACES))) if per_second else CHUNK
    said: dict[DeliveryId, str] = {}
    console = Console(stderr=True, highlight=False)
    started = news = time.monotonic()
    with console.status("") as status:
        for start in range(0, len(chosen), size):
            if per_second:
                await asyncio.sleep(max(0.0, started + start / per_second - time.monotonic()))
            said |= await change(chosen[start : start + size])
            progress = f"{len(said):,} of {len(chosen):,} {verb}"
            status.update(progress)
            if not console.is_terminal and time.monotonic() - news > _NEWS_S:
                news = time.monotonic()
                console.print(progress)
    return said


def _report(said: Mapping[DeliveryId, str], verb: str, output: str) -> None:
    """Say what was done; exit code 1 when something was refused."""
    done = [name for name, word in said.items() if word == "ok"]
    refused = {name: word for name, word in said.items() if word not in {"ok", "would"}}
    if output == "json":
        would = [name for name, word in said.items() if word == "would"]
        print_json({verb: done, "refused": refused, "dry_run": would})
    elif said:
        plain_console().print(f"{len(done):,} of {len(said):,} {verb}")
        errors = plain_console(stderr=True)
        for name, word in list(refused.items())[:_SHOWN]:
            errors.print(f"{name}: not {verb}: {_REFUSALS.get(word, word)}", style="red")
        if len(refused) > _SHOWN:
            errors.print(f"… and {len(refused) - _SHOWN:,} more", style="red")
    if refused:
        raise typer.Exit(1)
