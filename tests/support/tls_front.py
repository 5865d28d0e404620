"""TLS in front of a server that has none: the Valkey at hand is built without."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.certificates import Certified


@contextlib.asynccontextmanager
async def tls_front(behind: int, certified: Certified, *, clients_of: Path | None = None) -> AsyncIterator[int]:
    """Take TLS connections while the block runs and pass on what comes; yields the port.

    behind      port of the server
    clients_of  authority whose certificates clients must show
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified)
    if clients_of:
        context.load_verify_locations(clients_of)
        context.verify_mode = ssl.CERT_REQUIRED
    passing: set[asyncio.Future[Any]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", behind)
        both = asyncio.gather(_pass_on(reader, onward_writer), _pass_on(onward_reader, writer), return_exceptions=True)
        passing.add(both)
        await both

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
