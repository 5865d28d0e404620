"""Child processes that never outlive their parent, whichever way it ends."""

import ctypes
import http
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from eventroute.errors import GaveUp

_STOP_S: Final = 5.0  # of each program; they stop within a second, and past this something hangs
_POLL_S: Final = 0.02
_PROBE_S: Final = 2.0  # a probe asks Redis
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


def is_ready(probe_port: int) -> bool:
    """Ask a program on this machine whether it can do its work."""
    connection = http.client.HTTPConnection("127.0.0.1", probe_port, timeout=_PROBE_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Processes:
    """A set of child processes, stopped in reverse order of their start; each one's output goes to a file."""

    def __init__(self, log_folder: Path, heed: Callable[[], None] = lambda: None) -> None:
        """Take the folder for `<name>.log` files, and what else may raise while programs are waited for."""
        self._log_folder = log_folder
        self._heed = heed
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
                preexec_fn=_end_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509 - one system call
            )
        self._running[name] = process
        return process

    def log(self, name: str) -> Path:
        """Name the file that holds a program's output."""
        return self._log_folder / f"{name}.log"

    def wait_listening(self, name: str, port: int, *, timeout_s: float) -> None:
        """Wait until a program accepts connections; raises `GaveUp` with the end of its log when it does not."""
        self.wait_until(name, lambda: is_listening(port), timeout_s=timeout_s)

    def wait_ready(self, name: str, probe_port: int, *, timeout_s: float) -> None:
        """Wait until a program says that it can do its work; raises `GaveUp` as `wait_listening` does."""
        self.wait_until(name, lambda: is_ready(probe_port), timeout_s=timeout_s)

    def wait_until(self, name: str, is_so: Callable[[], bool], *, timeout_s: float) -> None:
        """Look until it is so; raises `GaveUp` when any program ends meanwhile, or after a while."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.check()
            if is_so():
                return
            if time.monotonic() > deadline:
                raise GaveUp(f"{name} is not ready after {timeout_s:g} s:\n{self._tail(name)}")
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raise `GaveUp` when any program has ended by itself; every wait of a local run looks here."""
        self._heed()
        for name, process in self._running.items():
            if process.poll() is not None:
                raise GaveUp(f"{name} ended with code {process.returncode}:\n{self._tail(name)}")

    def stop(self) -> None:
        """End one program after the other: politely first, after a while for good.

        In reverse order of their start, as what started later uses what started before: a worker that finishes its
        deliveries still needs Redis.
        """
        for name, process in reversed(tuple(self._running.items())):
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            del self._running[name]

    def _tail(self, name: str, lines: int = 15) -> str:
        text = self.log(name).read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])


def _end_with(parent: int) -> Callable[[], None]:
    """Build what a child runs before its program: it asks the kernel for SIGTERM at its parent's end (Linux)."""
    prctl = ctypes.CDLL(None).prctl  # loaded here, as between fork and exec little is safe

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return ask
