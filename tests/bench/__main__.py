"""The benchmark: EventRoute beside its peers, everything in one run.

Ends with 0 when the figures are valid, whether or not they reach the goals; with 1 when a request failed, or a job was
lost or ran twice.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Final

import structlog
import uvloop
from rich.console import Console

from bench.control import measure_control_plane
from bench.durability import measure_durability
from bench.effort import FULL, QUICK, Effort
from bench.figures import Section
from bench.memory import measure_memory
from bench.pickup import measure_pickup
from bench.processes import LOAD_CORE, PartFailedError, pin
from bench.receiver import measure_receivers
from bench.report import build_markdown, build_report, print_report, write_json
from bench.sharing import measure_sharing
from bench.spans import measure_spans
from bench.throttle import measure_throttle
from bench.throughput import measure_throughput
from support.api_server import is_built

SECTIONS: Final = {
    "receiver": measure_receivers,
    "pickup": measure_pickup,
    "throughput": measure_throughput,
    "sharing": measure_sharing,
    "throttle": measure_throttle,
    "spans": measure_spans,
    "memory": measure_memory,
    "durability": measure_durability,
    "control": measure_control_plane,
}
_TABLE_WIDTH: Final = 120  # also where no terminal tells one
RESULTS: Final = Path(__file__).parent / "RESULTS.md"


async def measure(names: list[str], effort: Effort, console: Console) -> list[Section]:
    """Run the chosen sections one after the other."""
    found = []
    with tempfile.TemporaryDirectory(prefix="eventroute-bench-") as folder:
        for name in names:
            with console.status(f"measuring: {name}"):
                found.append(await SECTIONS[name](effort, Path(folder)))
    return found


def _possible() -> list[str]:
    """List the sections for which this machine has what they need."""
    return [name for name in SECTIONS if name != "control" or is_built()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=_possible(), metavar="SECTION")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args(arguments)
    if options.write and (options.quick or options.only != list(SECTIONS)):
        parser.error(f"{RESULTS.name} holds whole runs only")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    pin(0, LOAD_CORE)
    console = Console()
    console.width = max(console.width, _TABLE_WIDTH)
    try:
        sections = uvloop.run(measure(options.only, QUICK if options.quick else FULL, console))
    except PartFailedError as error:
        console.print(f"benchmark: {error}", style="bold red")
        return 1
    report = build_report(sections, is_quick=options.quick)
    print_report(report, console)
    if options.json:
        write_json(report, options.json)
    if options.write:
        RESULTS.write_text(build_markdown(report), encoding="utf-8")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
