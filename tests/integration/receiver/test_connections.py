"""What goes on in a connection ends by itself, and so many connections and bytes of bodies there may be at once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from eventroute.sealed import SealKey, new_key_text
from eventroute_receiver.connection import MAX_FRAMING_BYTES
from support.raw_http import TARGET, chunked, connected, exchange, head, read_answer, whole
from support.receiver_process import OnTheWire, receiver_process
from support.receiving import opened, pull_request, signed
from support.sample_routes import receiver_route
from support.waiting import until

CHUNKED = ("transfer-encoding", "chunked")
UNKNOWN = "/hooks/team-a/nobody"


@pytest.fixture
async def served(wire: OnTheWire) -> OnTheWire:
    await wire.serve(receiver_route())
    return wire


@contextlib.asynccontextmanager
async def _limited(tmp_path: Path, valkey_url: str, redis: Redis, **settings: Any) -> AsyncIterator[OnTheWire]:
    key = new_key_text()
    with receiver_process(tmp_path, valkey_url, key, **settings) as process:
        await redis.flushall()
        wire = OnTheWire(process, redis, SealKey.from_text(key))
        await wire.serve(receiver_route())
        yield wire


async def _is_closed(reader: asyncio.StreamReader, *, within_s: float = 3) -> bool:
    """Tell whether the other side closes, whatever it still says."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(within_s):
            await reader.read()
    return True


async def test_trailers_are_dropped_and_the_request_is_taken(served: OnTheWire) -> None:
    request = opened()
    *chunks, _ = chunked(request.body, 10)
    answer = await exchange(served.port, head(request, CHUNKED), *chunks, b"0\r\nx-github-event: push\r\n\r\n")
    assert answer.status == 200
    [name] = await served.queued()
    stored = await served.redis.hget(f"er:{{g0}}:d:{name}", "body")
    assert b'"pull_request.opened"' in stored
    assert b'"push"' not in stored


@pytest.mark.parametrize(
    ("line", "target"),
    [(b"x: " + b"y" * 8000 + b"\r\n", TARGET), (b"y" * 8000, TARGET), (b"x: " + b"y" * 8000 + b"\r\n", UNKNOWN)],
    ids=["in many lines", "in one", "to nowhere"],
)
async def test_trailers_without_end_close_the_connection(served: OnTheWire, line: bytes, target: str) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(head(opened(), CHUNKED, target=target) + b"2\r\n{}\r\n0\r\nx: ")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 100 * MAX_FRAMING_BYTES and not reader.at_eof():
                writer.write(line)
                await writer.drain()
                sent += len(line)
                await asyncio.sleep(0)
        assert sent < 100 * MAX_FRAMING_BYTES
        assert await _is_closed(reader)


async def test_what_is_written_beside_chunks_has_an_end(served: OnTheWire) -> None:
    before = await served.receipts()
    async with connected(served.port) as (reader, writer):
        writer.write(head(opened(), CHUNKED))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                writer.write(b"1;" + b"e" * 8000 + b"\r\n{\r\n")
                await writer.drain()
                await asyncio.sleep(0)
        assert await _is_closed(reader)
    assert await served.receipts() - before == {("team-a/triage", "disconnected", ""): 1}, "not by the clock"


async def test_small_chunks_are_no_reason_to_close(served: OnTheWire) -> None:
    request = opened()
    assert (await exchange(served.port, head(request, CHUNKED), *chunked(request.body, 1))).status == 200


async def test_after_an_early_answer_the_rest_of_a_body_is_not_waited_for(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(head(opened(), ("content-length", "1000000"), target=UNKNOWN) + b"{")
        assert (await read_answer(reader)).status == 404
        dripping = asyncio.create_task(_drip(writer, b"{"))
        assert await _is_closed(reader)
        dripping.cancel()


async def test_a_body_that_comes_soon_after_its_early_answer_costs_nobody_the_connection(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(head(opened(), ("content-length", "2"), target=UNKNOWN))
        assert (await read_answer(reader)).status == 404
        writer.write(b"{}" + whole(opened()))
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(0.8)  # longer than such a body is waited for
        writer.write(whole(opened(2)))
        assert (await read_answer(reader)).status == 200


async def test_requests_behind_an_early_answer_are_answered_in_order(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(whole(opened(), target=UNKNOWN) + whole(opened(1)) + whole(opened(2))[:-1])
        assert [(await read_answer(reader)).status for _ in range(2)] == [404, 200]
        writer.write(whole(opened(2))[-1:])
        assert (await read_answer(reader)).status == 200


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)


async def test_an_idle_connection_is_closed_also_where_line_breaks_come(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    limited = _limited(tmp_path, valkey_url, redis, idle_timeout_s=1)
    async with limited as wire, connected(wire.port) as (reader, writer):
        writer.write(whole(opened()))
        assert (await read_answer(reader)).status == 200
        dripping = asyncio.create_task(_drip(writer, b"\r\n"))
        assert await _is_closed(reader)
        dripping.cancel()


async def test_an_idle_connection_outlives_those_of_the_usual_proxies(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(whole(opened()))
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(5.5)  # uvicorn's own patience
        writer.write(whole(opened(2)))
        assert (await read_answer(reader)).status == 200


async def test_above_the_limit_of_connections_a_sender_is_told_to_come_back(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    async with _limited(tmp_path, valkey_url, redis, max_connections=2) as wire:
        async with connected(wire.port) as (reader, writer), connected(wire.port):
            writer.write(whole(opened(1)))
            assert (await read_answer(reader)).status == 200
            before = await wire.receipts()
            answer = await exchange(wire.port, whole(opened(2)))
            assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "5", "close")
            assert await wire.receipts() - before == {("", "unavailable", "connections"): 1}
            writer.write(whole(opened(3)))
            assert (await read_answer(reader)).status == 200  # those that are there go on
        assert (await exchange(wire.port, whole(opened(2)))).status == 200
        assert len(await wire.queued()) == 3


async def test_all_bodies_together_are_bounded_and_what_was_read_of_one_is_given_back(
    tmp_path: Path, valkey_url: str, redis: Redis
) -> None:
    async with _limited(tmp_path, valkey_url, redis, max_bytes_in_flight=100_000) as wire:
        async with connected(wire.port) as (reader, writer):
            writer.write(head(opened(), ("content-length", "200000")) + b" " * 90_000)
            await asyncio.sleep(0.2)  # the receiver has read it
            before = await wire.receipts()
            answer = await exchange(wire.port, head(opened(), ("content-length", "20000")) + b" " * 20_000)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert await wire.receipts() - before == {("team-a/triage", "unavailable", "bodies"): 1}
            assert (await exchange(wire.port, whole(opened(1)))).status == 200  # a small one has room
            writer.write(b" " * 20_000)
            assert (await read_answer(reader)).status == 503
        for number in range(2, 5):
            request = signed(
                "github", {**pull_request(number), "text": "x" * 60_000}, event="pull_request", delivery=f"gh-{number}"
            )
            assert (await exchange(wire.port, whole(request))).status == 200


def _stumbles(wire: OnTheWire) -> list[str]:
    return [line for line in wire.receiver.log_lines() if "Exception in ASGI application" in line]


async def test_a_sender_that_leaves_while_two_requests_wait_is_counted_for_the_first(served: OnTheWire) -> None:
    before, stumbles = await served.receipts(), _stumbles(served)
    await served.redis.execute_command("CLIENT", "PAUSE", 500, "WRITE")
    async with connected(served.port) as (_, writer):
        writer.write(whole(opened(1)) + whole(opened(2)))
        await asyncio.sleep(0.1)
    await until(lambda: _counts(served, before, 1))
    assert await served.receipts() - before == {("team-a/triage", "queued", ""): 1}
    assert len(await served.queued()) == 1
    assert _stumbles(served) == stumbles


async def _counts(wire: OnTheWire, before: Counter[tuple[str, str, str]], number: int) -> bool:
    return (await wire.receipts() - before).total() >= number
