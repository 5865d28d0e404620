"""While somebody has stopped the installation nothing is taken, in no group; calls under way end, the rest waits."""

import asyncio
import contextlib

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from eventroute.ids import DeliveryId, route_path
from eventroute.queue import FIRST, Admissions, Admitted, Candidate, Desk, Group, Limits, Load, Stop, Trouble, group_of
from eventroute.route_table import RetryRule
from eventroute.runtime import background
from eventroute.runtime.redis import connect
from eventroute.runtime.scripts import ClientCaller
from eventroute_cli.local.processes import free_port
from eventroute_worker import gate as gates
from eventroute_worker.attempt import Attempt, Settled
from eventroute_worker.gate import Gate
from eventroute_worker.keeper import Keeper
from eventroute_worker.troubles import Troubles
from support.queue import GROUP, admit, admit_all, admit_job, clock_ms, depth, lease, upkeep_of, work_on
from support.runs import FakeClaude, FakeRoutes, build_runner, results, sample_delivery, worker_route
from support.waiting import until
from support.worker import DONE, Recorder, running, until_empty

pytestmark = pytest.mark.real

TROUBLE = Trouble(reason="billing", detail="no credit", key_id="own", model="")


@pytest.fixture
def desk(redis: Redis) -> Desk:
    return Desk({GROUP: redis})


class Slow(Recorder):
    """Ends when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = asyncio.Event()

    async def __call__(self, attempt: Attempt) -> Settled:
        await super().__call__(attempt)
        await self.may_end.wait()
        return DONE


async def test_what_runs_ends_and_the_rest_waits_until_it_is_started(
    redis: Redis, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 0.02)
    handler, gate = Slow(), Gate()
    await admit_all(redis, [sample_delivery(name) for name in ("d-1", "d-2", "d-3")])
    async with background.running(lambda: gate.follow(upkeep_of(redis))), running(redis, handler, slots=1, gate=gate):
        await until(lambda: len(handler.attempts) == 1)
        assert await desk.stop(by="ada@desk", reason="wrong answers")
        await until(lambda: not gate.is_open)
        handler.may_end.set()
        await admit_job(redis, "d-4")
        await until(lambda: _has_depth(redis, 3))
        await admit_job(redis, "d-5")  # its wake-up reaches nobody
        await asyncio.sleep(0.1)
        assert len(handler.attempts) == 1
        assert await desk.start(by="ada@desk")
        await until_empty(redis)
    assert [attempt.delivery for attempt in handler.attempts] == ["d-1", "d-2", "d-3", "d-4", "d-5"]


async def _has_depth(redis: Redis, wanted: int) -> bool:
    return await depth(redis) == wanted


async def test_a_worker_that_knows_nothing_yet_takes_nothing(redis: Redis) -> None:
    handler, gate = Recorder(), Gate()
    await admit_job(redis, "d-1")
    async with running(redis, handler, gate=gate):
        await asyncio.sleep(0.2)
        assert handler.attempts == []
        gate.see(Stop())
        await until_empty(redis)


async def test_one_key_stops_workers_of_all_groups(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 0.02)
    groups = [Group(number) for number in range(3)]
    desk = Desk(dict.fromkeys(groups, redis))
    paths = [route_path(f"team-{number}", "triage") for number in range(6)]
    assert {group_of(path, 3) for path in paths} == set(groups)
    await desk.stop(by="ada@desk", reason="")
    assert await redis.keys("*stop*") == [FIRST.stop.encode()]
    handler, gate = Recorder(), Gate()
    admissions = Admissions(ClientCaller(redis), limits=Limits(1_000, 0), groups=3)
    async with (
        background.running(lambda: gate.follow(upkeep_of(redis))),
        running(redis, handler, groups=groups, gate=gate),
    ):
        for number, path in enumerate(paths):
            offered = [Candidate(sample_delivery(f"d-{number}", route=path), [])]
            assert isinstance(await admissions.admit(path, offered, rate=None), Admitted)
        await asyncio.sleep(0.2)
        assert handler.attempts == []
        assert await desk.load() == Load(ready=0, running=0, later=0, throttled=0, held=6, workable=0)
        await desk.start(by="ada@desk")
        await until(lambda: len(handler.attempts) == 6)


async def test_the_time_of_a_stop_counts_against_no_deadline(redis: Redis, desk: Desk) -> None:
    routes, gate = FakeRoutes(worker_route(retry=RetryRule(attempts=1, deadline_s=60))), Gate()
    for name in ("d-1", "d-2"):
        await admit(redis, sample_delivery(name))
        await redis.hincrby(GROUP.delivery(DeliveryId(name)), "at", -3_600_000)
    claude = FakeClaude()
    runner = build_runner(redis, claude=claude, routes=routes, gate=gate)
    ended = await runner(Attempt(await lease(redis)))
    assert (isinstance(ended, Settled) and ended.reason, claude.asked) == ("deadline", [])
    await desk.stop(by="ada@desk", reason="")
    await desk.start(by="ada@desk")
    gate.see(await desk.read_stop())
    await runner(Attempt(await lease(redis)))
    assert [entry["delivery"] for entry in await results(redis)] == ["d-2"]


async def test_who_when_and_why_are_those_of_the_first_stop_and_a_start_is_kept(redis: Redis, desk: Desk) -> None:
    assert await desk.read_stop() == Stop()
    assert not await desk.start(by="ada")
    before = await clock_ms(redis)
    assert await desk.stop(by="a" * 500, reason="  two\n lines " + "x" * 500)
    stop = await desk.read_stop()
    assert before <= stop.since_ms <= await clock_ms(redis)
    assert (stop.by, stop.reason[:12], len(stop.reason)) == ("a" * 100, "two lines xx", 200)
    assert not await desk.stop(by="eve", reason="later")
    assert await desk.read_stop() == stop
    assert await desk.start(by="eve")
    assert not await desk.start(by="ada")
    assert (await desk.read_stop())._replace(started_ms=0) == Stop(started_by="eve")
    assert (await desk.read_stop()).started_ms >= stop.since_ms


async def test_what_redis_said_last_holds_while_it_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 0.02)
    away = connect(f"redis://127.0.0.1:{free_port()}/0")
    gate, changes = Gate(is_open=True), list[bool]()
    gate.on_change = lambda: changes.append(gate.is_open)
    with capture_logs() as logs:
        async with background.running(lambda: gate.follow(upkeep_of(away))):
            await asyncio.sleep(0.3)
    with contextlib.suppress(OSError):
        await away.aclose()
    assert (gate.is_open, changes) == (True, [])
    assert [entry["event"] for entry in logs] == ["stop_not_read"]


def test_a_change_is_told_once() -> None:
    gate, changes = Gate(), list[bool]()
    gate.on_change = lambda: changes.append(gate.is_open)
    for stop in (Stop(), Stop(), Stop(since_ms=1), Stop(since_ms=1), Stop(started_ms=2)):
        gate.see(stop)
    assert changes == [True, False, True]
    assert gate.started_ms == 2


@pytest.mark.parametrize("is_open", [True, False])
async def test_no_trouble_is_probed_meanwhile(redis: Redis, *, is_open: bool) -> None:
    await admit_job(redis, "d-1")
    await work_on(redis).park(await lease(redis), TROUBLE, has_asked=False)
    await Keeper(
        upkeep_of(redis),
        worker="w",
        groups=[GROUP],
        routes=FakeRoutes(worker_route()),
        troubles=Troubles(),
        may_meet=lambda trouble: trouble.key_id == "own",
        limits=dict,
        gate=Gate(is_open=is_open),
    ).look()
    [standing] = await upkeep_of(redis).standing(GROUP)
    assert standing.waiting == (0 if is_open else 1)
