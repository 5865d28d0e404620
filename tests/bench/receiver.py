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
from bench.processes import PINNED, Part, valkey
from bench.site import Site
from bench.stacks import (
    BARE_ASGI,
    CONNECTIONS,
    CONSTANT,
    EVENTROUTE,
    FASTAPI_RQ,
    LITESTAR_ARQ,
    Stack,
    queued,
    receiving,
)

STACKS: Final = (FASTAPI_RQ, LITESTAR_ARQ, EVENTROUTE, BARE_ASGI, CONSTANT)

_RUN_LIMIT_S: Final = 60.0
_REPEATED: Final = 50  # deliveries that are sent once more after a run
_COLUMNS = ["acks/s", "p50 ms", "p99 ms", "server core", "Valkey core", "generator core"]


class _Run(NamedTuple):
    load: Load
    server_s: float | None
    valkey_s: float | None
    faults: list[str]


async def measure_receivers(effort: Effort, folder: Path) -> Section:
    """Run all receivers in turn, `effort.rounds` times."""
    requests = [render(number).request for number in range(1, effort.warm_up + effort.requests + 1)]
    runs: defaultdict[str, list[_Run]] = defaultdict(list)
    for _ in range(effort.rounds):
        for stack in STACKS:
            count = effort.requests // 5 if stack.is_slow else effort.requests
            chosen = requests[: effort.warm_up + count]
            runs[stack.name].append(await _run(stack, chosen, warm_up=effort.warm_up, folder=folder))
    return Section(
        title="Receiver: durable acknowledgements, with deduplication",
        conditions=[
            f"{CONNECTIONS} keep-alive connections with one request in flight each; 2,000-byte GitHub body",
            f"{effort.rounds} rounds, all stacks in turn in each",
            f"{effort.warm_up} requests to warm up, then {effort.requests:,}, for the two slow stacks a fifth of it",
            "one server process on uvicorn, uvloop, httptools; Valkey without persistence; both fresh for each run",
            f"server on one core, Valkey and load generator on the other: {'yes' if PINNED else 'no, not pinned'}",
            "EventRoute traces 10 % of its requests and exports them; the others do not trace",
            "core columns: % of a processor core that the process used; the server's should be near 100",
        ],
        columns=_COLUMNS,
        rows=[_row(stack, runs[stack.name]) for stack in STACKS],
        goals=[_goal(runs, FASTAPI_RQ, 8), _goal(runs, LITESTAR_ARQ, 6), _goal(runs, BARE_ASGI, 0.6)],
        faults=[fault for stack in STACKS for run in runs[stack.name] for fault in run.faults],
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
    def share(values: Sequence[float | None]) -> Spread | None:
        shares = [
            100 * value / run.load.duration_s for value, run in zip(values, runs, strict=True) if value is not None
        ]
        return Spread.of(shares) if shares else None

    figures = [
        Spread.of(run.load.rate for run in runs),
        Spread.of(quantile(run.load.latencies_ms, 0.50) for run in runs),
        Spread.of(quantile(run.load.latencies_ms, 0.99) for run in runs),
        share([run.server_s for run in runs]),
        share([run.valkey_s for run in runs]) if stack.queue else None,
        share([run.load.cpu_s for run in runs]),
    ]
    return Row(stack.name, dict(zip(_COLUMNS, figures, strict=True)))


def _goal(runs: dict[str, list[_Run]], peer: Stack, wanted: float) -> Goal:
    def rates(stack: Stack) -> list[float]:
        return [run.load.rate for run in runs[stack.name]]

    measured = Spread.of_ratios(rates(EVENTROUTE), rates(peer))
    return Goal(text=f"EventRoute against {peer.name}", bound="at least", wanted=wanted, measured=measured, unit="x")
