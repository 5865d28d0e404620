"""The control plane: from a write to the API server until receivers do as it says, with few routes and with many.

Real API server, operator, Valkey and receiver, each a process of its own; the operator may do what its README lists and
nothing else. The clock starts before the write is sent, and ends with the receiver's first other answer.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench.effort import Effort
from bench.figures import Goal, Row, Section, Spread, quantile
from bench.processes import ALL_CORES, PartFailedError, pin
from eventroute import keys
from eventroute.route_table import RECEIVER, WORKER
from eventroute.runtime.tables import heartbeats, table_version
from support.api_server import ApiServer, NotBuiltError, api_server
from support.control_plane import ControlPlane, Namespace, control_plane, redis_of

DEFINITION: Final = Path(__file__).parents[2] / "k8s/crd/eventroute.dev_eventroutes.yaml"

_PAUSE_S: Final = 0.2  # between writes: each one finds the operator idle
_LOOK_S: Final = 0.002
_LIMIT_S: Final = 60.0
_COLUMNS: Final = ["p50 ms", "p95 ms", "max ms"]
_REFS: Final = [{"name": "hook", "key": "current"}, {"name": "hook", "key": "previous"}]


async def measure_control_plane(effort: Effort, folder: Path) -> Section:
    """Measure `effort.changes` changes of each kind among few routes, and again among `effort.routes`."""
    pin(0, ALL_CORES)
    try:
        with api_server(folder / "api") as api:
            api.define(DEFINITION)
            return await _measured(effort, folder, api)
    except NotBuiltError as missing:
        raise PartFailedError(str(missing)) from missing


async def _measured(effort: Effort, folder: Path, api: ApiServer) -> Section:
    with control_plane(folder, api, resync_s=60, status_interval_s=30) as plane:
        await plane.operator.until_ready()
        few = plane.namespace()
        few_live, few_ready = _applied(few, effort.changes)
        few_rotated = _rotated(few, effort.changes)
        many = plane.namespace()
        filled_s = await _filled(many, effort.routes)
        many_live, _ = _applied(many, effort.changes)
        many_rotated = _rotated(many, effort.changes)
        resynced_s = await _resynced(plane)
        rss_mib = _rss_mib(plane.operator.pid)
    routes = f"{effort.routes:,} routes"
    return Section(
        title="Control plane: from a write to the API server to the receiver's answer",
        conditions=[
            f"{effort.changes} changes of each kind, one at a time; all parts real, each on all cores",
            "applied: created, until a receiver no longer answers 404; ready: until the status says so",
            f"rotated: a Secret that {effort.changes} routes name, until its new and its old value are both accepted",
            f"{routes}, each with a Secret of its own, created in {filled_s:.1f} s until the last one was ready",
            "full resync: operator killed, tables removed from Redis, operator started; until all is served again",
            f"operator's memory with {routes}: {rss_mib:.0f} MiB resident",
        ],
        columns=_COLUMNS,
        rows=[
            _row("applied → live", few_live),
            _row("applied → ready", few_ready),
            _row("rotated → both accepted", few_rotated),
            _row(f"applied → live, {routes}", many_live),
            _row(f"rotated → both accepted, {routes}", many_rotated),
            _row(f"full resync, {routes}", [resynced_s]),
        ],
        goals=[
            _at_most("applied → live, p50", 1, _spread(few_live, 0.5), "s"),
            _at_most("applied → live, p95", 2, _spread(few_live, 0.95), "s"),
            _at_most("rotated → both accepted, slowest", 2, _spread(few_rotated, 1), "s"),
            _at_most(f"one change among {routes}, slowest", 2, _spread([*many_live, *many_rotated], 1), "s"),
            _at_most(f"full resync of {routes}", 30, Spread.of([resynced_s]), "s"),
            _at_most(f"operator's memory with {routes}", 300, Spread.of([rss_mib]), "MiB"),
        ],
        faults=[],
    )


def _is_known(team: Namespace, name: str) -> bool:
    return team.deliver(name, secret="bench-secret-current-0") != 404


def _says_ready(team: Namespace, name: str) -> bool:
    return team.condition("Ready", name).get("status") == "True"


def _takes(team: Namespace, secret: str) -> bool:
    return team.deliver("applied-0", secret=secret) == 200


def _applied(team: Namespace, count: int) -> tuple[list[float], list[float]]:
    """Create routes; returns the seconds until each was live, and until it said that it was ready."""
    team.apply_secret("hook", {"current": "bench-secret-current-0", "previous": "bench-secret-previous"})
    live, ready = [], []
    for number in _paced(count):
        name = f"applied-{number}"
        began = time.monotonic()
        team.apply_route(name, secretRefs=_REFS)
        _until(partial(_is_known, team, name))
        live.append(time.monotonic() - began)
        _until(partial(_says_ready, team, name))
        ready.append(time.monotonic() - began)
    return live, ready


def _rotated(team: Namespace, count: int) -> list[float]:
    """Change the Secret of `applied-0`; returns the seconds until both values were accepted."""
    took = []
    for number in _paced(count):
        old, new = f"bench-secret-current-{number}", f"bench-secret-current-{number + 1}"
        began = time.monotonic()
        team.apply_secret("hook", {"current": new, "previous": old})
        _until(partial(_takes, team, new))
        _until(partial(_takes, team, old))
        took.append(time.monotonic() - began)
    return took


async def _filled(team: Namespace, count: int) -> float:
    """Create many routes as fast as one client can; returns the seconds until all were ready."""
    began = time.monotonic()
    for number in range(count):
        team.apply_secret(f"s{number}", {"secret": f"bench-secret-of-route-{number}"})
        team.apply_route(f"r{number}", secretRefs=[{"name": f"s{number}", "key": "secret"}], filter="payload.a == 1")
    for number in range(count):
        await team.until_ready(f"r{number}", timeout_s=_LIMIT_S)
    return time.monotonic() - began


async def _resynced(plane: ControlPlane) -> float:
    """Kill the operator, take the tables away, start it; returns the seconds until all is served again."""
    async with redis_of(plane) as redis:
        before = await redis.hlen(keys.table(RECEIVER.name))
        plane.operator.kill()
        await redis.delete(keys.table(RECEIVER.name), keys.table(WORKER.name))
        began = time.monotonic()
        plane.operator.start()
        while time.monotonic() - began < _LIMIT_S:
            version = await table_version(redis, RECEIVER)
            beats = await heartbeats(redis, RECEIVER)
            if version and beats and all(beat.version == version for beat in beats):
                if await redis.hlen(keys.table(RECEIVER.name)) != before:
                    raise PartFailedError("a restarted operator published another number of routes")
                return time.monotonic() - began
            await asyncio.sleep(_LOOK_S)
    raise PartFailedError("a restarted operator did not publish")


def _paced(count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(_PAUSE_S)
        yield number


def _until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > limit:
            raise PartFailedError("a change did not arrive")
        time.sleep(_LOOK_S)


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _row(name: str, took_s: list[float]) -> Row:
    values = {column: _spread(took_s, share, unit=1000) for column, share in zip(_COLUMNS, (0.5, 0.95, 1), strict=True)}
    return Row(name, values)


def _spread(took_s: list[float], share: float, *, unit: float = 1) -> Spread:
    return Spread.of([quantile(sorted(took_s), share) * unit])


def _at_most(text: str, wanted: float, measured: Spread, unit: str) -> Goal:
    return Goal(text=text, bound="at most", wanted=wanted, measured=measured, unit=unit)
