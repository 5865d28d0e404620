"""Stands where Claude and the trace collector would: answers at once, and notes when each delivery's request arrived.

The clock is the one that the workers' stamps use. The request is dated by its first byte, before it is read.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_MARKER = re.compile(rb"PR_bench\d+")
_CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ANSWER: Final = json.dumps(
    {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": "A pull request was opened."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 700, "output_tokens": 7},
    }
).encode()


class ClaudeStub:
    """A server in this process."""

    def __init__(self) -> None:
        self.port = 0
        self._arrived: dict[str, asyncio.Future[int]] = {}

    @property
    def url(self) -> str:
        """Base URL for the SDK and for the trace exporter."""
        return f"http://127.0.0.1:{self.port}"

    async def arrival_ns(self, marker: str) -> int:
        """Wait for the request that is about this delivery; monotonic nanoseconds of its arrival."""
        return await self._arrival(marker)

    def _arrival(self, marker: str) -> "asyncio.Future[int]":
        return self._arrived.setdefault(marker, asyncio.get_running_loop().create_future())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while first := await reader.read(1):
                arrived_ns = time.monotonic_ns()
                head = first + await reader.readuntil(b"\r\n\r\n")
                length = _CONTENT_LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                if (marker := _MARKER.search(body)) and not (arrival := self._arrival(marker[0].decode())).done():
                    arrival.set_result(arrived_ns)
                answer = _ANSWER if b" /v1/messages" in head else b"{}"
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(answer), answer)
                )
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # a client that is stopped drops its connections
        finally:
            writer.close()


@asynccontextmanager
async def claude_stub() -> AsyncIterator[ClaudeStub]:
    """Serve for as long as the block lasts."""
    stub = ClaudeStub()
    server = await asyncio.start_server(stub._serve, "127.0.0.1", 0)
    stub.port = server.sockets[0].getsockname()[1]
    try:
        yield stub
    finally:
        server.close()
