"""An end that Redis forbids to write is told and counted, and tried again ever more slowly; the delivery stays ours."""

from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.acl import rules
from eventroute.outcome import DeadReason
from eventroute.runtime.metrics import REGISTRY
from eventroute.runtime.redis import connect
from eventroute_worker import worker as worker_module
from eventroute_worker.attempt import End, Settled, dead
from support.acl_users import PASSWORD, AclUsers, acl_users
from support.queue import GROUP, admit_job, depth, fields, lease, state
from support.runs import PATH
from support.waiting import until
from support.worker import DONE, Recorder, running, until_empty

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclUsers]:
    with acl_users(tmp_path_factory.mktemp("acl")) as users:
        yield users


@pytest.fixture
async def admin(server: AclUsers) -> AsyncIterator[Redis]:
    async with connect(server.admin) as redis:
        await redis.flushall()
        yield redis


async def _allow(admin: Redis, *, without: str = "") -> None:
    """Give the worker its rights, or all but one command."""
    rule = rules()["worker"]
    if without:
        assert f"+{without} " in rule or f"+{without})" in rule
        rule = rule.replace(f" +{without} ", " ").replace(f" +{without})", ")")
    parts, inside, depth_ = [], "", 0
    for word in rule.split(" "):
        depth_ += word.count("(") - word.count(")")
        inside = f"{inside} {word}".strip()
        if not depth_:
            parts.append(inside)
            inside = ""
    await admin.execute_command("ACL", "SETUSER", "worker", "reset", "on", f">{PASSWORD}", *parts)


def _refused() -> float:
    return REGISTRY.get_sample_value("eventroute_worker_ends_refused_total") or 0


@pytest.mark.parametrize("command", ["pexpire", "hstrlen"])
@pytest.mark.parametrize("end", [DONE, dead(DeadReason.RENDER, "x")], ids=["succeeded", "dead"])
async def test_the_delivery_does_not_run_again_and_ends_once_the_right_is_given(
    server: AclUsers,
    admin: Redis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    end: End,
) -> None:
    assert isinstance(end, Settled)
    monkeypatch.setattr(worker_module, "_REFUSED_S", (0.05, 0.2))
    handler, before = Recorder(end), _refused()
    name = await admit_job(admin, "d-1")
    await _allow(admin, without=command)
    async with connect(server.url("worker")) as redis, running(redis, handler, lease_s=0.6):
        await until(lambda: _refused() >= before + 4)
        assert await state(admin, name) != "gone"
        assert await redis.zscore(GROUP.running, name) is not None
        assert await depth(admin) == 1
        with pytest.raises(IndexError):
            await lease(admin, worker="other")
        await _allow(admin)
        await until_empty(admin)
    assert len(handler.attempts) == 1
    found = await fields(admin, name)
    assert (found["outcome"], found["fence"]) == (end.outcome, "1")
    for key in (GROUP.usage, GROUP.route(PATH)):
        assert await admin.hmget(key, "depth", "bytes") == [b"0", b"0"]
    letters = len(found["body"]) if end.outcome == "dead" else 0
    assert int(await admin.hget(GROUP.route(PATH), "dead_bytes") or 0) == letters
    told = [line for line in capsys.readouterr().out.splitlines() if "end_refused_by_redis" in line]
    assert len(told) >= 4
    assert all(name in line for line in told)


async def test_the_pause_between_two_tries_doubles_up_to_its_bound(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(worker_module, "_REFUSED_S", (0.01, 0.08))
    async with running(redis, Recorder()) as worker:
        original = worker._first_of

        async def noting(*waiting: Any) -> None:
            frame = getattr(waiting[0], "cr_frame", None)
            if frame is not None and "delay" in frame.f_locals and frame.f_locals["delay"] < 0.5:
                slept.append(frame.f_locals["delay"])
            await original(*waiting)

        monkeypatch.setattr(worker, "_first_of", noting)
        await redis.set(GROUP.finished("bodies", PATH), "no set")
        await admit_job(redis, "d-1")
        await until(lambda: len(slept) >= 6)
        await redis.delete(GROUP.finished("bodies", PATH))
        await until_empty(redis)
    assert slept[:6] == [0.01, 0.02, 0.04, 0.08, 0.08, 0.08]
    assert all(second >= first for first, second in pairwise(slept))
