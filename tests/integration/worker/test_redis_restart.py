"""Redis goes away and comes back: the worker stays, and no delivery is lost or run twice."""

import asyncio
from pathlib import Path

import pytest

from eventroute.runtime.redis import connect
from eventroute_cli.local.processes import free_port
from eventroute_worker.attempt import Attempt, End
from support.queue import GROUP, admit_job
from support.valkey import valkey_server
from support.worker import DONE, Recorder, record, running, until_empty

pytestmark = pytest.mark.real


async def test_an_idle_worker_comes_back(tmp_path: Path) -> None:
    port = free_port()
    client = connect(f"redis://127.0.0.1:{port}/0")
    handler = Recorder()
    async with running(client, handler):
        await asyncio.sleep(0.3)  # it starts before Redis does
        for round_ in range(2):
            with valkey_server(tmp_path, port=port):
                await admit_job(client, f"d-{round_}")
                await until_empty(client)
            await asyncio.sleep(0.3)
    await client.aclose()
    assert [attempt.delivery for attempt in handler.attempts] == ["d-0", "d-1"]


async def test_a_delivery_that_ends_while_redis_is_away_is_settled_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    client = connect(f"redis://127.0.0.1:{port}/0")
    started, finish = asyncio.Event(), asyncio.Event()
    attempts: list[Attempt] = []

    async def handler(attempt: Attempt) -> End:
        attempts.append(attempt)
        started.set()
        await finish.wait()
        return DONE

    async with running(client, handler, grace_s=10):
        with valkey_server(tmp_path, port=port, append_only=True):
            name = await admit_job(client, "d-1")
            await started.wait()
        finish.set()
        await asyncio.sleep(0.5)
        with valkey_server(tmp_path, port=port, append_only=True):
            await until_empty(client)
            assert (await record(client, name))["outcome"] == "succeeded"
            assert await client.exists(GROUP.running) == 0
            await client.aclose()
    assert len(attempts) == 1
