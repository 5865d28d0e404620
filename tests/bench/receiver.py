"""Receivers: durable acknowledgements per second, and how long one takes.

Each run has a Valkey and a server process of its own. After it, the jobs in Redis are counted against the
acknowledgements, and a part of the deliveries is sent again: losing or doubling one makes the figures invalid.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from bench.claude_stub import claude_stub
from bench.deliveries import render
from bench.effort import Effort
from bench.figures import Goal, Row, Section, Spread, quantile
from bench.load import Load, drive
from bench.processes import IS_PINNED, Part, valkey
from bench.site import Site
from bench.stacks import (
    BARE_ASGI,
    BARE_DURABLE,
    CONNECTIONS,
    CONSTANT,
    EVENTROUTE,
    FASTAPI_RQ,
    LITESTAR_ARQ,
    Stack,
    queued,
    receiving,
)

STACKS: Final = (FASTAPI_RQ, LITESTAR_ARQ, EVENTROUTE, BARE_DURABLE, BARE_ASGI, CONSTANT)

_WAITING: Final = (BARE_DURABLE, CONSTANT)
"""What may wait for the other core, which Valkey and the load generator share, and so does not fill its own."""

_RUN_LIMIT_S: Final = 60.0
_REPEATED: Final = 50  # deliveries that are sent once more after a run
_CORE_IN_USE: Final = 90  # % of its core that a server has under full load, when nothing else runs
_COLUMNS = ["acks/s", "p50 ms", "p99 ms", "server us/ack", "server core %", "Valkey core %", "generator core %"]


class _Run(NamedTuple):
    load: Load
    server_s: float | None
    """Processor seconds; None where the system does not tell."""
    valkey_s: float | None
    faults: list[str]

    @property
    def server_share(self) -> float | None:
        return None if self.server_s is None else 100 * self.server_s / self.load.duration_s


_Runs = dict[Stack, list[_Run]]


async def measure_receivers(effort: Effort, folder: Path) -> Section:
    """Run all receivers in turn, `effort.rounds` times."""
    requests = [render(number).request for number in range(1, effort.warm_up + effort.requests + 1)]
    runs: _Runs = defaultdict(list)
    for _ in range(effort.rounds):
        for stack in STACKS:
            count = effort.requests // 5 if stack.is_slow else effort.requests
            chosen = requests[: effort.warm_up + count]
            runs[stack].append(await _run(stack, chosen, warm_up=effort.warm_up, folder=folder))
    return Section(
        title="Receiver: durable acknowledgements, with deduplication",
        conditions=[
            f"{CONNECTIONS} keep-alive connections with one request in flight each; 2,000-byte GitHub body",
            f"{effort.rounds} rounds, all stacks in turn in each",
            f"{effort.warm_up} requests to warm up, then {effort.requests:,}, for the two slow stacks a fifth of it",
            "one server process on uvicorn, uvloop, httptools; Valkey without persistence; both fresh for each run",
            f"server on one core, Valkey and load generator on the other: {'yes' if IS_PINNED else 'no, not pinned'}",
            "EventRoute, and what has its spans, traces and exports 10 % of its requests; the others do not trace",
            "us/ack: processor time of the server for one request, which suffers less from a disturbed machine",
        ],
        columns=_COLUMNS,
        rows=[_row(stack, runs[stack]) for stack in STACKS],
        goals=[_goal(runs, FASTAPI_RQ, 5.5), _goal(runs, LITESTAR_ARQ, 3.6), _goal(runs, BARE_DURABLE, 0.6)],
        faults=[fault for stack in STACKS for run in runs[stack] for fault in run.faults],
        doubts=[doubt for stack in STACKS if stack not in _WAITING for doubt in _doubts(stack, runs[stack])],
    )


async def _run(stack: Stack, requests: Sequence[bytes], *, warm_up: int, folder: Path) -> _Run:
    async with claude_stub() as collector, valkey(folder) as store, Redis.from_url(store.url) as redis:
        site = Site(folder=folder, redis_url=store.url, claude_url=collector.url)
        async with receiving(stack, site) as server:
            warm = await drive(site.port, requests[:warm_up], connections=CONNECTIONS, limit_s=_RUN_LIMIT_S)
            used = server.cpu_s(), store.part.cpu_s()
            load = await drive(site.port, requests[warm_up:], connections=CONNECTIONS, limit_s=_RUN_LIMIT_S)
            spent = _since(server, used[0]), _since(store.part, used[1])
            faults = [f"{stack.name}: {count} x {what}" for what, count in (warm.failures + load.failures).items()]
            if stack.queue is not None:
                expected = 1 + warm.acks + load.acks
                faults += await _queue_faults(stack, redis, expected, when="after the run")
                await drive(site.port, requests[:_REPEATED], connections=CONNECTIONS, limit_s=_RUN_LIMIT_S)
                faults += await _queue_faults(stack, redis, expected, when="after sending some again")
    return _Run(load, *spent, faults)


def _since(part: Part, used_s: float | None) -> float | None:
    now_s = part.cpu_s()
    return None if now_s is None or used_s is None else now_s - used_s


async def _queue_faults(stack: Stack, redis: "Redis", expected: int, *, when: str) -> list[str]:
    found = await queued(stack, redis)
    return [] if found == expected else [f"{stack.name}: {expected} acknowledged, {found} queued {when}"]


def _row(stack: Stack, runs: Sequence[_Run]) -> Row:
    figures = [
        Spread.of(run.load.rate for run in runs),
        Spread.of(quantile(run.load.latencies_ms, 0.50) for run in runs),
        Spread.of(quantile(run.load.latencies_ms, 0.99) for run in runs),
        Spread.of_known(run.server_s and 1e6 * run.server_s / run.load.requests for run in runs),
        Spread.of_known(run.server_share for run in runs),
        Spread.of_known(run.valkey_s and 100 * run.valkey_s / run.load.duration_s for run in runs),
        Spread.of(100 * run.load.cpu_s / run.load.duration_s for run in runs),
    ]
    return Row(stack.name, dict(zip(_COLUMNS, figures, strict=True)))


def _doubts(stack: Stack, runs: Sequence[_Run]) -> list[str]:
    shares = Spread.of_known(run.server_share for run in runs)
    if shares is None or shares.median >= _CORE_IN_USE:
        return []
    return [f"{stack.name}: the server had {shares.median:.0f} % of its core, so something else on the machine ran"]


def _goal(runs: _Runs, peer: Stack, wanted: float) -> Goal:
    def rates(stack: Stack) -> list[float]:
        return [run.load.rate for run in runs[stack]]

    measured = Spread.of_ratios(rates(EVENTROUTE), rates(peer))
    return Goal(text=f"EventRoute against {peer.name}", bound="at least", wanted=wanted, measured=measured, unit="x")
