"""Idle pick-up: how long after its receipt a single delivery's job starts, and its request to Claude leaves.

All stacks are up, each with a Valkey, a receiver and a worker of its own, and get their deliveries in turn after random
pauses. The clock starts when the sender writes the request, so that the way through the receiver is part of the figure.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.claude_stub import ClaudeStub, claude_stub
from bench.deliveries import Delivery, render
from bench.effort import Effort
from bench.figures import Goal, Row, Section, Spread, quantile
from bench.load import HOST
from bench.peers import stamps
from bench.processes import ALL_CORES, PartFailedError, valkey
from bench.site import Site
from bench.stacks import EVENTROUTE, FASTAPI_RQ, LITESTAR_ARQ, LITESTAR_ARQ_TUNED, Stack, receiving, working

STACKS: Final = (FASTAPI_RQ, LITESTAR_ARQ, LITESTAR_ARQ_TUNED, EVENTROUTE)

_PAUSE_S: Final = 0.02  # at least, before each delivery: what the last one set off has settled
_SPREAD_S: Final = 0.08  # of the pauses; a worker's poll if that is longer, so that all its phases are equally likely
_WARM_UP: Final = 3  # deliveries per stack: imports, connections, the first fork
_READY_S: Final = 30.0
_LIMIT_S: Final = 10.0  # for one delivery; arq's default poll takes half a second
_NUMBERS: Final = 1_000_000  # of deliveries per stack, so that the stub can tell the stacks apart
_COLUMNS = ["start p50 ms", "start p99 ms", "start max ms", "Claude p50 ms", "Claude p99 ms", "Claude max ms"]


class _Times(NamedTuple):
    """One delivery's, in milliseconds after it was sent."""

    started: float
    asked: float


class _Sent(NamedTuple):
    job: str
    sent_ns: int
    asked_ns: int


async def measure_pickup(effort: Effort, folder: Path) -> Section:
    """Send `effort.deliveries` single deliveries to each stack."""
    async with AsyncExitStack() as up, claude_stub() as claude:
        sites = await asyncio.gather(*(up.enter_async_context(_whole(stack, claude, folder)) for stack in STACKS))
        for number in range(_WARM_UP):
            await _each(sites, claude, number, limit_s=_READY_S)
        sent = [await _each(sites, claude, _WARM_UP + number) for number in range(effort.deliveries)]
        started = [_starts(site) for site in sites]
    times = [[_times(one[index], started[index]) for one in sent] for index in range(len(STACKS))]
    ours = times[STACKS.index(EVENTROUTE)]
    return Section(
        title="Idle pick-up: from the sender's write to the job's start, and to the request to Claude",
        conditions=[
            f"{effort.deliveries} deliveries per stack, one at a time, the stacks in turn, after random pauses",
            "all programs on all cores, which are idle but for one delivery at a time",
            "Claude is a stub that answers at once and notes a request's first byte; official SDK everywhere",
            "RQ: default worker, a fork per job, with the SDK imported before the fork",
            "arq: default poll of 0.5 s; tuned: poll of 10 ms, no kept results",
        ],
        columns=_COLUMNS,
        rows=[_row(stack, times[index]) for index, stack in enumerate(STACKS)],
        goals=[
            _goal("job starts, p50", 5, [quantile(sorted(t.started for t in ours), 0.50)]),
            _goal("job starts, p99", 20, [quantile(sorted(t.started for t in ours), 0.99)]),
            _goal("request to Claude leaves, p50", 10, [quantile(sorted(t.asked for t in ours), 0.50)]),
        ],
        faults=[],
    )


@asynccontextmanager
async def _whole(stack: Stack, claude: ClaudeStub, folder: Path) -> AsyncIterator[Site]:
    """Run a whole stack, from receiver to worker."""
    async with valkey(folder) as store:
        site = Site(folder=folder, redis_url=store.url, claude_url=claude.url)
        async with receiving(stack, site, cores=ALL_CORES), working(stack, site, "claude", cores=ALL_CORES):
            yield site


async def _each(sites: Sequence[Site], claude: ClaudeStub, number: int, *, limit_s: float = _LIMIT_S) -> list[_Sent]:
    """Send one delivery to each stack and wait until it has asked Claude."""
    sent = []
    for index, (stack, site) in enumerate(zip(STACKS, sites, strict=True), start=1):
        await asyncio.sleep(_PAUSE_S + random.uniform(0, max(_SPREAD_S, stack.poll_s)))
        try:
            sent.append(await _through(site, claude, render(index * _NUMBERS + number), limit_s=limit_s))
        except TimeoutError as error:
            raise PartFailedError(f"{stack.name}: no request to Claude within {limit_s:.0f} s") from error
    return sent


async def _through(site: Site, claude: ClaudeStub, delivery: Delivery, *, limit_s: float) -> _Sent:
    async with asyncio.timeout(limit_s):
        reader, writer = await asyncio.open_connection(HOST, site.port)
        try:
            sent_ns = time.monotonic_ns()
            writer.write(delivery.request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise PartFailedError(f"a delivery was not accepted: {head!r}")
            answer = msgspec.json.decode(await reader.read(4096), type=dict[str, str])
            asked_ns = await claude.arrival_ns(delivery.marker)
        finally:
            writer.close()
    return _Sent(answer.get("delivery", delivery.marker), sent_ns, asked_ns)


def _starts(site: Site) -> dict[str, int]:
    return {stamp.job: stamp.at_ns for stamp in stamps.read(site.stamps) if stamp.what == stamps.STARTED}


def _times(sent: _Sent, started: dict[str, int]) -> _Times:
    return _Times((started[sent.job] - sent.sent_ns) / 1e6, (sent.asked_ns - sent.sent_ns) / 1e6)


def _row(stack: Stack, times: Sequence[_Times]) -> Row:
    figures = [
        Spread.of([quantile(ordered, share)])
        for ordered in (sorted(t.started for t in times), sorted(t.asked for t in times))
        for share in (0.50, 0.99, 1.0)
    ]
    return Row(stack.name, dict(zip(_COLUMNS, figures, strict=True)))


def _goal(text: str, wanted: float, measured: Sequence[float]) -> Goal:
    return Goal(text=f"EventRoute: {text}", bound="at most", wanted=wanted, measured=Spread.of(measured), unit="ms")
