"""A body counts as what arrives, not as what is claimed: lengths, chunks, the cap, the deadline, a leaving sender."""

import asyncio
import time

import pytest

from support.raw_http import chunked, connected, exchange, head, read_answer, whole
from support.receiver_process import OnTheWire
from support.receiving import opened, signed
from support.sample_routes import receiver_route
from support.waiting import until

CAP = 200_000


def sized(size: int) -> bytes:
    """A GitHub payload of exactly so many bytes."""
    return b'{"action":"opened","pull_request":{"title":"%s"}}' % (b"x" * (size - 47))


def of_size(size: int) -> tuple[bytes, bytes]:
    """A signed request's body, and its head that leaves the length to the test."""
    request = signed("github", sized(size), event="pull_request", delivery=f"gh-{size}")
    assert len(request.body) == size
    return request.body, head(request)[: -len(b"\r\n")]


@pytest.mark.parametrize(("size", "status"), [(CAP - 1, 200), (CAP, 200), (CAP + 1, 413)])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_the_cap_is_exact_whichever_way_the_body_comes(
    wire: OnTheWire, size: int, status: int, *, is_chunked: bool
) -> None:
    await wire.serve(receiver_route(max_body_bytes=CAP))
    body, start = of_size(size)
    before = await wire.receipts()
    if is_chunked:
        answer = await exchange(wire.port, start + b"transfer-encoding: chunked\r\n\r\n", *chunked(body, 10_000))
    else:
        answer = await exchange(wire.port, start + b"content-length: %d\r\n\r\n" % size, body)
    assert answer.status == status
    assert answer.headers.get("connection") == ("close" if status == 413 else None)
    outcome = "queued" if status == 200 else "too_large"

    async def is_counted() -> bool:
        return await wire.receipts() - before == {("team-a/triage", outcome, ""): 1}

    await until(is_counted)
    assert len(await wire.queued()) == (1 if status == 200 else 0)


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(wire: OnTheWire) -> None:
    await wire.serve(receiver_route(max_body_bytes=CAP))
    start = of_size(CAP + 1)[1]
    answer = await exchange(wire.port, start + b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % (CAP + 1))
    assert answer.status == 413


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_sender_of_far_too_much_hears_so_although_it_still_sends(wire: OnTheWire, *, is_chunked: bool) -> None:
    await wire.serve(receiver_route(max_body_bytes=CAP))
    start = of_size(CAP)[1]
    framing = b"transfer-encoding: chunked\r\n\r\n" if is_chunked else b"content-length: 6000000\r\n\r\n"
    pieces = chunked(b"x" * 6_000_000, 60_000) if is_chunked else [b"x" * 60_000] * 100
    for _ in range(5):
        answer = await exchange(wire.port, start + framing, *pieces)
        assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_a_body_without_end_ends_with_the_connection(wire: OnTheWire) -> None:
    await wire.serve(receiver_route(max_body_bytes=CAP))

    async def send_for_ever(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"2710\r\n%b\r\n" % (b"x" * 10_000))
            await writer.drain()
            await asyncio.sleep(0.001)

    async with asyncio.timeout(3), connected(wire.port) as (_, writer):
        writer.write(of_size(CAP)[1] + b"transfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(writer)


async def test_a_sender_that_asks_first_is_told_to_go_on(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    async with connected(wire.port) as (reader, writer):
        writer.write(start + b"content-length: 1000\r\nexpect: 100-continue\r\n\r\n")
        assert (await read_answer(reader)).status == 100
        writer.write(body)
        assert (await read_answer(reader)).status == 200


async def test_a_body_in_many_small_pieces_is_put_together(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    pieces = [body[at : at + 50] for at in range(0, 1000, 50)]
    answer = await exchange(wire.port, start + b"content-length: 1000\r\n\r\n", *pieces, pause_s=0.005)
    assert answer.status == 200


async def test_a_body_longer_than_its_length_is_not_this_request_and_proves_nothing(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    answer = await exchange(wire.port, start + b"content-length: 999\r\n\r\n" + body)
    assert answer.status in {400, 401}
    assert await wire.queued() == []


async def test_a_body_shorter_than_its_length_times_out(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    before, started = await wire.receipts(), time.monotonic()
    answer = await exchange(wire.port, start + b"content-length: 1001\r\n\r\n" + body)
    assert (answer.status, answer.headers["connection"], answer.body) == (408, "close", b"")
    assert 0.4 < time.monotonic() - started < 1.5  # this receiver gives half a second
    assert await wire.receipts() - before == {("team-a/triage", "timeout", ""): 1}
    assert await wire.queued() == []


async def test_a_sender_that_drips_its_body_is_cut_off_however_regularly_it_drips(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    drops = [body[at : at + 1] for at in range(1000)]
    started = time.monotonic()
    answer = await exchange(wire.port, start + b"content-length: 1000\r\n\r\n", *drops, pause_s=0.02)
    assert answer.status == 408
    assert time.monotonic() - started < 1.5


async def test_others_are_served_while_many_drip(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    dripping = [
        asyncio.create_task(
            exchange(wire.port, start + b"content-length: 1000\r\n\r\n", *[body[:1]] * 30, pause_s=0.02)
        )
        for _ in range(100)
    ]
    await asyncio.sleep(0.1)
    started = time.monotonic()
    assert (await exchange(wire.port, whole(opened()))).status == 200
    assert time.monotonic() - started < 0.4  # dripping takes half a second
    assert {answer.status for answer in await asyncio.gather(*dripping)} == {408}


async def test_a_sender_that_leaves_in_the_middle_is_counted_and_leaves_nothing(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(1000)
    before = await wire.receipts()
    async with connected(wire.port) as (_, writer):
        writer.write(start + b"content-length: 1000\r\n\r\n" + body[:500])
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    async def is_counted() -> bool:
        return await wire.receipts() - before == {("team-a/triage", "disconnected", ""): 1}

    await until(is_counted)
    assert await wire.queued() == []


@pytest.mark.parametrize(
    "framing",
    [
        "content-length: 48\r\ntransfer-encoding: chunked",
        "content-length: 48\r\ncontent-length: 49",
        "content-length: -48",
        "content-length: 0x30",
        "content-length: 99999999999999999999999",
        "transfer-encoding: chunked, identity",
    ],
)
async def test_a_body_whose_end_is_ambiguous_is_not_http(wire: OnTheWire, framing: str) -> None:
    await wire.serve(receiver_route())
    body, start = of_size(100)
    answer = await exchange(wire.port, start + framing.encode() + b"\r\n\r\n" + body)
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert await wire.queued() == []


async def test_two_requests_in_one_piece_are_both_answered_in_order(wire: OnTheWire) -> None:
    await wire.serve(receiver_route())
    async with connected(wire.port) as (reader, writer):
        writer.write(whole(opened(1)) + whole(opened(2, secret="forged-by-somebody-else")))
        assert [(await read_answer(reader)).status for _ in range(2)] == [200, 401]
