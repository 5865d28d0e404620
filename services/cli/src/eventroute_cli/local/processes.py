"""Child processes that never outlive their parent, whichever way it ends."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from eventroute.errors import GaveUp

_STOP_S: Final = 10.0  # the programs stop within a second; past this something hangs
_POLL_S: Final = 0.02
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)


def free_port() -> int:
    """Ask the kernel for a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(_POLL_S)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Processes:
    """A set of child processes, stopped in reverse order of their start; each one's output goes to a file."""

    def __init__(self, log_folder: Path) -> None:
        """Take the folder for `<name>.log` files."""
        self._log_folder = log_folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Begin with no process."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop all that were started."""
        self.stop()

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start one program.

        The terminal's Ctrl-C reaches only the parent, which then stops the children in order; on Linux the kernel ends
        them too when the parent was killed.
        """
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here yet
            )
        self._running[name] = process
        return process

    def log(self, name: str) -> Path:
        """Name the file that holds a program's output."""
        return self._log_folder / f"{name}.log"

    def wait_listening(self, name: str, port: int, *, timeout_s: float) -> None:
        """Wait until a program accepts connections; raises `GaveUp` with the end of its log when it does not."""
        deadline = time.monotonic() + timeout_s
        while not is_listening(port):
            self.check()
            if time.monotonic() > deadline:
                raise GaveUp(f"{name} does not listen on port {port} after {timeout_s:g} s:\n{self._tail(name)}")
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raise `GaveUp` when any program has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise GaveUp(f"{name} ended with code {process.returncode}:\n{self._tail(name)}")

    def stop(self) -> None:
        """End every program: politely first, after a while for good."""
        for process in reversed(self._running.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _tail(self, name: str, lines: int = 15) -> str:
        text = self.log(name).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:  # the parent ended before the call
        os._exit(1)
