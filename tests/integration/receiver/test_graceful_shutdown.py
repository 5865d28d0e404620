"""Asked to stop, a receiver accepts nothing more, answers what it has begun to read, and leaves with code 0."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.local.processes import is_listening
from support.raw_http import connected, head, read_answer, whole
from support.receiver_process import OnTheWire, receiver_process
from support.receiving import opened
from support.sample_routes import receiver_route
from support.waiting import until


@pytest.fixture
async def stoppable(tmp_path: Path, valkey_url: str, redis: Redis) -> AsyncIterator[OnTheWire]:
    """A receiver of this test alone."""
    key = new_key_text()
    with receiver_process(tmp_path, valkey_url, key, shutdown_grace_s=2) as process:
        wire = OnTheWire(process, redis, SealKey.from_text(key))
        await wire.serve(receiver_route())
        yield wire


async def ended(wire: OnTheWire) -> int:
    await until(lambda: wire.receiver.process.poll() is not None)
    return int(wire.receiver.process.returncode)


async def test_what_is_in_flight_is_answered_and_what_is_answered_is_queued(stoppable: OnTheWire) -> None:
    async with contextlib.AsyncExitStack() as held:
        connections = [await held.enter_async_context(connected(stoppable.port)) for _ in range(10)]
        for number, (_, writer) in enumerate(connections):
            request = opened(number)
            writer.write(head(request, ("content-length", str(len(request.body)))) + request.body[:10])
        await asyncio.sleep(0.1)
        stoppable.receiver.terminate()
        await until_draining(stoppable)
        await until(lambda: not is_listening(stoppable.port))
        answers = []
        for number, (reader, writer) in enumerate(connections):
            writer.write(opened(number).body[10:])
            answers.append(await read_answer(reader))
    assert {(answer.status, answer.headers["connection"]) for answer in answers} == {(200, "close")}
    assert {json.loads(answer.body)["delivery"] for answer in answers} == set(await stoppable.queued())
    assert await ended(stoppable) == 0


async def until_draining(wire: OnTheWire) -> None:
    async with httpx.AsyncClient(base_url=wire.receiver.probe_url) as probes:

        async def is_draining() -> bool:
            return (await probes.get("/readyz")).status_code == 503

        await until(is_draining)
        assert (await probes.get("/livez")).status_code == 200


async def test_idle_connections_do_not_keep_it(stoppable: OnTheWire) -> None:
    async with connected(stoppable.port) as (reader, writer):
        writer.write(whole(opened()))
        assert (await read_answer(reader)).status == 200
        started = time.monotonic()
        stoppable.receiver.terminate()
        assert await ended(stoppable) == 0
        assert time.monotonic() - started < 2
        assert await reader.read() == b""


async def test_a_sender_that_never_finishes_keeps_it_no_longer_than_the_grace(stoppable: OnTheWire) -> None:
    async with connected(stoppable.port) as (_, writer):
        writer.write(head(opened(), ("content-length", "1000")))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        stoppable.receiver.terminate()
        assert await ended(stoppable) == 0
        assert time.monotonic() - started < 4


async def test_a_second_signal_changes_nothing(stoppable: OnTheWire) -> None:
    stoppable.receiver.terminate()
    stoppable.receiver.terminate()
    assert await ended(stoppable) == 0


async def test_every_line_of_its_log_is_json_from_start_to_stop(stoppable: OnTheWire) -> None:
    stoppable.receiver.terminate()
    await ended(stoppable)
    lines = [json.loads(line) for line in stoppable.receiver.log_lines()]
    assert {line["program"] for line in lines} == {"receiver"}
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("receiver_started", "receiver_stopped")
