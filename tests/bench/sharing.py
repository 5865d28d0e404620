"""Sharing: what many running, waiting or held deliveries cost those of others, and how idle workers divide work.

The pick-up is measured from before the admission's call to the start of the job, without a receiver's HTTP. The other
route's deliveries last 50 ms each and fill the worker; they are far from done when the measurement ends.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, NamedTuple

from bench.backlog import Backlog, backlog
from bench.effort import Effort
from bench.figures import Goal, Row, Section, Spread, quantile
from bench.peers import stamps
from bench.peers.eventroute import GROUP
from bench.processes import ALL_CORES, PartFailedError, valkey
from bench.site import JOB_LONG_S, Site
from bench.stacks import EVENTROUTE, working
from eventroute.ids import route_path

_FLOOD: Final = route_path("bench", "flood")
_LEASES: Final = 500  # calls that are measured
_PAUSE_S: Final = 0.02  # at least, between two deliveries of the healthy route
_SPREAD_S: Final = 0.04
_WARM_UP: Final = 20
_LIMIT_S: Final = 30.0
_SLOTS: Final = 5  # of each of two workers
_SHARED: Final = 20  # deliveries for both
_PICKUP, _TAIL, _LEASE, _SPLIT = "pick-up p50 ms", "pick-up p99 ms", "lease, Redis ms", "until all are done s"


class _PickUp(NamedTuple):
    p50: float
    p99: float

    def row(self, name: str) -> Row:
        return _row(name, {_PICKUP: Spread.of([self.p50]), _TAIL: Spread.of([self.p99])})


async def measure_sharing(effort: Effort, folder: Path) -> Section:
    """Measure beside `effort.running` running, and beside `effort.flood` waiting and held deliveries."""
    few, many = await _leased(effort, folder)
    alone, held, waiting = await _picked_up(effort, folder)
    split = Spread.of([await _split(folder) for _ in range(effort.split_rounds)])
    running, flood = f"{effort.running:,} running", f"{effort.flood:,}"
    return Section(
        title="Sharing: what others' deliveries cost, and how workers divide work",
        conditions=[
            f"lease: one delivery per call, {_LEASES} calls; Redis' own account of its time",
            f"pick-up: {effort.deliveries} single deliveries after random pauses; one worker with 20 slots",
            "held and waiting: of one other route, jobs of 50 ms",
            f"two workers: idle, {_SLOTS} slots each, {_SHARED} deliveries of {JOB_LONG_S:g} s at once; 1 s is ideal",
        ],
        columns=[_PICKUP, _TAIL, _LEASE, _SPLIT],
        rows=[
            _row("lease, nothing running", {_LEASE: few}),
            _row(f"lease, {running}", {_LEASE: many}),
            alone.row("pick-up, nothing else queued"),
            held.row(f"pick-up, {flood} held"),
            waiting.row(f"pick-up, {flood} waiting"),
            _row("two workers", {_SPLIT: split}),
        ],
        goals=[
            _at_most(f"lease with {running}", 0.1, many, "ms"),
            _at_most(f"pick-up p99, {flood} held: added", 1, Spread.of([held.p99 - alone.p99]), "ms"),
            _at_most(f"pick-up p99, {flood} waiting: added", 2, Spread.of([waiting.p99 - alone.p99]), "ms"),
            _at_most("two idle workers until all are done", 1.1, split, "s"),
        ],
        faults=[],
    )


async def _leased(effort: Effort, folder: Path) -> tuple[Spread, Spread]:
    """Measure what a lease costs Redis, in milliseconds, with nothing running and with many."""
    async with valkey(folder) as store, backlog(store.url) as queue:

        async def cost() -> Spread:
            await queue.fill(_LEASES)
            calls, spent_us = await queue.spent_us("evalsha")
            for _ in range(_LEASES):
                await queue.lease(1)
            calls_now, spent_now_us = await queue.spent_us("evalsha")
            return Spread.of([(spent_now_us - spent_us) / (calls_now - calls) / 1000])

        few = await cost()
        await queue.fill(effort.running)
        await queue.lease(effort.running)
        return few, await cost()


async def _picked_up(effort: Effort, folder: Path) -> tuple[_PickUp, _PickUp, _PickUp]:
    """Measure a healthy route's pick-up alone, beside what is held of another route, and once that is released."""
    async with valkey(folder) as store, backlog(store.url) as queue:
        site = Site(folder=folder, redis_url=store.url, claude_url="http://127.0.0.1:9")
        async with working(EVENTROUTE, site, "sleep", cores=ALL_CORES):
            await _timed(queue, site, _WARM_UP)
            alone = await _timed(queue, site, effort.deliveries)
            await queue.upkeep.hold(GROUP, _FLOOD, "withheld")
            await queue.fill(effort.flood, path=_FLOOD)
            held = await _timed(queue, site, effort.deliveries)
            await queue.upkeep.release(GROUP, [_FLOOD])
            waiting = await _timed(queue, site, effort.deliveries)
    return alone, held, waiting


async def _timed(queue: Backlog, site: Site, count: int) -> _PickUp:
    sent: dict[str, int] = {}
    for _ in range(count):
        await asyncio.sleep(_PAUSE_S + random.uniform(0, _SPREAD_S))
        at_ns = time.monotonic_ns()
        (delivery,) = await queue.fill(1)
        sent[delivery] = at_ns
    started = await _stamped(site, stamps.STARTED, sent)
    took = sorted((started[delivery] - at_ns) / 1e6 for delivery, at_ns in sent.items())
    return _PickUp(quantile(took, 0.50), quantile(took, 0.99))


async def _split(folder: Path) -> float:
    """Let two idle workers share deliveries that came at once; returns the seconds until the last one has ended."""
    async with AsyncExitStack() as up:
        store = await up.enter_async_context(valkey(folder))
        queue = await up.enter_async_context(backlog(store.url))
        site = Site(folder=folder, redis_url=store.url, claude_url="http://127.0.0.1:9")
        for _ in range(2):
            await up.enter_async_context(working(EVENTROUTE, site, "long", cores=ALL_CORES, slots=_SLOTS))
        await queue.until_waited_for(2)
        began_ns = time.monotonic_ns()
        deliveries = await queue.fill(_SHARED)
        ended = await _stamped(site, stamps.ENDED, deliveries)
    return (max(ended.values()) - began_ns) / 1e9


async def _stamped(site: Site, what: str, deliveries: Sequence[str] | dict[str, int]) -> dict[str, int]:
    give_up = time.monotonic() + _LIMIT_S
    while True:
        found = {stamp.job: stamp.at_ns for stamp in stamps.read(site.stamps) if stamp.what == what}
        if all(delivery in found for delivery in deliveries):
            return {delivery: found[delivery] for delivery in deliveries}
        if time.monotonic() > give_up:
            raise PartFailedError(f"deliveries have not {what} within {_LIMIT_S:.0f} s")
        await asyncio.sleep(0.05)


def _row(name: str, values: dict[str, Spread]) -> Row:
    return Row(name, {column: values.get(column) for column in (_PICKUP, _TAIL, _LEASE, _SPLIT)})


def _at_most(text: str, wanted: float, measured: Spread, unit: str) -> Goal:
    return Goal(text=text, bound="at most", wanted=wanted, measured=measured, unit=unit)
