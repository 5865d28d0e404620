"""A Redis that says "not now", at whatever step: the answer is kept and never asked for again, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.prompt import Prompt
from eventroute.queue import Work
from eventroute.route_table import ModelCall
from eventroute.runtime.link import LinkedRedis
from eventroute.runtime.scripts import Argument, Caller, ClientCaller, Script
from eventroute.secret import Secret
from eventroute_worker import patience
from eventroute_worker import worker as worker_module
from eventroute_worker.answer import Reply
from support.queue import admit, dead_letters, fields
from support.redis_link import Scripted, linked
from support.runs import FakeClaude, build_runner, results, sample_delivery
from support.worker import running, until_empty

pytestmark = pytest.mark.real

NAME = sample_delivery().id
SAID = {
    "NOREPLICAS": "Not enough good replicas to write.",
    "MISCONF": "Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "OOM": "command not allowed when used memory > 'maxmemory'.",
    "LOADING": "Valkey is loading the dataset in memory",
    "READONLY": "You can't write against a read only replica.",
    "MASTERDOWN": "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "The cluster is down",
    "BUSY": "Valkey is busy running a script.",
}


@pytest.fixture(autouse=True)
def _is_hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSE_S", 0.02)
    monkeypatch.setattr(worker_module, "_REDIS_AWAY_S", 0.02)


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """A server that takes connections and refuses every script; the test says how."""
    async with Scripted(lambda _: b"+PONG\r\n").serving() as server:
        yield server


class Disturbed:
    """Calls of one script go to a server that refuses them, the first few times."""

    def __init__(self, good: Caller, bad: Caller, script: str, *, times: int) -> None:
        self.left = times
        self._good, self._bad, self._script = good, bad, script

    def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Awaitable[Any]:
        if script.name == self._script and self.left:
            self.left -= 1
            return self._bad(script, key, args)
        return self._good(script, key, args)


async def _assert_answered_once(redis: Redis, claude: FakeClaude) -> None:
    found = await fields(redis, NAME)
    assert (found["outcome"], found["attempts"]) == ("succeeded", "1")
    assert len(claude.asked) == 1
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:results"]
    assert await dead_letters(redis) == []


@pytest.mark.parametrize("word", SAID)
@pytest.mark.parametrize("script", ["begin", "save", "stream", "settle"])
async def test_no_answer_is_lost_or_asked_for_again(redis: Redis, server: Scripted, script: str, word: str) -> None:
    def refuse(command: list[bytes]) -> bytes:
        is_script = command[0] in {b"EVAL", b"EVALSHA"}
        return f"-{word} {SAID[word]}\r\n".encode() if is_script else b"+PONG\r\n"

    server.reply = refuse
    claude = FakeClaude()
    async with linked(server.url) as link:
        assert await link.until_up(5)
        call = Disturbed(ClientCaller(redis), ClientCaller(LinkedRedis(link)), script, times=3)
        await admit(redis, sample_delivery())
        async with running(redis, build_runner(redis, claude=claude, call=call), work=Work(call)):
            await until_empty(redis)
    assert call.left == 0
    await _assert_answered_once(redis, claude)


Change = Callable[[Redis], Awaitable[Any]]


async def _needs_replicas(redis: Redis) -> None:
    await redis.config_set("min-replicas-to-write", 1)


async def _needs_none(redis: Redis) -> None:
    await redis.config_set("min-replicas-to-write", 0)


async def _is_replica(redis: Redis) -> None:
    await redis.replicaof("127.0.0.1", "1")


async def _is_primary(redis: Redis) -> None:
    await redis.replicaof("NO", "ONE")


class Outage(FakeClaude):
    """While Claude thinks, something happens to Redis."""

    def __init__(self, begin: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.has_answered = asyncio.Event()
        self._begin = begin

    async def ask(self, call: ModelCall, prompt: Prompt, *, api_key: Secret | None) -> Reply:
        await self._begin()
        reply = await super().ask(call, prompt, api_key=api_key)
        self.has_answered.set()
        return reply


@pytest.mark.parametrize(
    ("begin", "end"), [(_needs_replicas, _needs_none), (_is_replica, _is_primary)], ids=["NOREPLICAS", "READONLY"]
)
@pytest.mark.parametrize(("lease_s", "outage_s"), [(15, 0.6), (0.3, 1.2)], ids=["within the lease", "beyond the lease"])
async def test_an_answer_that_comes_while_redis_takes_no_writes_is_kept(
    redis: Redis, begin: Change, end: Change, lease_s: float, outage_s: float
) -> None:
    claude = Outage(lambda: begin(redis))
    await admit(redis, sample_delivery())
    try:
        async with running(redis, build_runner(redis, claude=claude), lease_s=lease_s, grace_s=10):
            await claude.has_answered.wait()
            await asyncio.sleep(outage_s)
            assert len(claude.asked) == 1
            await end(redis)
            await until_empty(redis)
    finally:
        await end(redis)
    assert len(claude.asked) == 1
    assert (await fields(redis, NAME))["outcome"] == "succeeded"
    assert [entry["idempotency_key"] for entry in await results(redis)] == ["d-1:results"]
