"""Whatever becomes of a sink, or of the worker between two steps, each answer is there in the end, and once.

Slack alone has it twice where it took the message and nobody heard so: it knows no key.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.ids import DeliveryId
from eventroute.outbound import OutboundRules
from eventroute.outcome import SENT
from eventroute.queue import Desk, State, Wanted, scripts
from eventroute.route_table import WORKER
from eventroute.runtime.scripts import Argument, Caller, ClientCaller, RedisAway, Script
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_worker.attempt import End, Handler, Later, Settled
from eventroute_worker.outbound import Answer, Bounds, Outbound, Request
from eventroute_worker.sinks.databases import Databases
from support.destinations import KINDS, Destination, delivery_of_github, destination
from support.doomed_worker import Doom, Step
from support.front import RETRY_AFTER_S, Fault
from support.postgres import TABLE, Postgres, own_postgres
from support.queue import GROUP, admit, clock_ms, run_all_out, work_on
from support.runs import FakeClaude, FakeRoutes
from support.sending import build_handler, make_attempts

pytestmark = pytest.mark.real

TESTS = Path(__file__).parents[2]
SLACK = ("slack by webhook", "slack by app")


class Hasty(Outbound):
    """Waits for half a second."""

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        return await super().send(request, replace(bounds, deadline_s=0.5))


class Host:
    """A process that forks workers which are to die."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": str(TESTS)}
        command = [sys.executable, "-m", "support.doomed_worker"]
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def fork(self, doom: Doom) -> int:
        """Start a worker; returns its process id."""
        assert self.process.stdin
        self.process.stdin.write(msgspec.json.encode(doom) + b"\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> int:
        """Read the next number that it says."""
        assert self.process.stdout
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    found = Host()
    with found.process:
        yield found
        assert found.process.stdin
        found.process.stdin.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with own_postgres() as found:
        found.let_in("host all all 127.0.0.1/32 scram-sha-256")
        found.do(TABLE)
        found.do("GRANT SELECT, INSERT, UPDATE ON eventroute_answers TO eventroute")
        yield found


@pytest.fixture
def postgres(server: Postgres) -> Postgres:
    server.do("TRUNCATE eventroute_answers")
    return server


@contextlib.asynccontextmanager
async def handling(
    redis: Redis, place: Destination, claude: FakeClaude | None = None, *, call: Caller | None = None
) -> AsyncIterator[Handler]:
    """Make what runs deliveries, and sends to a place without much patience."""
    async with (
        Hasty(OutboundRules(mode="dev")) as way,
        Databases(way, deadline_s=0.5, rest_s=0) as databases,
    ):
        routes = FakeRoutes(*place.routes)
        yield build_handler(redis, routes, way, call=call, claude=claude, databases=databases, slack=place.slack)


async def send(redis: Redis, handler: Handler) -> End:
    """Make an attempt at the one that there is."""
    [end] = await make_attempts(work_on(redis), handler)
    return end


async def finish(redis: Redis, handler: Handler) -> None:
    """Let time pass, and all be done that is left."""
    for _ in range(20):
        if not int(await redis.hget(GROUP.usage, "depth") or 0):
            break
        if paces := await redis.keys(GROUP.pace("*")):
            await redis.delete(*paces)
        await make_attempts(work_on(redis), handler)
    assert int(await redis.hget(GROUP.usage, "depth") or 0) == 0
    assert list((await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))).lines) == []


WAITS = "waits"
"""As long as it is asked to, at no cost; then it is there once."""
TWICE = "waits, is there, and comes again"
TAKEN = "counts as taken"
LOST = "counts as taken, and is not there"

FAULTS = {
    Fault.LIMITED_FOR: dict.fromkeys(KINDS[:4], WAITS),
    Fault.LIMITED: dict.fromkeys(KINDS[:4], WAITS),
    Fault.BROKEN: dict.fromkeys(KINDS[:4], WAITS),
    # A service of a team's own may answer with a page; only the status counts.
    Fault.PAGE: {**dict.fromkeys(KINDS[1:5], WAITS), "http": LOST},
    Fault.BAD_GATEWAY: dict.fromkeys(KINDS[:4], WAITS),
    Fault.HANGS: {**dict.fromkeys(KINDS[:5], WAITS), **dict.fromkeys(SLACK, TWICE)},
    Fault.CUT_IN_HEAD: {**dict.fromkeys(KINDS[:5], WAITS), **dict.fromkeys(SLACK, TWICE)},
    # The head has said that it was taken.
    Fault.CUT_IN_BODY: dict.fromkeys(KINDS[:4], TAKEN),
}


@pytest.mark.parametrize(
    ("kind", "fault", "becomes"),
    [(kind, fault, becomes) for fault, kinds in FAULTS.items() for kind, becomes in kinds.items()],
)
async def test_an_answer_that_meets_a_fault(
    redis: Redis, postgres: Postgres, kind: str, fault: Fault, becomes: str
) -> None:
    claude = FakeClaude()
    async with (
        destination(kind, redis=redis, postgres=postgres) as place,
        handling(redis, place, claude) as handler,
    ):
        assert place.front
        await admit(redis, delivery_of_github())
        await send(redis, handler)
        place.front.fault = fault
        end = await send(redis, handler)
        if becomes in {TAKEN, LOST}:
            assert isinstance(end, Settled)
            assert end.outcome == SENT
        else:
            assert isinstance(end, Later), end
            assert not end.counts
            assert end.delay_s >= (RETRY_AFTER_S if fault is Fault.LIMITED_FOR else 0)
        if fault is Fault.LIMITED_FOR:
            again = await send(redis, handler)
            assert isinstance(again, Later)
            assert again.detail.startswith("waits for its turn"), "it is left alone meanwhile"
        place.front.fault = None
        await finish(redis, handler)
        assert len(await place.there()) == {TWICE: 2, LOST: 0}.get(becomes, 1)
        assert len(claude.asked) == 1


async def test_a_changed_message_whose_receipt_is_cut_is_known_to_say_what_is_newer(
    redis: Redis, postgres: Postgres
) -> None:
    async with destination("slack by app", redis=redis, postgres=postgres) as place, handling(redis, place) as handler:
        assert place.front
        place.front.writes = b"POST /api/chat.update"
        now_ms = await clock_ms(redis)
        for name, later_ms, fault in (("d-1", 0, None), ("d-2", 200, Fault.CUT_IN_BODY), ("d-3", 100, None)):
            await admit(redis, delivery_of_github(name))
            await redis.hset(GROUP.delivery(DeliveryId(name)), "at", now_ms + later_ms)
            place.front.fault = fault
            await finish(redis, handler)
        assert await place.there() == ["Answer 2."]


class Lossy:
    """Calls scripts, and loses the answer to the first admission."""

    def __init__(self, call: Caller) -> None:
        self._call = call
        self._has_lost = False

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        found = await self._call(script, key, args)
        if script is scripts.ADMIT and not self._has_lost:
            self._has_lost = True
            raise RedisAway("LOST", "the connection broke")
        return found


async def test_a_hand_over_whose_receipt_is_lost_is_there_once(redis: Redis, postgres: Postgres) -> None:
    async with destination("route", redis=redis, postgres=postgres) as place:
        call = Lossy(ClientCaller(redis))
        async with handling(redis, place, call=call) as handler:
            await admit(redis, delivery_of_github())
            await send(redis, handler)
            with pytest.raises(RedisAway):
                await send(redis, handler)
            assert len(await place.there()) == 1
            await run_all_out(redis)
            await finish(redis, handler)
        assert len(await place.there()) == 1


KILLED = {
    Step.HANDED_OVER: dict.fromkeys(KINDS, 1),
    Step.TAKEN_UP: dict.fromkeys(KINDS, 1),
    Step.SENT: {**dict.fromkeys(KINDS, 1), **dict.fromkeys(SLACK, 2)},
    Step.HEARD: {**dict.fromkeys(KINDS, 1), **dict.fromkeys(SLACK, 2)},
    Step.MARKED: {"slack by app": 1},
    Step.SETTLED: dict.fromkeys(KINDS, 1),
}
"""After which step, and how often the answer is there then, by the kind of sink."""


@pytest.mark.parametrize(
    ("kind", "step", "times"),
    [(kind, step, times) for step, kinds in KILLED.items() for kind, times in kinds.items()],
)
async def test_a_worker_that_is_killed_between_two_steps_is_stood_in_for(
    redis: Redis, valkey_url: str, postgres: Postgres, host: Host, kind: str, step: Step, times: int
) -> None:
    async with destination(kind, redis=redis, postgres=postgres) as place:
        table_key = new_key_text()
        entries = {entry.path: entry for entry in place.routes}
        await publish(redis, WORKER, entries, SealKey.from_text(table_key))
        await admit(redis, delivery_of_github())
        is_cut_off = step is Step.SENT and place.front is not None
        if place.front and is_cut_off:
            place.front.fault = Fault.HANGS
        pid = await asyncio.to_thread(host.fork, Doom(valkey_url, table_key, list(entries), place.slack, step))
        if place.front and is_cut_off:
            await asyncio.wait_for(place.front.has_heard.wait(), 10)
            os.kill(pid, signal.SIGKILL)
            place.front.fault = None
        assert await asyncio.to_thread(host.read) == signal.SIGKILL
        claude = FakeClaude()
        await run_all_out(redis)
        async with handling(redis, place, claude) as handler:
            await finish(redis, handler)
        assert len(await place.there()) == times
        assert len(claude.asked) == (1 if kind == "route" else 0), "only the other route asks"
    assert await redis.hexists(GROUP.delivery(DeliveryId("d-1")), "sink:out" if kind != "route" else "sink:to-escalate")
