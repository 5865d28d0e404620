"""Connections to PostgreSQL: few for each URL, kept for a moment, and only to addresses that the rules allow.

A statement is one transaction, and says the same however often it is run: what a kept connection loses, because the
server was started anew, is run on a new one at once. libpq is told where to connect, and finds nothing out by itself:
not from the environment, nor from files of whoever runs the worker. After a failure to connect, who asks for the same
database a moment later is told of that one, so that a server that is down or refuses us is not asked by each answer.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import Composed

from eventroute.errors import RetryLater
from eventroute.outbound import Database, Endpoint, parse_database, ssl_mode_of
from eventroute.secret import Secret
from eventroute_worker.outbound import NoAnswer

_AT_ONCE: Final = 4  # connections to one URL, of each worker: servers have about a hundred for everybody; arbitrary
_KEEP_S: Final = 15.0  # what servers, balancers and firewalls bear at least; arbitrary
_REST_S: Final = 2.0  # after a failure to connect; arbitrary
_DEADLINE_S: Final = 10.0  # of connecting, and of a statement; as of other sinks
_CONNECT_S: Final = 5  # to one address; whole seconds, as libpq counts
_CANCEL_S: Final = 1.0
_NOWHERE: Final = "/nonexistent"
"""In place of files that libpq would look for in the home directory."""
_ROOTS: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Whom the system trusts, where Python does not know of a file of it."""
_SHOWN: Final = 200

_LOGIN: Final = "the server does not take user and password; store the URL with those that it takes"
_BUSY: Final = "the server has no connection left; raise its limit, or the user's"
_RESTARTS: Final = "the server starts or stops"
_NOT_LET_IN: Final = "the server's pg_hba.conf does not let this user in from here"
_WHY: Final = (
    ("password authentication failed", _LOGIN),
    ("no password supplied", "the server asks for a password, and the URL has none"),
    ("is not permitted to log in", _LOGIN),
    (
        "no encryption",
        f"{_NOT_LET_IN} without TLS; write `sslmode=require`, or a verify mode, or have its owner add it",
    ),
    ("no pg_hba.conf entry", f"{_NOT_LET_IN}; have its owner add it"),
    ("permission denied for database", "the user may not connect to this database; GRANT CONNECT on it"),
    (
        "does not support SSL",
        "the server has no TLS; switch it on there (a private host's URL may say sslmode=disable)",
    ),
    (
        "does not match host name",
        "the server's certificate is for another name; mend the URL's host, or the certificate",
    ),
    (
        "certificate verify failed",
        "the server's certificate is signed by nobody whom the worker trusts, or over; see SSL_CERT_FILE in the docs",
    ),
    ("too many clients", _BUSY),
    ("too many connections", _BUSY),
    ("remaining connection slots", _BUSY),
    ("starting up", _RESTARTS),
    ("shutting down", _RESTARTS),
    ("not yet accepting connections", _RESTARTS),
    ("Connection refused", "nobody listens there"),
    ("timeout", "it took too long"),
    ("server closed the connection", "the connection broke"),
)
"""What a failure to connect says, of which libpq tells no SQLSTATE, and what it means."""
_UNKNOWN: Final = (
    ("role ", _LOGIN),
    ("database ", "there is no such database; create it, or mend the URL"),
)
"""The same of what does not exist."""


class Finds(Protocol):
    """The way out."""

    async def checked_database(self, database: Database) -> tuple[Endpoint, tuple[str, ...]]:
        """Look up where a database is; raises `Blocked`, `NoAnswer`."""
        ...


class NoReply(RetryLater):
    """The database could not be asked, or says nothing: what was run may have been done, or not."""


class _Place:
    """What there is for one URL."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(_AT_ONCE)
        self.users = 0
        self.failed: tuple[float, str] | None = None
        self._kept: dict[psycopg.AsyncConnection[Any], asyncio.TimerHandle] = {}

    @property
    def is_needed(self) -> bool:
        """Whether somebody uses it, or there is something to be closed."""
        return bool(self.users or self._kept)

    def keep(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Keep for a moment what works."""
        self._kept[connection] = asyncio.get_running_loop().call_later(_KEEP_S, self._close, connection)

    def take(self) -> psycopg.AsyncConnection[Any] | None:
        """Take what was kept last; None = there is nothing."""
        if not self._kept:
            return None
        connection, timer = self._kept.popitem()
        timer.cancel()
        return connection

    def close(self) -> None:
        """Close what is kept."""
        while (connection := self.take()) is not None:
            connection.pgconn.finish()

    def _close(self, connection: psycopg.AsyncConnection[Any]) -> None:
        del self._kept[connection]
        connection.pgconn.finish()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Note that somebody needs it."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1


class Databases:
    """Runs statements."""

    def __init__(
        self,
        way: Finds,
        *,
        trusted: Path | None = None,
        deadline_s: float = _DEADLINE_S,
        rest_s: float = _REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the way out.

        trusted     who may sign certificates; None = whom the system trusts
        deadline_s  of connecting, and again of a statement
        rest_s      how long a failure to connect stands
        """
        self._way = way
        self._roots = str(trusted) if trusted else _system_roots()
        self._deadline_s = deadline_s
        self._rest_s = rest_s
        self._clock = clock
        self._places: dict[Secret, _Place] = {}
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        for place in self._places.values():
            place.close()

    async def run(self, url: Secret, statement: Composed, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement as a transaction of its own, twice where a kept connection is lost; returns its rows.

        raises  `NoReply`, `psycopg.Error` with the server's own error; `Blocked` and `Refused` by the URL
        """
        place = self._place(url)
        with place.used():
            async with place.room:
                if (kept := place.take()) is not None:
                    try:
                        return await self._run(place, kept, statement, values)
                    except psycopg.OperationalError as error:
                        if not _is_of_connection(error):
                            raise
                        place.close()  # whatever ended it has most likely ended the others as well
                connection = await self._connected(place, url)
                return await self._run(place, connection, statement, values)

    def _place(self, url: Secret) -> _Place:
        if url not in self._places:
            self._places = {known: place for known, place in self._places.items() if place.is_needed}
            self._places[url] = _Place()
        return self._places[url]

    async def _connected(self, place: _Place, url: Secret) -> psycopg.AsyncConnection[Any]:
        """Connect; raises `NoReply`, for a moment after a failure without another attempt."""
        if place.failed and self._clock() - place.failed[0] < self._rest_s:
            raise NoReply(place.failed[1])
        try:
            connection = await self._connect(parse_database(url.reveal().decode()))
        except NoReply as failed:
            place.failed = self._clock(), str(failed)
            raise
        place.failed = None
        return connection

    async def _connect(self, database: Database) -> psycopg.AsyncConnection[Any]:
        try:
            endpoint, addresses = await self._way.checked_database(database)
        except NoAnswer as error:
            raise NoReply(str(error)) from error
        _forget_surroundings()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await psycopg.AsyncConnection.connect(
                    _parameters(database, endpoint, addresses, self._roots),
                    autocommit=True,
                    prepare_threshold=None,  # a pooler before the server knows of no prepared statements
                )
        except TimeoutError as error:
            raise NoReply(f"{endpoint}: no connection within {self._deadline_s:g} s") from error
        except psycopg.OperationalError as error:
            raise NoReply(f"{endpoint}: no connection: {_why(str(error))}") from error

    async def _run(
        self, place: _Place, connection: psycopg.AsyncConnection[Any], statement: Composed, values: Mapping[str, Any]
    ) -> Sequence[Any]:
        """Run a statement; a connection is kept if that went well, and cut if no reply comes in time."""
        work = asyncio.ensure_future(_rows(connection, statement, values))
        is_well = False
        try:
            rows = await asyncio.wait_for(asyncio.shield(work), self._deadline_s)
            is_well = not self._is_closed
        except TimeoutError as error:
            message = f"the server says nothing within {self._deadline_s:g} s; the row may be there already"
            raise NoReply(message) from error
        finally:
            if not work.done():
                await _cut(connection, work)
            work.exception()  # seen, also where nobody waits any more
            if is_well:
                place.keep(connection)
            else:
                connection.pgconn.finish()
        return rows


async def _rows(
    connection: psycopg.AsyncConnection[Any], statement: Composed, values: Mapping[str, Any]
) -> Sequence[Any]:
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall() if cursor.description else []


async def _cut(connection: psycopg.AsyncConnection[Any], work: asyncio.Future[Sequence[Any]]) -> None:
    """Ask the server to stop, or it goes on waiting for a lock, say; and end the connection whatever it answers."""
    with contextlib.suppress(psycopg.Error):
        await connection.cancel_safe(timeout=_CANCEL_S)
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)
    await asyncio.wait({work})


def _is_of_connection(error: psycopg.Error) -> bool:
    """Tell what another connection may not meet: it broke, the server went, or is not the one that is written to."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P", "25006"))


def _parameters(database: Database, endpoint: Endpoint, addresses: Sequence[str], trusted: str) -> str:
    """Say all that libpq would find out by itself; each address goes with the name that its certificate is for."""
    ssl_mode = ssl_mode_of(database, endpoint)
    return make_conninfo(
        host=",".join([endpoint.host] * len(addresses)),
        hostaddr=",".join(addresses),
        port=endpoint.port,
        user=database.user,
        password=database.password,
        dbname=database.name,
        sslmode=ssl_mode,
        sslrootcert=trusted if ssl_mode.startswith("verify") else _NOWHERE,  # with a file, `require` verifies too
        sslcertmode="disable",
        sslcrl=_NOWHERE,
        gssencmode="disable",
        channel_binding=database.channel_binding if ssl_mode != "disable" else "disable",
        passfile=_NOWHERE,
        application_name="eventroute",
        client_encoding="UTF8",
        connect_timeout=_CONNECT_S,
    )


def _forget_surroundings() -> None:
    """Take what libpq reads out of the environment: what a URL does not say would be filled in from there."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def _system_roots() -> str:
    known = ssl.get_default_verify_paths().cafile  # of SSL_CERT_FILE, where that is set
    return next((found for found in (known, *_ROOTS) if found and Path(found).is_file()), "system")


def _why(said: str) -> str:
    """Say why there is no connection; what is not known is shown on one line, as far as it can be printed."""
    for words, why in _WHY:
        if words in said:
            return why
    if "does not exist" in said:
        for what, why in _UNKNOWN:
            if what in said:
                return why
    last = said.rpartition("failed: ")[2]
    return "".join(each if each.isprintable() else " " for each in last)[:_SHOWN].strip()
