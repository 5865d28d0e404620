"""Workers as they run in production: processes of their own, with a published route table and a simulated Claude."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx

from eventroute_cli.local.environment import Wiring
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.simulator.api import DEFAULT_KEY
from eventroute_worker.settings import WorkerSettings


@dataclass(frozen=True)
class WorkerProcess:
    """A running worker."""

    process: Popen[bytes]
    probe_port: int
    log: Path

    def get(self, path: str) -> httpx.Response:
        """Ask its probe port."""
        return httpx.get(f"http://127.0.0.1:{self.probe_port}{path}")

    def terminate(self) -> None:
        """Ask it to stop, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def wait(self, *, timeout_s: float = 10) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(timeout_s)


@dataclass
class WorkerFleet:
    """Starts workers of one installation."""

    processes: Processes
    redis_url: str
    claude_url: str
    table_key: str

    def start(self, *, name: str = "worker", **settings: object) -> WorkerProcess:
        """Start a worker; `settings` are `WorkerSettings` fields. The same name again takes a killed one's place."""
        wiring = Wiring(
            redis_url=self.redis_url,
            receiver_port=0,
            receiver_probe_port=0,
            worker_probe_port=free_port(),
            receiver_key="",
            worker_key=self.table_key,
            claude_url=self.claude_url,
            claude_key=DEFAULT_KEY,
            collector_url=None,
        )
        more = {WorkerSettings.variable(field): str(value) for field, value in settings.items()}
        process = self.processes.start(
            name, [sys.executable, "-m", "eventroute_worker"], {**wiring.worker(os.environ), **more}
        )
        self.processes.wait_listening(name, wiring.worker_probe_port, timeout_s=20)
        return WorkerProcess(process, wiring.worker_probe_port, self.processes.log(name))


@contextlib.contextmanager
def worker_fleet(folder: Path, *, redis_url: str, claude_url: str, table_key: str) -> Iterator[WorkerFleet]:
    """Run workers while the block runs."""
    with Processes(folder) as processes:
        yield WorkerFleet(processes, redis_url, claude_url, table_key)
