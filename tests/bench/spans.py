"""Spans: what it costs the worker to show a run's Redis steps in its trace.

The whole worker runs with a Claude that answers at once, so that its own work is all there is.
"""

import asyncio
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Final, NamedTuple

from bench.backlog import SAMPLED, TRACEPARENT, Backlog, backlog
from bench.claude_stub import claude_stub
from bench.effort import Effort
from bench.figures import Row, Section, Spread
from bench.peers import eventroute
from bench.processes import Part, PartFailedError, valkey
from bench.site import Site
from bench.stacks import EVENTROUTE, working

_COST, _RATE = "worker us/delivery", "deliveries/s"
_TENTH: Final = 10
_LOOK_S: Final = 0.005
_LIMIT_S: Final = 90.0


class _Kind(NamedTuple):
    name: str
    redis_spans: bool
    traced_in_ten: int


_KINDS: Final = (
    _Kind("a tenth traced, without Redis", redis_spans=False, traced_in_ten=1),
    _Kind("a tenth traced, with Redis", redis_spans=True, traced_in_ten=1),
    _Kind("all traced, without Redis", redis_spans=False, traced_in_ten=_TENTH),
    _Kind("all traced, with Redis", redis_spans=True, traced_in_ten=_TENTH),
)


class _Run(NamedTuple):
    cost_us: float | None
    rate: float


async def measure_spans(effort: Effort, folder: Path) -> Section:
    """Work off `effort.jobs` deliveries with each kind of trace in turn, `effort.job_rounds` times."""
    runs: dict[_Kind, list[_Run]] = defaultdict(list)
    for _ in range(effort.job_rounds):
        for kind in _KINDS:
            runs[kind].append(await _run(kind, effort.jobs, folder))
    return Section(
        title="Spans: a worker that shows its Redis steps, and one that does not",
        conditions=[
            f"{effort.jobs:,} deliveries queued beforehand; Claude is a stub that answers at once and takes traces",
            f"{effort.job_rounds} rounds, all kinds in turn in each; processor time of the worker, exporting included",
        ],
        columns=[_COST, _RATE],
        rows=[
            Row(
                kind.name,
                {
                    _COST: Spread.of_known(run.cost_us for run in runs[kind]),
                    _RATE: Spread.of(run.rate for run in runs[kind]),
                },
            )
            for kind in _KINDS
        ],
        goals=[],
        faults=[],
    )


async def _run(kind: _Kind, count: int, folder: Path) -> _Run:
    async with claude_stub() as claude, valkey(folder) as store, backlog(store.url) as queue:
        settings = {"EVENTROUTE_WORKER_REDIS_SPANS": str(kind.redis_spans).lower()}
        site = Site(folder=folder, redis_url=store.url, claude_url=claude.url, settings=settings)
        await eventroute.publish_route(site)
        async with working(EVENTROUTE, site, "claude") as worker:
            await queue.until_waited_for(1)
            await queue.fill(1)
            await _until_empty(queue, worker)  # imports, connections
            worker.process.send_signal(signal.SIGSTOP)
            for number in range(count):
                is_traced = number % _TENTH < kind.traced_in_ten
                await queue.fill(1, traceparent=SAMPLED if is_traced else TRACEPARENT)
            used_s, began = worker.cpu_s(), time.monotonic()
            worker.process.send_signal(signal.SIGCONT)
            await _until_empty(queue, worker)
            took_s, now_s = time.monotonic() - began, worker.cpu_s()
    return _Run(None if used_s is None or now_s is None else 1e6 * (now_s - used_s) / count, count / took_s)


async def _until_empty(queue: Backlog, worker: Part) -> None:
    give_up = time.monotonic() + _LIMIT_S
    while await eventroute.queued(queue.redis):
        worker.check()
        if time.monotonic() > give_up:
            raise PartFailedError("a worker did not work off its queue")
        await asyncio.sleep(_LOOK_S)
