"""A whole installation in processes of its own, each of which a test may kill, stop and start again.

Redis with an append-only file, a Claude simulator, receivers and workers: at fixed addresses, wired as the local mode
wires them, so that a program that comes back is found where it was.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from typing import Any, Self, TypeVar

import httpx
import msgspec
from redis.asyncio import Redis

from eventroute.route_table import RECEIVER, WORKER, ReceiverRoute, WorkerRoute
from eventroute.runtime.redis import connect
from eventroute.runtime.tables import publish
from eventroute.sealed import SealKey, new_key_text
from eventroute_cli.local.environment import Wiring
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_command
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_cli.simulator.faults import Fault
from eventroute_cli.simulator.journal import Entry
from support.waiting import until

START_S = 25  # two busy processors

_Program = TypeVar("_Program", bound="Program")


class Program:
    """One program at one address, over its lives."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], *, port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._command = command
        self._environ = environ
        self._processes = Processes(log)
        self._process: Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it without waiting for it."""
        self._process = self._processes.start(self.name, self._command, self._environ)
        return self

    async def until_listening(self) -> None:
        """Wait until it accepts connections; fails with the end of its log when it does not."""
        await asyncio.to_thread(self._processes.wait_listening, self.name, self.port, timeout_s=START_S)

    async def end(self, signum: signal.Signals) -> int:
        """Send a signal that ends it; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signum)
        return await asyncio.to_thread(self._process.wait, START_S)

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._processes.stop()

    def log(self) -> str:
        """Read what it has said so far."""
        return self._processes.log(self.name).read_text(encoding="utf-8")


class Receiver(Program):
    """A receiver, with what its probes say."""

    def __init__(self, name: str, wiring: Wiring, folder: Path, settings: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "eventroute_receiver"]
        environ = {**wiring.receiver(os.environ), **settings}
        super().__init__(name, command, environ, port=wiring.receiver_port, log=folder)
        self.hooks_url = wiring.hooks_url
        self._probe_url = f"http://127.0.0.1:{wiring.receiver_probe_port}"

    async def until_ready(self) -> None:
        """Wait until it would be sent requests in a cluster."""

        async def is_ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"{self._probe_url}/readyz")).status_code == httpx.codes.OK
            return False

        await until(is_ready, timeout_s=START_S)


class Installation:
    """The programs, and what tests ask of Redis and of the simulator."""

    def __init__(
        self, folder: Path, *, redis_url: str | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._settings = settings or {}
        self._folder = folder
        self._open = contextlib.ExitStack()
        redis_port, claude_port = free_port(), free_port()
        self._wiring = Wiring(
            redis_url=redis_url or f"redis://127.0.0.1:{redis_port}/0",
            receiver_port=0,
            receiver_probe_port=0,
            worker_probe_port=0,
            receiver_key=new_key_text(),
            worker_key=new_key_text(),
            claude_url=f"http://127.0.0.1:{claude_port}",
            claude_key=DEFAULT_KEY,
            collector_url=None,
        )
        command = server_command(redis_port, folder, append_only=True)
        self.valkey = self._owned(Program("valkey", command, os.environ, port=redis_port, log=folder))
        claude = ["eventroute_cli", "simulator", "--port", str(claude_port), "--latency", "0.05", "--spread", "0.3"]
        self._claude = self._owned(
            Program("simulator", [sys.executable, "-m", *claude], os.environ, port=claude_port, log=folder)
        )
        self.redis: Redis = connect(self._wiring.redis_url)
        self._has_own_redis = redis_url is None

    async def start(self) -> None:
        """Start the simulator, and Redis unless there is one already."""
        for program in (self.valkey, self._claude) if self._has_own_redis else (self._claude,):
            await program.start().until_listening()

    def close(self) -> None:
        """End everything that was started."""
        self._open.close()

    def receiver(self, name: str) -> Receiver:
        """Make a receiver; the test starts it."""
        ports = {"receiver_port": free_port(), "receiver_probe_port": free_port()}
        return self._owned(Receiver(name, self._with(**ports), self._folder, self._settings))

    def worker(self, name: str) -> Program:
        """Make a worker; the test starts it."""
        port = free_port()
        environ = {**self._with(worker_probe_port=port).worker(os.environ), **self._settings}
        command = [sys.executable, "-m", "eventroute_worker"]
        return self._owned(Program(name, command, environ, port=port, log=self._folder))

    async def publish(self, receiver: ReceiverRoute, worker: WorkerRoute) -> None:
        """Serve one route."""
        await self.publish_all([receiver], [worker])

    async def publish_all(self, receivers: Sequence[ReceiverRoute], workers: Sequence[WorkerRoute]) -> None:
        """Serve these routes."""
        keys = [SealKey.from_text(text) for text in (self._wiring.worker_key, self._wiring.receiver_key)]
        await publish(self.redis, WORKER, {route.path: route for route in workers}, keys[0])
        await publish(self.redis, RECEIVER, {route.path: route for route in receivers}, keys[1])

    async def script(self, *faults: Fault) -> None:
        """Let these faults happen to the next calls of Claude."""
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{self._wiring.claude_url}/simulator/faults", content=msgspec.json.encode(faults)
            )
            answer.raise_for_status()

    async def calls(self) -> list[Entry]:
        """List all calls of Claude, oldest first."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self._wiring.claude_url}/simulator/requests")
        return msgspec.json.decode(answer.content, type=list[Entry])

    def _with(self, **ports: Any) -> Wiring:
        return Wiring(**{**vars(self._wiring), **ports})

    def _owned(self, program: _Program) -> _Program:
        self._open.callback(program.close)
        return program


@contextlib.asynccontextmanager
async def installation(
    folder: Path, *, redis_url: str | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Installation]:
    """Run Redis and the simulator while the block runs, and whatever else the test starts.

    redis_url  a Redis that is there already
    settings   further variables of receivers and workers
    """
    running = Installation(folder, redis_url=redis_url, settings=settings)
    try:
        await running.start()
        async with running.redis:
            yield running
    finally:
        running.close()
