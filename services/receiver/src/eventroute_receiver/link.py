"""One connection to Redis that all requests of the process share: a write per loop turn, replies in order.

Packing and parsing are hiredis'. A general client spends more on one command than a whole receipt may cost; this one
knows nothing but requests and replies. It never repeats a command: a reply that was lost with the connection raises,
the sender hears 503, and its retry meets the dedup claim if the command had been carried out.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable
from typing import Any, Final, cast

import hiredis
import structlog

from eventroute.errors import Refused
from eventroute.runtime.redis import CONNECTION_ERRORS, find_primary
from eventroute.runtime.redis_url import parse_redis_url
from eventroute.runtime.tls import tls_context

_REPLY_S: Final = 0.8
"""How long Redis may take for an answer; the sender is to hear 503 within a second, the look at the clock included."""

_GRACE_S: Final = 0.02  # one turn of the event loop, with some room
_CONNECT_S: Final = 0.9
_RECONNECT_S: Final = 0.2  # mean pause between attempts, jittered

_log = structlog.get_logger()


class LinkLostError(Exception):
    """Redis is away, or did not answer in time; whether the command was carried out is unknown."""


class RedisLink:
    """A connection that keeps itself open."""

    def __init__(self, url: str) -> None:
        """Take a URL as `eventroute.runtime.redis_url` describes it, refused when it is wrong; `run` connects."""
        self._url = parse_redis_url(url)
        self._wire: _Wire | None = None

    @property
    def is_up(self) -> bool:
        """Tell whether commands can be sent now."""
        return self._wire is not None

    def call(self, *command: bytes | str | float) -> Awaitable[Any]:
        """Send one command, and await its reply.

        raises  `LinkLostError`, at once or when awaited, or `hiredis.ReplyError` with what Redis said
        """
        if self._wire is None:
            raise LinkLostError("not connected")
        return self._wire.send(command)

    async def run(self) -> None:
        """Keep the connection open for ever; an outage is logged when it begins and when it is over."""
        is_told = False
        while True:
            lost = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(_CONNECT_S):
                    wire = await self._connect(lost)
            except (*CONNECTION_ERRORS, LinkLostError, hiredis.ReplyError, Refused) as error:
                if not is_told:
                    _log.warning("redis_unreachable", error=type(error).__name__, detail=str(error))
                is_told = True
            else:
                is_told = False
                self._wire = wire
                _log.info("redis_connected")
                try:
                    await self._watch(wire, lost)
                finally:
                    self._wire = None
                    wire.close()
                _log.warning("redis_connection_lost")
            await asyncio.sleep(_RECONNECT_S * random.uniform(0.5, 1.5))

    async def _connect(self, lost: asyncio.Future[None]) -> "_Wire":
        url, loop = self._url, asyncio.get_running_loop()
        if url.socket is not None:
            _, wire = await loop.create_unix_connection(lambda: _Wire(lost), url.socket)
        else:
            host, port = await find_primary(url)
            secure = tls_context(url.tls) if url.tls else None
            _, wire = await loop.create_connection(lambda: _Wire(lost), host, port, ssl=secure)
        try:
            await self._introduce(wire)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _introduce(self, wire: "_Wire") -> None:
        """Sign in, choose the database, and hear that it is the right server and ready."""
        if login := self._url.login:
            await wire.send(("AUTH", login.username, login.password.reveal()))
        if self._url.database:
            await wire.send(("SELECT", self._url.database))
        if self._url.master is not None:
            role, *_ = await wire.send(("ROLE",))
            if role != b"master":
                raise LinkLostError("not the primary (any more)")
        await wire.send(("PING",))  # a server that is still loading says so here

    async def _watch(self, wire: "_Wire", lost: asyncio.Future[None]) -> None:
        """Wait until the connection ends, and end it when Redis has stopped answering."""
        while not lost.done():
            if wire.oldest_wait_s() > _REPLY_S:
                # When it was this process that stood still, the replies are there and only have to be read.
                await asyncio.sleep(_GRACE_S)
                if wire.oldest_wait_s() > _REPLY_S:
                    return
            await asyncio.wait([lost], timeout=_REPLY_S / 10)


class _Wire(asyncio.Protocol):
    """The open connection: pairs replies with the commands that wait for them."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            _, future = self._waiting.popleft()
            if future.done():
                continue  # its request was cancelled meanwhile
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(reply)
                if str(reply).startswith("READONLY"):
                    self.close()  # demoted: by now there is another primary, behind the same name or at the Sentinels
            else:
                future.set_result(reply)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(LinkLostError("connection lost"))
        self._waiting.clear()
        if not self._lost.done():
            self._lost.set_result(None)

    def send(self, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        if self._transport is None:
            future.set_exception(LinkLostError("connection lost"))
            return future
        self._waiting.append((time.monotonic(), future))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(hiredis.pack_command(command))
        return future

    def oldest_wait_s(self) -> float:
        return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
