"""What stands before a service: it carries all, or does to what is written there what networks and proxies do.

It knows bytes and no protocol, so that one front serves for HTTP and for PostgreSQL.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum

_WHOLE_S = 0.05  # an answer in pieces is there by then


class Fault(StrEnum):
    """What becomes of a request that writes."""

    LIMITED_FOR = "429 with Retry-After"
    LIMITED = "429"
    BROKEN = "500"
    PAGE = "200 with a page"
    BAD_GATEWAY = "502 with a page"
    HANGS = "no answer"
    CUT_IN_HEAD = "cut in the head"
    CUT_IN_BODY = "cut in the body"


RETRY_AFTER_S = 7
_PAGE = "<!DOCTYPE html><title>Log in</title>"
_SAID = {
    Fault.LIMITED_FOR: ("429 Too Many Requests", f"Retry-After: {RETRY_AFTER_S}\r\n", ""),
    Fault.LIMITED: ("429 Too Many Requests", "", ""),
    Fault.BROKEN: ("500 Internal Server Error", "", "oops"),
    Fault.PAGE: ("200 OK", "Content-Type: text/html\r\n", _PAGE),
    Fault.BAD_GATEWAY: ("502 Bad Gateway", "Content-Type: text/html\r\n", _PAGE),
}
"""What is answered in the service's place, which hears of nothing."""


@dataclass
class Front:
    """Carries connections to one port of this machine."""

    behind: int
    writes: bytes
    """What a request that writes holds."""
    port: int = 0
    fault: Fault | None = None
    has_heard: asyncio.Event = field(default_factory=asyncio.Event)
    """The service has answered what nobody is told of."""

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self.behind)
        carrying = asyncio.ensure_future(_carry(there, writer))
        with contextlib.suppress(ConnectionError), contextlib.closing(writer), contextlib.closing(back):
            while data := await reader.read(65_536):
                if self.fault and self.writes in data:
                    carrying.cancel()
                    await asyncio.wait({carrying})
                    await self._disturb(self.fault, data, there, back, writer)
                    return
                back.write(data)
                await back.drain()
        carrying.cancel()

    async def _disturb(
        self,
        fault: Fault,
        data: bytes,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
    ) -> None:
        if said := _SAID.get(fault):
            status, headers, body = said
            told = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
            writer.write(told.encode())
            await writer.drain()
            return
        back.write(data)
        answer = await there.read(65_536)
        with contextlib.suppress(TimeoutError):
            answer += await asyncio.wait_for(there.read(65_536), _WHOLE_S)
        self.has_heard.set()
        if fault is Fault.HANGS:
            await asyncio.Event().wait()
        head, between, rest = answer.partition(b"\r\n\r\n")
        is_short = fault is Fault.CUT_IN_HEAD
        writer.write(head[: len(head) // 2] if is_short else head + between + rest[: len(rest) // 2])
        await writer.drain()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def standing_before(port: int, *, writes: bytes) -> AsyncIterator[Front]:
    """Run one before a port of this machine."""
    front = Front(port, writes)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(front.connect(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        front.port = server.sockets[0].getsockname()[1]
        try:
            yield front
        finally:
            for connection in connections:
                connection.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
