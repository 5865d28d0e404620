"""Reading a request body: capped on the stream and against the clock, whatever Content-Length claims.

All bodies that a process holds at once are capped together too: they are read before anybody is known to have sent
them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final

Receive = Callable[[], Awaitable[Any]]

LINGER_S: Final = 0.5
"""How long a refused body is read on: enough for an answer to cross the world. Arbitrary."""


class TooLargeError(Exception):
    """The body passed its cap; the rest was not read."""


class DisconnectedError(Exception):
    """The sender went away in the middle."""


class NoRoomError(Exception):
    """The process holds as many bytes of bodies as it may; the rest was not read."""


_LARGE_BYTES: Final = 1_048_576
_LEFT_FOR_SMALL: Final = 0.25


class Room:
    """For the bytes of bodies that a process holds at once; a quarter of it is for those of up to 1 MiB."""

    __slots__ = ("held", "most")

    def __init__(self, most: int) -> None:
        """Take how many there may be."""
        self.most = most
        self.held = 0

    def is_short(self, size: int) -> bool:
        """Tell whether there is too little for a body of which so much is held already."""
        left = _LEFT_FOR_SMALL if size > _LARGE_BYTES else 0
        return self.held > self.most * (1 - left)


async def read_body(
    receive: Receive, *, declared: bytes | None, max_bytes: int, deadline_s: float, room: Room
) -> bytes:
    """Read the whole body as received; it takes up room until the caller says that it is gone.

    declared  Content-Length: enough to refuse a body before it is sent, never to accept one
    raises    `TooLargeError`, `NoRoomError`, `DisconnectedError`, or `TimeoutError` when it is not complete in time
    """
    if declared is not None and int(declared) > max_bytes:  # the HTTP parser has seen that it is a number
        raise TooLargeError
    reading = _read(receive, max_bytes, room)
    try:
        waits_for = reading.send(None)
    except StopIteration as done:  # it was there, as nearly every webhook's: no clock needs to be set
        return bytes(done.value)
    async with asyncio.timeout(deadline_s):
        return await _Resumed(reading, waits_for)


async def discard_rest(receive: Receive) -> None:
    """Throw away what still comes, for a moment: to close a connection on unread data would take the answer with it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass


class _Resumed:
    """A coroutine that was started by hand, to be awaited from where it waits."""

    def __init__(self, coroutine: Coroutine[Any, Any, bytes], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, bytes]:
        try:
            yield self._waits_for
        except BaseException:
            self._coroutine.close()
            raise
        return (yield from self._coroutine.__await__())


async def _read(receive: Receive, max_bytes: int, room: Room) -> bytes:
    chunks: list[bytes] = []
    size, is_whole = 0, False
    try:
        while not is_whole:
            message = await receive()
            if message["type"] != "http.request":
                raise DisconnectedError
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            room.held += len(chunk)
            if size > max_bytes:
                raise TooLargeError
            if room.is_short(size):
                raise NoRoomError
            chunks.append(chunk)
            is_whole = not message.get("more_body", False)
    finally:
        if not is_whole:
            room.held -= size
    return b"".join(chunks)
