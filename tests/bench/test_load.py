import asyncio

from bench.deliveries import BODY_BYTES, render
from bench.load import drive


async def _serve(answers: list[bytes]) -> asyncio.Server:
    """A server that gives each request of any connection the next answer; an empty one closes the connection."""
    remaining = iter(answers)
    length = len(render(0).request)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            await reader.readexactly(length - 1)
            answer = next(remaining)
            for byte in answer:  # in pieces, as a slow network would
                writer.write(bytes([byte]))
                await writer.drain()
            if not answer:
                break
        writer.close()

    return await asyncio.start_server(talk, "127.0.0.1", 0)


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


async def _drive(answers: list[bytes], *, requests: int, connections: int) -> tuple[int, dict[str, int]]:
    async with await _serve(answers) as server:
        port = server.sockets[0].getsockname()[1]
        load = await drive(port, [render(n).request for n in range(requests)], connections=connections, limit_s=1)
    return load.acks, dict(+load.failures)


async def test_every_answered_request_counts_once() -> None:
    assert await _drive([_OK] * 7, requests=7, connections=3) == (7, {})


async def test_other_answers_than_200_are_failures_by_status() -> None:
    assert await _drive([_OK, _BUSY, _OK], requests=3, connections=1) == (2, {"503": 1})


async def test_requests_that_a_lost_connection_leaves_behind_are_failures() -> None:
    assert await _drive([_OK, b""], requests=4, connections=1) == (1, {"connection": 3})


def test_deliveries_differ_but_not_in_length() -> None:
    first, second = render(1), render(123456)
    assert first.request != second.request
    assert len(first.request) == len(second.request)
    assert len(first.request.partition(b"\r\n\r\n")[2]) == BODY_BYTES
    assert first.marker.encode() in first.request
