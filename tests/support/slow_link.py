"""A slow network in front of a server: all connections to it share what it carries."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

_CHUNK_BYTES = 16_384
_MADE_UP_S = 0.1


@contextlib.asynccontextmanager
async def throttled(url: str, *, bytes_per_s: float) -> AsyncIterator[str]:
    """Carry so much to the server at `url` while the block runs, and back whatever it says; yields the URL to use."""
    behind = urlsplit(url)
    wire, loop = asyncio.Lock(), asyncio.get_running_loop()
    free_at = 0.0  # what a busy machine sleeps too long is made up for, or the network would be slower than it says

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_slow: bool) -> None:
        nonlocal free_at
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while data := await reader.read(_CHUNK_BYTES):
                if is_slow:
                    async with wire:  # whoever waits longest is next, as on a network that is fair
                        free_at = max(free_at, loop.time() - _MADE_UP_S) + len(data) / bytes_per_s
                        await asyncio.sleep(free_at - loop.time())
                writer.write(data)
                await writer.drain()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(behind.hostname, behind.port)
        await asyncio.gather(carry(reader, back, is_slow=True), carry(there, writer, is_slow=False))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{behind.scheme}://127.0.0.1:{port}{behind.path}"
