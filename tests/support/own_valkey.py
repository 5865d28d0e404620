"""A Valkey of one test alone: it is killed, frozen and started again, with an append-only file that survives."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_command


class OwnValkey:
    """One server at one address, over its lives."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self.folder = folder
        """Where it writes."""
        self._port = free_port()
        self._process = self._started()

    @property
    def url(self) -> str:
        """Its address, the same after a restart."""
        return f"redis://127.0.0.1:{self._port}/0"

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start it again after `kill`, from what it had written."""
        self._process = self._started()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Keep its connections open and let it answer nothing while the block runs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _started(self) -> Popen[bytes]:
        process = self._processes.start("valkey", server_command(self._port, self.folder, append_only=True), os.environ)
        self._processes.wait_listening("valkey", self._port, timeout_s=10)
        return process


@contextlib.contextmanager
def own_valkey(folder: Path) -> Iterator[OwnValkey]:
    """Run a server that the test may break."""
    with Processes(folder) as processes:
        yield OwnValkey(processes, folder)
