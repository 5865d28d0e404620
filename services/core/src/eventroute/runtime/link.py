"""A connection to Redis that all tasks of a process share: a write per loop turn, replies in order.

Packing and parsing are hiredis'. A general client spends more on one command than a whole receipt may cost; this one
knows nothing but requests and replies. It never repeats a command: a reply that was lost with the connection raises,
and whoever asked decides; a receiver's sender hears 503, and its retry meets the dedup claim if the command had been
carried out.

Where it is asked for, each write ends with a WAIT, and its replies count once so many replicas have what it wrote.

Large commands take a second connection, so that one that needs seconds on a slow network delays no other; and the
deadline of a reply grows with what was sent before it.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any, Final, cast

import hiredis
import redis.asyncio
import redis.exceptions
import structlog
from redis._parsers.base import BaseParser

from eventroute.errors import Refused
from eventroute.runtime.redis import CONNECTION_ERRORS, find_primary
from eventroute.runtime.redis_url import RedisUrl, parse_redis_url
from eventroute.runtime.scripts import LOST, Argument, Script, refused
from eventroute.runtime.tls import tls_context

_REPLY_S: Final = 0.8
"""How long Redis may take for an answer; the sender is to hear 503 within a second, the look at the clock included."""

_REPLICAS_S: Final = 0.5
"""How long replicas may take for what was written: within the time for a reply."""

_BYTES_PER_S: Final = 5_000_000
"""What a slow network to Redis still carries: 24 MB get five seconds, half of the patience of most senders."""

_LARGE_BYTES: Final = 65_536
"""A command above it takes the second connection: at 5 MB/s it would keep others waiting for 13 ms. Arbitrary."""

_GRACE_S: Final = 0.02  # one turn of the event loop, with some room
_CONNECT_S: Final = 0.9
_RECONNECT_S: Final = 0.2  # mean pause between attempts, jittered

_SCRIPTS: Final = frozenset({"EVALSHA", "EVAL"})
_ELSEWHERE: Final = ("READONLY", "MOVED", "ASK")

_log = structlog.get_logger()


class LinkLostError(Exception):
    """Redis is away, or did not answer in time; whether the command was carried out is unknown."""


class RedisLink:
    """Two connections that keep themselves open: one for ordinary commands, one for large ones."""

    def __init__(self, url: str, *, tag: str = "g0", replicas: int = 0) -> None:
        """Take a URL as `eventroute.runtime.redis_url` describes it, refused when it is wrong; `run` connects.

        tag       in a cluster, the hash tag of the keys that the commands are about
        replicas  how many of them must have a write before its reply counts
        """
        self._url = parse_redis_url(url).at(tag)
        self._ordinary, self._large = _Line(self._url, replicas), _Line(self._url, replicas)

    @property
    def where(self) -> dict[str, Any]:
        """Say where Redis is, as redis-py names it, for people to read."""
        url = self._url
        address = {"unix_socket_path": url.socket} if url.socket else url.addresses[0]._asdict()
        return {**address, "db": url.database}

    @property
    def is_up(self) -> bool:
        """Tell whether commands can be sent now."""
        return self._ordinary.wire is not None

    async def until_up(self, timeout_s: float) -> bool:
        """Wait for the first connection; returns whether it is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ordinary.is_open.wait()
        return self.is_up

    def call(self, *command: Argument) -> Awaitable[Any]:
        """Send one command, and await its reply.

        raises  `LinkLostError`, at once or when awaited, or `hiredis.ReplyError` with what Redis said
        """
        packed = _pack(*command)
        wire = (self._ordinary if len(packed) <= _LARGE_BYTES else self._large).wire
        if wire is None:
            raise LinkLostError("not connected")
        return wire.send(packed)

    async def run(self) -> None:
        """Keep both connections open for ever."""
        await asyncio.gather(self._ordinary.run(is_told_of=True), self._large.run(is_told_of=False))


class GroupLinks:
    """A link to each server of a cluster that has a group of keys; to whoever uses it, one link."""

    def __init__(self, url: str, *, groups: int, replicas: int = 0) -> None:
        """Take a URL of a cluster, and into how many groups the keys are split: `{g0}`, `{g1}`, …."""
        tags = [f"g{number}" for number in range(groups)]
        self._links = {tag: RedisLink(url, tag=tag, replicas=replicas) for tag in tags}

    @property
    def where(self) -> dict[str, Any]:
        """Say where the first group is."""
        return self._links["g0"].where

    @property
    def is_up(self) -> bool:
        """Tell whether commands can be sent to all servers now."""
        return all(link.is_up for link in self._links.values())

    async def until_up(self, timeout_s: float) -> bool:
        """Wait for all first connections; returns whether they are there."""
        return all(await asyncio.gather(*(link.until_up(timeout_s) for link in self._links.values())))

    def call(self, *command: Argument) -> Awaitable[Any]:
        """Send one command to the server that has its key; what has no key goes to the first group's."""
        key = command[3] if command[0] in _SCRIPTS else command[1] if len(command) > 1 else ""
        _, opening, rest = str(key).partition("{")
        return self._links[rest.partition("}")[0] if opening else "g0"].call(*command)

    async def run(self) -> None:
        """Keep all connections open for ever."""
        await asyncio.gather(*(link.run() for link in self._links.values()))


Link = RedisLink | GroupLinks


def open_link(url: str, *, groups: int = 1, replicas: int = 0) -> Link:
    """Make a link to where the groups are; `run` connects."""
    return GroupLinks(url, groups=groups, replicas=replicas) if groups > 1 else RedisLink(url, replicas=replicas)


class LinkCaller:
    """Calls scripts over a link."""

    def __init__(self, link: Link) -> None:
        """Take a link."""
        self._link = link

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        """Call a script: one round trip, or two when the server has to be told the source first."""
        try:
            try:
                return await self._link.call("EVALSHA", script.sha, 1, key, *args)
            except hiredis.ReplyError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                return await self._link.call("EVAL", script.source, 1, key, *args)
        except LinkLostError as error:
            raise refused(LOST, str(error)) from error
        except hiredis.ReplyError as error:
            word, _, _ = str(error).partition(" ")
            raise refused(word, str(error)) from error


class LinkedRedis(redis.asyncio.Redis):  # type: ignore[misc] # redis-py's types are not looked at (pyproject.toml)
    """redis-py's commands over a link, so that those of all tasks share a write; without blocking reads and pub/sub."""

    def __init__(self, link: Link) -> None:
        """Take a link, which somebody else runs."""
        super().__init__(**link.where)  # never connects; spans tell of it
        self._link = link

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; returns what redis-py makes of the reply, raises its errors."""
        try:
            reply = await self._link.call(*args[0].split(" "), *args[1:])  # redis-py names some by two words
        except LinkLostError as error:
            raise redis.exceptions.ConnectionError(str(error)) from error
        except hiredis.ReplyError as error:
            raise BaseParser.parse_error(str(error)) from error
        options.pop("keys", None)  # for redis-py's own cache
        read = self.response_callbacks.get(args[0])
        return reply if read is None else read(reply, **options)


def _pack(*command: Argument) -> bytes:
    return cast("bytes", hiredis.pack_command(cast("Any", command)))  # its stub means a tuple of one


class _Line:
    """A connection that keeps itself open."""

    def __init__(self, url: RedisUrl, replicas: int) -> None:
        self.wire: _Wire | None = None
        self._replicas = replicas
        self.is_open = asyncio.Event()
        self._url = url

    async def run(self, *, is_told_of: bool) -> None:
        """Keep the connection open for ever; an outage is logged when it begins and when it is over, once for both."""
        is_told = not is_told_of
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
                is_told = not is_told_of
                self.wire = wire
                self.is_open.set()
                if is_told_of:
                    _log.info("redis_connected")
                try:
                    await self._watch(wire, lost)
                finally:
                    self.wire = None
                    self.is_open.clear()
                    wire.close()
                if is_told_of:
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
            wire.wait_for(self._replicas)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _introduce(self, wire: "_Wire") -> None:
        """Sign in, choose the database, and hear that it is the right server and ready."""
        if login := self._url.login:
            await wire.send(_pack("AUTH", login.username, login.password.reveal()))
        if self._url.database:
            await wire.send(_pack("SELECT", self._url.database))
        if self._url.master is not None:
            role, *_ = await wire.send(_pack("ROLE"))
            if role != b"master":
                raise LinkLostError("not the primary (any more)")
        await wire.send(_pack("PING"))  # a server that is still loading says so here

    async def _watch(self, wire: "_Wire", lost: asyncio.Future[None]) -> None:
        """Wait until the connection ends, and end it when Redis has stopped answering."""
        while not lost.done():
            if wire.is_overdue():
                # When it was this process that stood still, the replies are there and only have to be read.
                await asyncio.sleep(_GRACE_S)
                if wire.is_overdue():
                    return
            await asyncio.wait([lost], timeout=_REPLY_S / 10)


class _Wire(asyncio.Protocol):
    """The open connection: pairs replies with the commands that wait for them."""

    def __init__(self, lost: asyncio.Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._reader = hiredis.Reader()
        self._waiting: deque[tuple[float, asyncio.Future[Any] | None]] = deque()
        self._replicas = 0
        self._unconfirmed: list[tuple[asyncio.Future[Any], Any]] = []
        self._carried = 0.0
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def wait_for(self, replicas: int) -> None:
        """From now on, let replies count once so many replicas have what was written."""
        self._replicas = replicas

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            _, future = self._waiting.popleft()
            if future is None:  # the end of a write
                self._release(reply)
            elif self._replicas and not isinstance(reply, hiredis.ReplyError):
                self._unconfirmed.append((future, reply))
            else:
                self._answer(future, reply)

    def _release(self, reply: Any) -> None:
        """Hand out the replies of a write, if enough replicas have it."""
        unconfirmed, self._unconfirmed = self._unconfirmed, []
        enough = isinstance(reply, int) and reply >= self._replicas
        too_few = hiredis.ReplyError(f"NOREPLICAS {reply} of {self._replicas} replicas have it")
        for future, held in unconfirmed:
            self._answer(future, held if enough else too_few)

    def _answer(self, future: asyncio.Future[Any], reply: Any) -> None:
        if not future.done():  # else its request was cancelled meanwhile
            if isinstance(reply, hiredis.ReplyError):
                future.set_exception(reply)
                if str(reply).startswith(_ELSEWHERE):
                    self.close()  # by now another server is the primary, or has the keys
            else:
                future.set_result(reply)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        for future in (*(each for _, each in self._waiting), *(each for each, _ in self._unconfirmed)):
            if future is not None and not future.done():
                future.set_exception(LinkLostError("connection lost"))
        self._waiting.clear()
        self._unconfirmed.clear()
        if not self._lost.done():
            self._lost.set_result(None)

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Send a packed command at the end of this turn of the loop."""
        future = self._loop.create_future()
        if self._transport is None:
            future.set_exception(LinkLostError("connection lost"))
            return future
        now = time.monotonic()
        # What is sent from now on follows what the network has not carried yet.
        self._carried = max(self._carried, now) + len(packed) / _BYTES_PER_S
        self._waiting.append((self._carried + _REPLY_S, future))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed)
        return future

    def is_overdue(self) -> bool:
        """Tell whether the oldest reply should have come by now."""
        return bool(self._waiting) and time.monotonic() > self._waiting[0][0]

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None:
            if self._replicas:
                self._unsent.append(_pack("WAIT", self._replicas, int(_REPLICAS_S * 1000)))
                self._waiting.append((self._carried + _REPLY_S, None))
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()
