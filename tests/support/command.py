"""The `eventroute` command as people run it: a process, its output, its signals, and what it leaves behind.

`run_here` is for commands that ask and tell: they say the same in this process, and a start takes them a second.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventroute_cli.__main__ import main

_END_S = 45  # on a busy machine
_POLL_S = 0.05


@dataclass(frozen=True)
class Ended:
    """A run that is over."""

    code: int
    output: str
    """Both streams, as a terminal would show them."""


class Command:
    """A running command, whose children carry its mark: a temporary folder that is theirs alone."""

    def __init__(self, *arguments: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        self._output = folder / "output"
        self._forgotten = 0
        own = {"PATH": os.environ["PATH"], "HOME": str(folder), "COLUMNS": "80", "TMPDIR": str(self._temporary)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "eventroute_cli", *arguments],
                env={**own, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        """Read what it has said so far, since it was told to forget."""
        return self._output.read_bytes()[self._forgotten :].decode()

    def forget(self) -> None:
        """Begin to listen anew."""
        self._forgotten = len(self._output.read_bytes())

    def until_said(self, text: str, *, times: int = 1) -> None:
        """Wait until a text stands in its output so many times."""
        self.until(lambda: self.output().count(text) >= times)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds while the command runs."""
        deadline = time.monotonic() + _END_S
        while not condition():
            assert self._process.poll() is None, f"it ended:\n{self.output()}"
            assert time.monotonic() < deadline, f"not in time:\n{self.output()}"
            time.sleep(_POLL_S)

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to the command alone, as `kill` does."""
        self._process.send_signal(signum)

    def end(self) -> Ended:
        """Wait for its end."""
        code = self._process.wait(_END_S)
        return Ended(code, self.output())

    def close(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait()

    def pids(self) -> dict[int, str]:
        """Find the processes that it started, also when it is gone itself; their command lines by their ids."""
        mark = f"TMPDIR={self._temporary}".encode()
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile
                # Valkey writes its title over its environment, and works in its folder.
                is_marked = mark in (entry / "environ").read_bytes().split(b"\0")
                if is_marked or str((entry / "cwd").readlink()).startswith(str(self._temporary)):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        found.pop(self._process.pid, None)
        return found

    def children(self) -> list[str]:
        """List the command lines of the processes that it started."""
        return list(self.pids().values())

    def until_childless(self) -> None:
        """Wait until no process of its is left, as after it was killed."""
        deadline = time.monotonic() + _END_S
        while self.children():
            assert time.monotonic() < deadline, self.children()
            time.sleep(_POLL_S)

    def left_behind(self) -> list[str]:
        """List processes and temporary files that are still there."""
        return [*self.children(), *(str(path) for path in self._temporary.iterdir())]


@contextlib.contextmanager
def command(*arguments: str, folder: Path, **environ: str) -> Iterator[Command]:
    """Run `eventroute` with these arguments and environment variables; it is ended when the block is left."""
    running = Command(*arguments, folder=folder, environ=environ)
    try:
        yield running
    finally:
        running.close()


def run(*arguments: str, folder: Path, **environ: str) -> tuple[Ended, list[str]]:
    """Run `eventroute` to its end; returns also what it left behind."""
    with command(*arguments, folder=folder, **environ) as running:
        return running.end(), running.left_behind()


def run_here(*arguments: str, **environ: str) -> Ended:
    """Run `eventroute` to its end in this process; in a thread, as it has a loop of its own."""
    output = io.StringIO()

    def call() -> int:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
            patch.setattr(sys, "argv", ["eventroute", *arguments])
            for name, value in {"COLUMNS": "80", "NO_COLOR": "1", **environ}.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        return int(ended.value.code or 0)

    with ThreadPoolExecutor(1) as pool:
        code = pool.submit(call).result()
    return Ended(code, output.getvalue())
