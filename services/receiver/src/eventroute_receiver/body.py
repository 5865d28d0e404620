"""Reading a request body: capped on the stream and against the clock, whatever Content-Length claims."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Receive = Callable[[], Awaitable[Any]]


class TooLargeError(Exception):
    """The body passed its cap; the rest was not read."""


class DisconnectedError(Exception):
    """The sender went away in the middle."""


async def read_body(receive: Receive, *, declared: bytes | None, max_bytes: int, deadline_s: float) -> bytes:
    """Read the whole body as received.

    declared  Content-Length: enough to refuse a body before it is sent, never to accept one
    raises    `TooLargeError`, `DisconnectedError`, or `TimeoutError` when it is not complete in time
    """
    if declared is not None and int(declared) > max_bytes:  # the HTTP parser has seen that it is a number
        raise TooLargeError
    async with asyncio.timeout(deadline_s):
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= max_bytes:
            return body  # nearly every webhook comes in one piece
        return await _read_on(receive, message, max_bytes)


async def _read_on(receive: Receive, message: Any, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise DisconnectedError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
