"""Durability: what it costs a receiver that Valkey writes to disk, once a second or before each answer.

Each run has a Valkey and a receiver of its own, and the file of the former lies where the benchmark runs.
"""

from collections import defaultdict
from pathlib import Path
from typing import Final

from bench.claude_stub import claude_stub
from bench.deliveries import render
from bench.effort import Effort
from bench.figures import Row, Section, Spread, quantile
from bench.load import Load, drive
from bench.processes import Fsync, valkey
from bench.site import Site
from bench.stacks import CONNECTIONS, EVENTROUTE, receiving

_RUNS: Final[dict[str, Fsync | None]] = {
    "no file": None,
    "fsync each second": "everysec",
    "fsync before each answer": "always",
}
_ACKS, _MEDIAN, _TAIL = "acks/s", "p50 ms", "p99 ms"
_LIMIT_S: Final = 60.0


async def measure_durability(effort: Effort, folder: Path) -> Section:
    """Run the receiver on each kind of Valkey in turn, `effort.job_rounds` times."""
    requests = [render(number).request for number in range(1, effort.warm_up + effort.requests + 1)]
    loads: dict[str, list[Load]] = defaultdict(list)
    for _ in range(effort.job_rounds):
        for name, fsync in _RUNS.items():
            loads[name].append(await _run(requests, fsync, warm_up=effort.warm_up, folder=folder))
    return Section(
        title="Durability: acknowledgements with Valkey's file",
        conditions=[
            f"{CONNECTIONS} keep-alive connections with one request in flight each, as in the section on receivers",
            f"{effort.job_rounds} rounds, all kinds in turn in each; {effort.requests:,} requests",
            "the chart writes each second; what comes within one turn of Valkey's loop shares an fsync",
        ],
        columns=[_ACKS, _MEDIAN, _TAIL],
        rows=[_row(name, loads[name]) for name in _RUNS],
        goals=[],
        faults=[
            f"{name}: {count} x {what}"
            for name, several in loads.items()
            for load in several
            for what, count in load.failures.items()
        ],
    )


async def _run(requests: list[bytes], fsync: Fsync | None, *, warm_up: int, folder: Path) -> Load:
    async with claude_stub() as collector, valkey(folder, fsync=fsync) as store:
        site = Site(folder=folder, redis_url=store.url, claude_url=collector.url)
        async with receiving(EVENTROUTE, site):
            await drive(site.port, requests[:warm_up], connections=CONNECTIONS, limit_s=_LIMIT_S)
            return await drive(site.port, requests[warm_up:], connections=CONNECTIONS, limit_s=_LIMIT_S)


def _row(name: str, loads: list[Load]) -> Row:
    figures = {
        _ACKS: Spread.of(load.rate for load in loads),
        _MEDIAN: Spread.of(quantile(load.latencies_ms, 0.50) for load in loads),
        _TAIL: Spread.of(quantile(load.latencies_ms, 0.99) for load in loads),
    }
    return Row(name, dict(figures))
