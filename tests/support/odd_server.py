"""An HTTP server that answers by bytes, well or badly, and tells which connections and requests it had."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from support.certificates import Certified


@dataclass(frozen=True)
class Asked:
    """One request as it stood on the wire."""

    line: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    server_name: str | None
    """That TLS named before."""


Play = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request; the connection is kept unless it closes it."""


@dataclass
class OddServer:
    """What it had to do with."""

    port: int
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)


def answer(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> Play:
    """Answer each request alike, with its length."""

    async def play(_: Asked, writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
        writer.write(head.encode() + body)
        await writer.drain()

    return play


@contextlib.asynccontextmanager
async def odd_server(
    play: Play, *, certified: Certified | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[OddServer]:
    """Run it while the block runs, with TLS if it is given a certificate."""
    names: dict[int, str | None] = {}
    context = _tls(certified, names) if certified else None
    found = OddServer(0)
    under_way: set[asyncio.Task[Any]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            under_way.add(task)
        found.connections += 1
        try:
            while asked := await _read(reader, names.get(id(writer.get_extra_info("ssl_object")))):
                found.asked.append(asked)
                await play(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test is over, or whoever asked has left
        finally:
            under_way.difference_update({task})
            writer.transport.abort()

    server = await asyncio.start_server(take, host, 0, ssl=context)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _tls(certified: Certified, names: dict[int, str | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)

    def note(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        names[id(connection)] = name

    context.sni_callback = note
    return context


async def _read(reader: asyncio.StreamReader, server_name: str | None) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(line, headers, body, server_name)
