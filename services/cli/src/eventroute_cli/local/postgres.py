"""A PostgreSQL of this machine's own programs, for as long as it is needed; without such programs there is none."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import psycopg

from eventroute_cli.local.processes import end_with, free_port

_NEEDED: Final = ("initdb", "postgres")
_NOBODY: Final = 65534  # a server refuses to run as root
_START_S: Final = 20.0
_END_S: Final = 5.0
_POLL_S: Final = 0.05
_SMALL: Final = ("fsync=off", "shared_buffers=16MB", "unix_socket_directories=", "listen_addresses=127.0.0.1")


@asynccontextmanager
async def running_postgres() -> AsyncIterator[str]:
    """Run one with the table of `postgres` sinks; gives its URL, empty where none is on PATH or it does not start."""
    if not all(shutil.which(name) for name in _NEEDED):
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="eventroute-postgres-"))
    server = _Server(folder)
    try:
        yield await asyncio.to_thread(server.start)
    finally:
        await asyncio.to_thread(server.end)
        shutil.rmtree(folder, ignore_errors=True)


def read_rows(url: str) -> list[tuple[str, str, str]]:
    """List the answers that it has: route, event, outcome."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT route, event, outcome FROM eventroute_answers").fetchall()


class _Server:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}

    def start(self) -> str:
        password, port = secrets.token_hex(16), free_port()
        url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"
        try:
            self._make(password)
            self._process = self._begin(port)
            self._wait(url)
        except (OSError, subprocess.SubprocessError, psycopg.Error):
            return ""
        return url

    def end(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # waits for no client
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _make(self, password: str) -> None:
        said = self._folder / "password"
        said.write_text(password)
        if self._as:
            for path in (self._folder, said):
                os.chown(path, _NOBODY, _NOBODY)
        command = ["initdb", "-D", "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile=password", "-E", "UTF8"]
        subprocess.run(  # noqa: S603 - the user's own PostgreSQL, no shell
            [*command, "--locale=C", "--no-sync"],
            cwd=self._folder,
            check=True,
            capture_output=True,
            timeout=_START_S,
            **self._as,
        )

    def _begin(self, port: int) -> subprocess.Popen[bytes]:
        options = [part for option in (*_SMALL, f"port={port}") for part in ("-c", option)]
        return subprocess.Popen(  # noqa: S603 - as above
            ["postgres", "-D", "data", *options],  # noqa: S607 - the one on PATH is meant
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - one system call
            **self._as,
        )

    def _wait(self, url: str) -> None:
        table = files("eventroute_worker.sinks").joinpath("postgres.sql").read_text(encoding="utf-8")
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
                    connection.execute(table.encode())
            except psycopg.OperationalError:
                if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                    raise
                time.sleep(_POLL_S)
            else:
                return
