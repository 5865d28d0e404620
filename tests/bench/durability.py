"""Durability: what it costs a receiver that Valkey writes to disk, or that a replica has to have a delivery first.

Each run has a Valkey and a receiver of its own, and the file of the former lies where the benchmark runs.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from redis.asyncio import Redis

from bench.claude_stub import claude_stub
from bench.deliveries import render
from bench.effort import Effort
from bench.figures import Row, Section, Spread, quantile
from bench.load import Load, drive
from bench.processes import PartFailedError, Valkey, valkey
from bench.site import Site
from bench.stacks import CONNECTIONS, EVENTROUTE, receiving


class _Kind(NamedTuple):
    name: str
    options: Sequence[str] = ()
    replicas: int = 0


_KINDS: Final = (
    _Kind("no file"),
    _Kind("fsync each second", ("--appendonly", "yes", "--appendfsync", "everysec")),
    _Kind("fsync before each answer", ("--appendonly", "yes", "--appendfsync", "always")),
    _Kind("a replica has it, no file", replicas=1),
)
_ACKS, _MEDIAN, _TAIL = "acks/s", "p50 ms", "p99 ms"
_LIMIT_S: Final = 60.0


async def measure_durability(effort: Effort, folder: Path) -> Section:
    """Run the receiver on each kind of Valkey in turn, `effort.job_rounds` times."""
    requests = [render(number).request for number in range(1, effort.warm_up + effort.requests + 1)]
    loads: dict[_Kind, list[Load]] = defaultdict(list)
    for _ in range(effort.job_rounds):
        for kind in _KINDS:
            loads[kind].append(await _run(requests, kind, warm_up=effort.warm_up, folder=folder))
    return Section(
        title="Durability: acknowledgements with Valkey's file, or with a replica",
        conditions=[
            f"{CONNECTIONS} keep-alive connections with one request in flight each, as in the section on receivers",
            f"{effort.job_rounds} rounds, all kinds in turn in each; {effort.requests:,} requests",
            "the chart writes each second; what comes within one turn of Valkey's loop shares an fsync",
            "the replica is on this machine, on the core of Valkey and the load generator",
        ],
        columns=[_ACKS, _MEDIAN, _TAIL],
        rows=[_row(kind, loads[kind]) for kind in _KINDS],
        goals=[],
        faults=[
            f"{kind.name}: {count} x {what}"
            for kind, several in loads.items()
            for load in several
            for what, count in load.failures.items()
        ],
    )


async def _run(requests: list[bytes], kind: _Kind, *, warm_up: int, folder: Path) -> Load:
    async with claude_stub() as collector, _store(kind, folder) as store:
        settings = {"EVENTROUTE_RECEIVER_REPLICAS": str(kind.replicas)}
        site = Site(folder=folder, redis_url=store.url, claude_url=collector.url, settings=settings)
        async with receiving(EVENTROUTE, site):
            await drive(site.port, requests[:warm_up], connections=CONNECTIONS, limit_s=_LIMIT_S)
            return await drive(site.port, requests[warm_up:], connections=CONNECTIONS, limit_s=_LIMIT_S)


@asynccontextmanager
async def _store(kind: _Kind, folder: Path) -> AsyncIterator[Valkey]:
    """Run a Valkey, and a replica of it where there is to be one."""
    async with valkey(folder, *kind.options) as store:
        if not kind.replicas:
            yield store
            return
        beside = folder / "replica"
        beside.mkdir(exist_ok=True)
        async with valkey(beside, "--replicaof", "127.0.0.1", str(store.port)):
            await _followed(store)
            yield store


async def _followed(store: Valkey) -> None:
    give_up = time.monotonic() + _LIMIT_S
    async with Redis.from_url(store.url) as redis:
        while (await redis.info("replication")).get("slave0", {}).get("state") != "online":
            if time.monotonic() > give_up:
                raise PartFailedError("a replica did not follow")
            await asyncio.sleep(0.05)


def _row(kind: _Kind, loads: list[Load]) -> Row:
    figures: dict[str, Spread | None] = {
        _ACKS: Spread.of(load.rate for load in loads),
        _MEDIAN: Spread.of(quantile(load.latencies_ms, 0.50) for load in loads),
        _TAIL: Spread.of(quantile(load.latencies_ms, 0.99) for load in loads),
    }
    return Row(kind.name, figures)
