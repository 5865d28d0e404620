"""Workers' throughput: a full queue against a fixed number of slots, with jobs of 50 ms and with jobs of nothing.

Each run fills the queue through the stack's own receiver, stops that, and starts the worker. What counts is the time
from the first job's start until the queue in Redis is empty: no start-up of processes, but each job's end as Redis sees
it. A job that ran twice, or not at all, makes the figures invalid.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from bench.claude_stub import claude_stub
from bench.deliveries import render
from bench.effort import Effort
from bench.figures import Goal, Row, Section, Spread
from bench.load import drive
from bench.peers import stamps
from bench.processes import PartFailedError, valkey
from bench.site import JOB_SLEEP_S, Job, Site
from bench.stacks import (
    CONNECTIONS,
    EVENTROUTE,
    LITESTAR_ARQ,
    LITESTAR_ARQ_TUNED,
    SLOTS,
    Stack,
    queued,
    receiving,
    working,
)

STACKS: Final = (LITESTAR_ARQ, LITESTAR_ARQ_TUNED, EVENTROUTE)

_FILL_LIMIT_S: Final = 60.0
_WORK_LIMIT_S: Final = 90.0
_LOOK_S: Final = 0.002
_IDEAL: Final = SLOTS / JOB_SLEEP_S
_SHARE, _SLEEP_RATE, _RATE = "of the ideal rate %", "50 ms jobs/s", "no-op jobs/s"


class _Run(NamedTuple):
    rate: float
    faults: list[str]


_Runs = dict[tuple[Stack, Job], list[_Run]]


async def measure_throughput(effort: Effort, folder: Path) -> Section:
    """Run all workers in turn, with both kinds of job, `effort.job_rounds` times."""
    requests = [render(number).request for number in range(1, effort.jobs)]
    runs: _Runs = defaultdict(list)
    jobs: tuple[Job, ...] = ("sleep", "nothing")
    for _ in range(effort.job_rounds):
        for job in jobs:
            for stack in STACKS:
                runs[stack, job].append(await _run(stack, job, requests, folder))
    return Section(
        title="Worker: throughput of a full queue",
        conditions=[
            f"{effort.jobs:,} jobs queued beforehand; {SLOTS} slots, so that {_IDEAL:.0f} jobs/s are the ideal",
            "one worker process, on a core of its own where the system can pin it",
            f"{effort.job_rounds} rounds, all stacks in turn in each; from the first start until the queue is empty",
            "arq: its defaults; arq tuned: poll of 10 ms, no kept results; all on uvloop",
        ],
        columns=[_SHARE, _SLEEP_RATE, _RATE],
        rows=[_row(stack, runs) for stack in STACKS],
        goals=[_share_goal(runs), _rate_goal(runs, LITESTAR_ARQ), _rate_goal(runs, LITESTAR_ARQ_TUNED)],
        faults=[fault for several in runs.values() for run in several for fault in run.faults],
    )


def _row(stack: Stack, runs: _Runs) -> Row:
    figures = {
        _SHARE: _share(stack, runs),
        _SLEEP_RATE: Spread.of(_rates(stack, "sleep", runs)),
        _RATE: Spread.of(_rates(stack, "nothing", runs)),
    }
    return Row(stack.name, figures)


def _share_goal(runs: _Runs) -> Goal:
    return Goal(
        text="50 ms jobs, EventRoute's share of the ideal rate",
        bound="at least",
        wanted=90,
        measured=_share(EVENTROUTE, runs),
        unit="%",
    )


def _rate_goal(runs: _Runs, peer: Stack) -> Goal:
    return Goal(
        text=f"no-op jobs, EventRoute against {peer.name}",
        bound="at least",
        wanted=1.5,
        measured=Spread.of_ratios(_rates(EVENTROUTE, "nothing", runs), _rates(peer, "nothing", runs)),
        unit="x",
    )


def _share(stack: Stack, runs: _Runs) -> Spread:
    return Spread.of(100 * rate / _IDEAL for rate in _rates(stack, "sleep", runs))


def _rates(stack: Stack, job: Job, runs: _Runs) -> list[float]:
    return [run.rate for run in runs[stack, job]]


async def _run(stack: Stack, job: Job, requests: Sequence[bytes], folder: Path) -> _Run:
    async with claude_stub() as collector, valkey(folder) as store, Redis.from_url(store.url) as redis:
        # The receiver would wait for a collector that is not there before it ends.
        site = Site(folder=folder, redis_url=store.url, claude_url=collector.url)
        async with receiving(stack, site):
            load = await drive(site.port, requests, connections=CONNECTIONS, limit_s=_FILL_LIMIT_S)
        async with working(stack, site, job) as worker:
            give_up = time.monotonic() + _WORK_LIMIT_S
            while left := await queued(stack, redis):
                worker.check()
                if time.monotonic() > give_up:
                    raise PartFailedError(f"{worker.name}: {left} jobs left after {_WORK_LIMIT_S:.0f} s")
                await asyncio.sleep(_LOOK_S)
            empty_ns = time.monotonic_ns()
        return _judge(stack, stamps.read(site.stamps), wanted=1 + load.acks, empty_ns=empty_ns)


def _judge(stack: Stack, written: Sequence[stamps.Stamp], *, wanted: int, empty_ns: int) -> _Run:
    starts = [stamp for stamp in written if stamp.what == stamps.STARTED]
    ended = {stamp.job for stamp in written if stamp.what == stamps.ENDED}
    faults = []
    if len(ended) != wanted or len(starts) != wanted:
        faults = [f"{stack.name}: {wanted} jobs queued, {len(starts)} starts, {len(ended)} done"]
    return _Run(len(ended) / ((empty_ns - starts[0].at_ns) / 1e9), faults)
