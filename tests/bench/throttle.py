"""Throttle: a storm against an account's rate limits, and how much of what these allow is used.

Claude is the product's simulator with the API's token buckets: what a minute allows, requests a second's worth at once.
All deliveries come at once, through the stack's own receiver, to workers that are up and idle. The allowance counts
from the storm's first request to the last answered one; what was refused, given up and paid twice stands in the
simulator's journal.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from bench.deliveries import render
from bench.effort import Effort
from bench.figures import Bound, Goal, Row, Section, Spread
from bench.load import drive
from bench.processes import ALL_CORES, Part, PartFailedError, valkey
from bench.site import Site
from bench.stacks import (
    ARQ_BACKOFF,
    ARQ_RETRIES,
    CONNECTIONS,
    EVENTROUTE,
    Stack,
    queued,
    receiving,
    working,
)
from eventroute_cli.simulator.api import Simulator, SimulatorSettings
from eventroute_cli.simulator.journal import Entry
from eventroute_cli.simulator.limits import LimitChange, RateLimits
from eventroute_cli.simulator.server import serving

STACKS: Final = (EVENTROUTE, ARQ_RETRIES, ARQ_BACKOFF)
SLOTS: Final = 5

_KEY: Final = "sk-ant-bench"
_LATENCY_S: Final = 0.25
_BURST_S: Final = 1.0
_LOOK_S: Final = 0.05
_FILL_LIMIT_S: Final = 60.0
_READY_S: Final = 90.0
_IDLE_LOOK_S, _IDLE_S = 1.0, 0.15  # idle workers, four of them, use less than this of a core's second
_QUIET_S: Final = 5.0  # nobody asks any more: what is not answered by now is lost
_MARKER: Final = re.compile(r"PR_bench\d+")
_OK, _TOO_MANY = 200, 429
_COLUMNS: Final = ("of the allowance %", "429 of calls %", "unanswered", "paid twice", "until all are done s")
_SHARE, _REFUSED, _LOST, _TWICE, _TOOK = _COLUMNS


class _Storm(NamedTuple):
    """What is allowed, and what changes in the middle."""

    name: str
    limits: RateLimits
    then: LimitChange | None = None
    is_tokens: bool = False

    def allowed(self, from_s: float, changed_s: float | None, until_s: float) -> float:
        """Count what may be used between two moments, the full bucket at the start included."""
        limit = self.limits.input_tokens if self.is_tokens else self.limits.requests
        full = limit if self.is_tokens else limit * _BURST_S / 60
        if self.then is None or changed_s is None:
            return full + limit / 60 * (until_s - from_s)
        assert isinstance(self.then.requests, int)
        return full + limit / 60 * (changed_s - from_s) + self.then.requests / 60 * (until_s - changed_s)


class _Run(NamedTuple):
    share: float
    refused: float
    lost: int
    twice: int
    took_s: float


async def measure_throttle(effort: Effort, folder: Path) -> Section:
    """Let each stack face each storm once."""
    storms = _storms(effort)[: effort.storms]
    requests = [render(number).request for number in range(1, effort.storm)]
    runs = {(stack, storm): await _run(stack, storm, requests, effort, folder) for storm in storms for stack in STACKS}
    ours = [runs[EVENTROUTE, storm] for storm in storms]
    return Section(
        title="Throttle: a storm against an account's rate limits",
        conditions=[
            f"{effort.storm} deliveries at once, {effort.storm_workers} idle worker processes with {SLOTS} slots each",
            f"Claude is the simulator: {_LATENCY_S:g} s for an answer, the API's buckets and headers",
            f"requests: {effort.storm_rate * 60:,} a minute, a second's worth at once; halved: after half of them",
            f"input tokens: {effort.storm_tokens:,} a minute, with a full bucket at the start",
            "arq, retries: the SDK's default of two; backoff: up to 20 tries, exponential, full jitter, up to 30 s",
            f"unanswered: once nobody has asked for {_QUIET_S:g} s",
        ],
        columns=list(_COLUMNS),
        rows=[_row(f"{stack.name}, {storm.name}", run) for (stack, storm), run in runs.items()],
        goals=[
            *(_goal(f"{storm.name}: used", "at least", 95, run.share) for storm, run in zip(storms, ours, strict=True)),
            *(_goal(f"{storm.name}: 429", "at most", 2, run.refused) for storm, run in zip(storms, ours, strict=True)),
            _goal("all: unanswered", "at most", 0, sum(run.lost for run in ours), ""),
            _goal("all: paid twice", "at most", 0, sum(run.twice for run in ours), ""),
        ],
        faults=[],
    )


def _storms(effort: Effort) -> list[_Storm]:
    rate = effort.storm_rate * 60
    plain = RateLimits(requests=rate, burst_s=_BURST_S)
    return [
        _Storm("requests", plain),
        _Storm("halved", plain, then=LimitChange(requests=rate // 2)),
        _Storm("input tokens", RateLimits(input_tokens=effort.storm_tokens), is_tokens=True),
    ]


async def _run(stack: Stack, storm: _Storm, requests: Sequence[bytes], effort: Effort, folder: Path) -> _Run:
    settings = SimulatorSettings(
        keys=(_KEY,), latency_s=_LATENCY_S, latency_spread=0, limits=storm.limits, journal_entries=100_000
    )
    async with AsyncExitStack() as up:
        store = await up.enter_async_context(valkey(folder))
        claude = up.enter_context(serving(settings))
        redis = await up.enter_async_context(Redis.from_url(store.url))
        site = Site(folder=folder, redis_url=store.url, claude_url=claude.url)
        await up.enter_async_context(receiving(stack, site, cores=ALL_CORES))
        workers = [
            await up.enter_async_context(working(stack, site, "claude", cores=ALL_CORES, slots=SLOTS))
            for _ in range(effort.storm_workers)
        ]
        await _until_idle(workers, claude.simulator)
        claude.simulator.journal.clear()
        await drive(site.port, requests, connections=CONNECTIONS, limit_s=_FILL_LIMIT_S)
        changed_s = await _until_done(stack, storm, claude.simulator, redis, effort)
        return _judge(storm, claude.simulator.journal.entries(), wanted=len(requests), changed_s=changed_s)


async def _until_done(stack: Stack, storm: _Storm, simulator: Simulator, redis: Redis, effort: Effort) -> float | None:
    """Wait until nothing is queued and nobody asks, change the limits in the middle; returns when, Unix seconds."""
    journal, changed_s = simulator.journal, None
    give_up = time.monotonic() + effort.storm_limit_s
    seen, seen_at = 0, time.monotonic()
    while (now := time.monotonic()) < give_up:
        entries = journal.entries()
        answered = sum(entry.given.status == _OK for entry in entries)
        if storm.then and changed_s is None and answered >= effort.storm / 2:
            simulator.change_limits(storm.then)
            changed_s = time.time()
        if len(entries) > seen:
            seen, seen_at = len(entries), now
        is_quiet = now - seen_at > _QUIET_S and not await queued(stack, redis)
        if answered >= effort.storm - 1 or is_quiet:
            break
        await asyncio.sleep(_LOOK_S)
    return changed_s


async def _until_idle(workers: Sequence[Part], simulator: Simulator) -> None:
    """Wait until the first delivery is answered, and all workers have started and wait for more."""
    give_up = time.monotonic() + _READY_S
    used: list[float] = []
    is_idle = False
    while not is_idle:
        await asyncio.sleep(_IDLE_LOOK_S)
        if time.monotonic() > give_up:
            raise PartFailedError(f"workers are not up and idle within {_READY_S:.0f} s")
        before, used = used, [worker.cpu_s() or 0.0 for worker in workers]
        grown = sum(used) - sum(before)
        is_idle = bool(before) and min(used) > 0 and grown < _IDLE_S and bool(simulator.journal.entries())


def _judge(storm: _Storm, entries: Sequence[Entry], *, wanted: int, changed_s: float | None) -> _Run:
    paid = [entry for entry in entries if entry.given.status == _OK]
    answers = Counter(found[0] for entry in paid if (found := _MARKER.search(entry.text)))
    from_s, until_s = entries[0].received_ns / 1e9, max(entry.received_ns for entry in paid) / 1e9
    used = sum(entry.given.input_tokens for entry in paid) if storm.is_tokens else len(paid)
    return _Run(
        share=100 * used / storm.allowed(from_s, changed_s, until_s),
        refused=100 * sum(entry.given.status == _TOO_MANY for entry in entries) / len(entries),
        lost=wanted - len(answers),
        twice=sum(count - 1 for count in answers.values()),
        took_s=until_s - from_s,
    )


def _row(name: str, run: _Run) -> Row:
    return Row(name, {column: Spread.of([value]) for column, value in zip(_COLUMNS, run, strict=True)})


def _goal(text: str, bound: Bound, wanted: float, measured: float, unit: str = "%") -> Goal:
    return Goal(text=f"EventRoute, {text}", bound=bound, wanted=wanted, measured=Spread.of([measured]), unit=unit)
