"""The Redis client that every program uses, set up to fail within a second and to come back by itself.

Where Redis is follows from its URL, at every new connection anew: with Sentinels, whichever server they now say is the
primary. A server that was demoted while we were connected is left at once, Sentinels or not.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import Connection, ConnectionPool, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - as redis-py calls it
    MovedError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004 - as redis-py calls it
)

from eventroute.runtime.redis_url import Address, Login, RedisUrl, Tls, parse_redis_url
from eventroute.runtime.tls import tls_context

CONNECTION_ERRORS = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError, OSError)
"""Redis is away, starting, or no longer the primary: worth a later try, whatever the command was."""

_CONNECT_S = 1.0
_COMMAND_S = 5.0  # longer than any blocking read here waits
_RETRIES = 2  # of one command, within a fraction of a second; longer outages are the caller's loop's business
_SENTINELS_S: Final = 0.4  # for all of them together, as they are asked at once


def connect(url: str, *, tag: str = "g0") -> redis.asyncio.Redis:
    """Make a client with its own pool; it connects at its first command.

    url     as `eventroute.runtime.redis_url` describes it
    tag     in a cluster, the hash tag of the keys that it is for: they are on one server, wherever that is by now
    raises  `Refused` when the URL is wrong, or a file that it names cannot be used
    """
    parsed = parse_redis_url(url).at(tag)
    if parsed.tls is not None:
        tls_context(parsed.tls)  # a wrong path ends the start; later on the same is an outage
    kind = UnixDomainSocketConnection if parsed.socket else _PrimaryConnection
    where = {"path": parsed.socket} if parsed.socket else {"url": parsed}
    return redis.asyncio.Redis.from_pool(
        ConnectionPool(
            connection_class=kind,
            **where,
            **_credentials(parsed.login),
            db=parsed.database,
            socket_connect_timeout=_CONNECT_S,
            socket_timeout=_COMMAND_S,
            health_check_interval=30,
            # redis-py's connect() lets OSError through, which its default retry does not cover.
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.02), _RETRIES),
            retry_on_error=list(CONNECTION_ERRORS),
        )
    )


async def find_primary(url: RedisUrl) -> Address:
    """Say where to connect: the server that the URL names, or the one that the Sentinels or the cluster name.

    All Sentinels, or servers of the cluster that the URL names, are asked at once. What a majority says counts at once,
    so that one that is dead, or was cut off and remembers an older primary, costs nothing; else what most of those say
    that answered in time.

    raises  redis' `ConnectionError` with the trouble of each when none names a primary
    """
    if url.master is None and url.slot is None:
        return url.addresses[0]
    votes: Counter[Address] = Counter()
    asked = [asyncio.create_task(_ask(sentinel, url)) for sentinel in url.addresses]
    try:
        for answer in asyncio.as_completed(asked):
            try:
                votes[await answer] += 1
            except (RedisError, OSError):
                continue  # told below, when it matters
            if votes.most_common(1)[0][1] * 2 > len(asked):
                break
    finally:
        for task in asked:
            task.cancel()
        troubles = await asyncio.gather(*asked, return_exceptions=True)
    if not votes:
        told = "; ".join(f"{sentinel}: {trouble}" for sentinel, trouble in zip(url.addresses, troubles, strict=True))
        who, of = ("Sentinel", url.master) if url.master else ("server of the cluster", f"slot {url.slot}")
        raise ConnectionError(f"no {who} names a primary of {of}: {told}")
    return votes.most_common(1)[0][0]


async def _ask(sentinel: Address, url: RedisUrl) -> Address:
    connection = _Connection(
        tls=url.tls,
        host=sentinel.host,
        port=sentinel.port,
        **_credentials(url.sentinel_login if url.master else url.login),
        lib_name=None,
        lib_version=None,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        async with asyncio.timeout(_SENTINELS_S):
            await connection.connect()
            if url.slot is not None:
                await connection.send_command("CLUSTER", "SLOTS")
                return _primary_of(url.slot, await connection.read_response(), sentinel)
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.master)
            found = await connection.read_response()
    except OSError as error:  # a TimeoutError is one, and says nothing
        raise ConnectionError(str(error) or "no answer") from error
    finally:
        await connection.disconnect(nowait=True)
    if found is None:
        raise ConnectionError("does not know it")
    host, port = found
    return Address(host.decode(), int(port))


def _primary_of(slot: int, ranges: list[Any], asked: Address) -> Address:
    """Find who has a slot in an answer to CLUSTER SLOTS: first, last, [host, port, …] of the primary, its replicas."""
    for first, last, (host, port, *_), *_ in ranges:
        if first <= slot <= last:
            return Address(host.decode() if host else asked.host, int(port))  # no host: the one that was asked
    raise ConnectionError(f"nobody has slot {slot}")


def _credentials(login: Login | None) -> dict[str, str]:
    return {} if login is None else {"username": login.username, "password": login.password.reveal().decode()}


class _Connection(Connection):  # type: ignore[misc] # redis-py's types are not looked at (pyproject.toml)
    """A connection to an address, encrypted where the URL says so, and broken off when it leads to a replica."""

    def __init__(self, *, tls: Tls | None, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> dict[str, Any]:
        secure = {} if self._tls is None else {"ssl": tls_context(self._tls)}
        return {**super()._connection_arguments(), **secure}

    async def _connect(self) -> None:
        await super()._connect()
        # Else redis-py begins with a PING, and when the other side closes at once (a proxy without a server behind it,
        # TLS 1.3 and a certificate that is refused) connects from within this attempt, and so on without end.
        self.next_health_check = asyncio.get_running_loop().time() + self.health_check_interval

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except (ReadOnlyError, MovedError, AskError) as error:
            # The errors of a pipeline are values, which redis-py does not look at; a connection that stayed open would
            # be refused for ever.
            await self.disconnect(nowait=True)
            raise ConnectionError(f"no longer the primary: {error}") from error


class _PrimaryConnection(_Connection):
    """A connection to the primary, wherever it is by now."""

    def __init__(self, *, url: RedisUrl, **options: Any) -> None:
        super().__init__(tls=url.tls, host=url.addresses[0].host, port=url.addresses[0].port, **options)
        self._url = url

    async def _connect(self) -> None:
        self.host, self.port = await find_primary(self._url)
        await super()._connect()

    async def on_connect(self) -> None:
        await super().on_connect()
        if self._url.master is not None:  # for a while after a failover, Sentinels may name the old one
            await self.send_command("ROLE", check_health=False)
            role, *_ = await self.read_response()
            if role != b"master":
                raise ConnectionError("not the primary (any more)")
