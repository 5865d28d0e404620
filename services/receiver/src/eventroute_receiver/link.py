"""One connection to Redis that all requests of the process share: a write per loop turn, replies in order.

Packing and parsing are hiredis'. A general client spends more on one command than a whole receipt may cost; this one
knows nothing but requests and replies. It never repeats a command: a reply that was lost with the connection raises,
the sender hears 503, and its retry meets the dedup claim if the command had been carried out.
"""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import Awaitable
from typing import Any, Final, cast

import hiredis
import structlog
from redis.asyncio.connection import SSLConnection, parse_url

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
        """Take a `redis://`, `rediss://` or `unix://` URL; `run` connects."""
        self._target: dict[str, Any] = dict(parse_url(url))
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
            except (OSError, LinkLostError, hiredis.ReplyError, TimeoutError) as error:
                if not is_told:
                    _log.warning("redis_unreachable", error=type(error).__name__)
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
        loop = asyncio.get_running_loop()
        target = self._target
        if path := target.get("path"):
            _, wire = await loop.create_unix_connection(lambda: _Wire(lost), path)
        else:
            secure = _tls(target) if target.get("connection_class") is SSLConnection else None
            host, port = target.get("host", "localhost"), target.get("port", 6379)
            _, wire = await loop.create_connection(lambda: _Wire(lost), host, port, ssl=secure)
        try:
            if password := target.get("password"):
                await wire.send(("AUTH", target.get("username") or "default", password))
            if database := target.get("db"):
                await wire.send(("SELECT", database))
            await wire.send(("PING",))  # a server that is still loading says so here
        except BaseException:
            wire.close()
            raise
        return wire

    async def _watch(self, wire: "_Wire", lost: asyncio.Future[None]) -> None:
        """Wait until the connection ends, and end it when Redis has stopped answering."""
        while not lost.done():
            if wire.oldest_wait_s() > _REPLY_S:
                # When it was this process that stood still, the replies are there and only have to be read.
                await asyncio.sleep(_GRACE_S)
                if wire.oldest_wait_s() > _REPLY_S:
                    return
            await asyncio.wait([lost], timeout=_REPLY_S / 10)


def _tls(target: dict[str, Any]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=target.get("ssl_ca_certs"))


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
                    self.close()  # demoted: behind the same name there is another primary by now
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
