"""Memory: what a delivery takes of Redis in each phase of its life, and how many a second the default has room for.

A delivery is queued, ends with its body, loses that, then its answer, then its record; its claims live for four days.
Once Redis is 70 % full, what has ended goes before its time, but for claims and the records of the last day: those are
what a steady rate fills for ever. Room for an hour of deliveries, while Claude is away, has to be left beside them.
"""

import asyncio
import time
from pathlib import Path
from typing import Final, NamedTuple
from unittest.mock import patch

from bench.backlog import Backlog, Table, backlog
from bench.effort import Effort
from bench.figures import Bound, Goal, Row, Section, Spread
from bench.peers.eventroute import GROUP, ROUTE
from bench.processes import valkey
from eventroute.queue import Retention
from eventroute.runtime.scripts import RedisAway
from eventroute_worker import keeper as keepers
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles

_MEGABYTES: Final = 512  # what the chart gives its Valkey

_WANTED: Final = 3.0  # deliveries a second
_DAY_S: Final = 86_400
_CLAIMED_DAYS: Final = 4  # as GitHub's
_DAYS: Final = 5  # of the accelerated run: claims come and go
_BATCH: Final = 20  # deliveries between two looks of the keeper, in the accelerated run
_ALL: Final = 1_000_000  # to relieve
_COLUMN: Final = "bytes"


class Phases(NamedTuple):
    """Bytes of one delivery, its claims included."""

    queued: float
    with_body: float
    with_answer: float
    record: float
    claims: float

    @property
    def for_ever(self) -> float:
        """Deliveries a second until claims, a day of records and an hour of queued ones fill all of the memory."""
        return _MEGABYTES * 1e6 / (self._kept + 3600 * self.queued)

    @property
    def at_ease(self) -> float:
        """Deliveries a second until claims and a day of records alone take what makes the keeper relieve."""
        return keepers._FULL * _MEGABYTES * 1e6 / self._kept

    @property
    def _kept(self) -> float:
        return _CLAIMED_DAYS * _DAY_S * self.claims + _DAY_S * (self.record - self.claims)


class _Stood(NamedTuple):
    """How an accelerated run went."""

    accepted: int
    refused: int
    highest: float
    """Share of the memory, in %."""


async def measure_memory(effort: Effort, folder: Path) -> Section:
    """Weigh `effort.weighed` deliveries, and let as many come as are wanted, into a small memory in a short time."""
    async with valkey(folder) as store, backlog(store.url) as queue:
        phases = await _weigh(queue, effort.weighed)
    async with valkey(folder) as store, backlog(store.url) as queue:
        stood = await _stand(queue, shrunk=effort.shrunk, day_s=effort.day_s)
    names = ("queued", "ended, with its body", "ended, with its answer", "ended, its record", "its claims alone")
    return Section(
        title="Memory of Redis: a delivery through its life",
        conditions=[
            f"{effort.weighed:,} deliveries: 2,000-byte GitHub body, its headers, two claims, a trace; `used_memory`",
            f"for ever: {_CLAIMED_DAYS} days of claims, a day of records, an hour of what is queued in {_MEGABYTES} MB",
            f"claims and a day of records alone take {keepers._FULL:.0%} at {phases.at_ease:.2f} deliveries a second",
            f"in practice: {_WANTED:g} a second for {_DAYS} days, a {effort.shrunk}th of memory and of rate,",
            f"a day in {effort.day_s} s: {stood.accepted:,} accepted, {stood.highest:.0f} % full at most",
        ],
        columns=[_COLUMN],
        rows=[Row(name, {_COLUMN: Spread.of([value])}) for name, value in zip(names, phases, strict=True)],
        goals=[
            _goal("a queued delivery", "at most", 3_200, phases.queued, "bytes"),
            _goal("finished deliveries for ever", "at least", _WANTED, phases.for_ever, "/s"),
            _goal("refused in practice, for want of memory", "at most", 0, stood.refused, "deliveries"),
        ],
        faults=[],
    )


async def _stand(queue: Backlog, *, shrunk: int, day_s: int) -> _Stood:
    """Let deliveries come and end for some days that are shorter by as much as the memory is smaller."""
    count = int(_WANTED * _DAY_S / shrunk)
    kept = Retention(day_s * 1000 // 24, day_s * 1000, 7 * day_s * 1000)
    keeper = Keeper(
        queue.upkeep,
        worker="bench",
        groups=[GROUP],
        routes=Table(),
        troubles=Troubles(),
        may_meet=lambda _: False,
        limits=dict,
    )
    most = _MEGABYTES * 1e6 / shrunk
    used = await queue.used_bytes()
    await queue.redis.config_set("maxmemory", int(used + most))
    accepted = refused = 0
    highest = 0.0
    began = time.monotonic()
    relief = tuple((kind, day_s * 1000 if kind == "records" else older_ms) for kind, older_ms in keepers._RELIEF)
    with patch.object(keepers, "_RELIEF", relief):
        for first in range(0, _DAYS * count, _BATCH):
            await asyncio.sleep(began + first * day_s / count - time.monotonic())
            try:
                await queue.fill(_BATCH, claimed_s=_CLAIMED_DAYS * day_s)
                accepted += _BATCH
            except RedisAway:
                refused += _BATCH
            await queue.finish(_BATCH, kept=kept)
            highest = max(highest, 100 * (await queue.used_bytes() - used) / most)
            await keeper.look()
    return _Stood(accepted, refused, highest)


async def _weigh(queue: Backlog, count: int) -> Phases:
    await queue.fill(1)  # scripts, keys of the route
    await queue.finish(1)
    await _relieve(queue, "bodies", "answers", "records")
    empty = await queue.used_bytes()

    async def each() -> float:
        return (await queue.used_bytes() - empty) / count

    await queue.fill(count)
    queued = await each()
    await queue.finish(count)
    with_body = await each()
    await _relieve(queue, "bodies")
    with_answer = await each()
    await _relieve(queue, "answers")
    record = await each()
    await _relieve(queue, "records")
    return Phases(queued, with_body, with_answer, record, await each())


async def _relieve(queue: Backlog, *kinds: str) -> None:
    for kind in kinds:
        await queue.upkeep.relieve(GROUP, ROUTE, kind, older_ms=-_DAY_S * 1000, count=_ALL)
    await asyncio.sleep(0.2)  # what is unlinked is freed by another thread


def _goal(text: str, bound: Bound, wanted: float, measured: float, unit: str) -> Goal:
    return Goal(text=text, bound=bound, wanted=wanted, measured=Spread.of([measured]), unit=unit)
