"""The head of a request: its limits, its spelling, and what must stand in it exactly once."""

import asyncio
import time

import pytest

from eventroute_receiver.connection import MAX_HEAD_BYTES
from support.raw_http import TARGET, connected, exchange, head, read_answer, whole
from support.receiver_process import OnTheWire
from support.receiving import opened
from support.sample_routes import receiver_route

LINE = f"POST {TARGET} HTTP/1.1\r\n".encode()


@pytest.fixture
async def served(wire: OnTheWire) -> OnTheWire:
    await wire.serve(receiver_route())
    return wire


async def test_header_names_may_be_spelled_in_any_case(served: OnTheWire) -> None:
    request = whole(opened())
    for name in (b"x-hub-signature-256", b"x-github-event", b"content-length"):
        request = request.replace(name, name.swapcase() if name[0:1] == b"x" else name.title())
    assert (await exchange(served.port, request)).status == 200


async def test_no_content_type_counts_as_json(served: OnTheWire) -> None:
    request = opened()
    request.headers = [(name, value) for name, value in request.headers if name != b"content-type"]
    assert (await exchange(served.port, whole(request))).status == 200


@pytest.mark.parametrize("signature", [dict(opened().headers)[b"x-hub-signature-256"].decode(), "sha256=" + "0" * 64])
async def test_of_two_signatures_neither_is_believed(served: OnTheWire, signature: str) -> None:
    before = await served.receipts()
    answer = await exchange(served.port, whole(opened(), ("X-Hub-Signature-256", signature)))
    assert (answer.status, answer.body) == (401, b"")
    assert await served.receipts() - before == {("team-a/triage", "unauthenticated", "missing_header"): 1}
    assert await served.queued() == []


async def test_a_long_head_is_read_and_a_64_kib_signature_refused_as_one(served: OnTheWire) -> None:
    assert (await exchange(served.port, whole(opened(), ("x-other", "a" * 65_536)))).status == 200
    request = opened(2)
    request.headers = [
        (name, b"sha256=" + b"0" * 65_536 if name == b"x-hub-signature-256" else value)
        for name, value in request.headers
    ]
    assert (await exchange(served.port, whole(request))).status == 401


@pytest.mark.parametrize("start", [b"", b"x-long: "], ids=["one name", "one value"])
@pytest.mark.parametrize("piece", [b"a" * 10_000, b"a: b\r\n" * 2000], ids=["in one line", "in many"])
async def test_a_head_without_end_is_refused_and_counted(served: OnTheWire, start: bytes, piece: bytes) -> None:
    endless = [start, *[piece] * (MAX_HEAD_BYTES // len(piece) + 1)]
    before = await served.receipts()
    answer = await exchange(served.port, LINE, *endless)
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert await served.receipts() - before == {("", "too_large", "head"): 1}


async def test_the_limit_is_of_each_head_not_of_the_connection(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        for number in range(4):
            writer.write(whole(opened(number), ("x-other", "a" * (MAX_HEAD_BYTES // 2))))
            assert (await read_answer(reader)).status == 200


async def test_a_head_that_drips_is_cut_off(served: OnTheWire) -> None:
    before, started = await served.receipts(), time.monotonic()
    answer = await exchange(served.port, LINE, *[b"x-a: b\r\n"] * 200, pause_s=0.02)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert time.monotonic() - started < 1.5  # this receiver gives half a second
    assert await served.receipts() - before == {("", "timeout", "head"): 1}


async def test_the_second_head_of_a_connection_has_the_same_time(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        writer.write(whole(opened()) + LINE)
        assert [(await read_answer(reader)).status for _ in range(2)] == [200, 408]


async def test_between_two_requests_no_head_is_waited_for(served: OnTheWire) -> None:
    async with connected(served.port) as (reader, writer):
        for number in range(2):
            writer.write(whole(opened(number)))
            assert (await read_answer(reader)).status == 200
            await asyncio.sleep(0.8)  # longer than this receiver gives a head
        assert not reader.at_eof()


async def test_a_connection_that_says_nothing_is_closed_and_is_no_request(served: OnTheWire) -> None:
    before = await served.receipts()
    with pytest.raises(ConnectionError):
        await exchange(served.port, timeout_s=2)
    assert await served.receipts() == before


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"BREW /hooks HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n \r\n\r\n"],
)
async def test_what_is_not_http_is_refused_and_counted(served: OnTheWire, junk: bytes) -> None:
    before = await served.receipts()
    assert (await exchange(served.port, junk)).status == 400
    assert await served.receipts() - before == {("", "unsupported", "malformed"): 1}


@pytest.mark.parametrize("host", [b"a b", b"169.254.169.254", b"other.example:1"])
async def test_the_host_header_decides_nothing(served: OnTheWire, host: bytes) -> None:
    request = whole(opened(int.from_bytes(host[:4])))
    assert (await exchange(served.port, request.replace(b"hooks.example.com", host))).status == 200


async def test_an_upgrade_is_not_taken_up(served: OnTheWire) -> None:
    upgrade = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "x"))
    answer = await exchange(served.port, head(opened(), *upgrade))
    assert answer.status == 401  # no body belongs to it, so no signature fits


async def test_http_1_0_is_answered_and_closed(served: OnTheWire) -> None:
    answer = await exchange(served.port, whole(opened()).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (answer.status, answer.headers["connection"]) == (200, "close")
