"""HTTP as bytes on a socket: what no well-behaved client would send, and each answer as it stood on the wire."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from eventroute.schemes import Request

TARGET = "/hooks/team-a/triage"


@dataclass(frozen=True)
class RawAnswer:
    """One response; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def head(request: Request, *extra: tuple[str, str], target: str = TARGET, method: str = "") -> bytes:
    """Write a request's head, without any Content-Length: the test says how long the body claims to be."""
    lines = [f"{method or request.method} {target} HTTP/1.1".encode(), b"host: hooks.example.com"]
    lines += [name + b": " + value for name, value in request.headers]
    lines += [f"{name}: {value}".encode() for name, value in extra]
    return b"\r\n".join([*lines, b"", b""])


def whole(request: Request, *extra: tuple[str, str], target: str = TARGET, method: str = "") -> bytes:
    """Write a request with its honest Content-Length."""
    length = ("content-length", str(len(request.body)))
    return head(request, length, *extra, target=target, method=method) + request.body


def chunked(body: bytes, size: int) -> Sequence[bytes]:
    """Cut a body into chunks of `Transfer-Encoding: chunked`, with the last one that ends it."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Hold a connection while the block runs; what was not sent by then is dropped."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(port: int, *pieces: bytes, pause_s: float = 0, timeout_s: float = 10) -> RawAnswer:
    """Send the pieces on a connection of their own, and read one answer; raises `ConnectionError` when none comes."""
    async with asyncio.timeout(timeout_s), connected(port) as (reader, writer):
        sending = asyncio.create_task(_send(writer, pieces, pause_s))
        try:
            return await read_answer(reader)
        finally:
            sending.cancel()


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> RawAnswer:
    """Read one response; raises `ConnectionError` when the other side closes before it is complete."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)) if has_body else 0)
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("closed without an answer") from error
    return RawAnswer(int(lines[0].split(" ")[1]), headers, body)


async def _send(writer: asyncio.StreamWriter, pieces: Sequence[bytes], pause_s: float) -> None:
    for piece in pieces:
        writer.write(piece)
        try:
            await writer.drain()
        except ConnectionError:
            return  # answered and closed before all was sent: the answer is what counts
        await asyncio.sleep(pause_s)
